"""Replies from a transformers model: the built-in one, a folder or a hub id; safetensors only.

In: prompts and samplings. Out: raw replies. Adapters (LoRA, peft) are merged into freshly loaded
base weights, because an unmerged one halves the speed (facts.md); going back to the base is exact.
No code of a model repository is ever run. Chat models get the prompt through their own template.
Not promised: support for models without a key-value cache.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hub_logging

from evoprompt.candidate import Prompt, Reply, Sampling
from evoprompt.errors import ModelError
from evoprompt.grammar.canonical import canonical_lines
from evoprompt.grammar.edits import END
from evoprompt.propose.addresses import address_tokens
from evoprompt.propose.engine import TunableBase
from evoprompt.propose.model_files import base_folder, check_adapter, fingerprint
from evoprompt.propose.sampling import Draw, sample

BASE_VERSION = "base"
ROWS = {"cpu": 64, "cuda": 256}  # replies written at the same time
SHORTEST_REPLY = 16  # tokens; a prompt that leaves less room is refused
_SECTION = re.compile(r"^## (system|user)[ \t]*\n", re.MULTILINE)


@dataclass(frozen=True)
class LocalBase:
    """A `TunableBase`: the words of the engine in token ids."""

    folder: Path
    fingerprint: str
    tokenizer: PreTrainedTokenizerBase
    end_tokens: tuple[int, ...]

    def encode_prompt(self, text: str) -> list[int]:
        """A prompt as it is sent: through the chat template where the model has one."""
        if not self.tokenizer.chat_template:
            return list(self.tokenizer(text)["input_ids"])  # pyright: ignore[reportArgumentType]
        takes_switch = "enable_thinking" in str(self.tokenizer.chat_template)
        switch: dict[str, Any] = {"enable_thinking": False} if takes_switch else {}
        wired = self.tokenizer.apply_chat_template(
            chat_messages(text), tokenize=False, add_generation_prompt=True, **switch
        )
        return self._ids(str(wired))

    def encode_reply(self, text: str) -> list[int]:
        """A reply; the end token is added where it is not `@end`, which stands in the text."""
        tokens = self._ids(text)
        speaks_edits = self.tokenizer.convert_tokens_to_ids(END) in self.end_tokens
        eos = self.tokenizer.eos_token_id
        return tokens if speaks_edits or not isinstance(eos, int) else [*tokens, eos]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])  # pyright: ignore[reportArgumentType]


class TransformersEngine:
    """An `Engine` over one causal language model on this machine."""

    def __init__(self, model: str, threads: int) -> None:
        """Load and check the model; raises ModelError."""
        self._folder = base_folder(model)
        self._threads = threads
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = load_tokenizer(self._folder)
        self._model = self._load()
        self._context = _context(self._model)
        self._end_tokens = _end_tokens(self._model, self._tokenizer)
        self._base = LocalBase(
            self._folder, fingerprint(self._folder), self._tokenizer, tuple(self._end_tokens)
        )
        self._addresses = address_tokens(self._tokenizer.get_vocab(), _vocabulary(self._model))
        self.version = BASE_VERSION
        self.base: TunableBase | None = self._base

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """`count` replies to each prompt, in batches of a fixed order."""
        torch.set_num_threads(self._threads)
        draws = [self._draw(p, s) for p, s in zip(prompts, samplings, strict=True)]
        written: list[list[list[int]]] = []
        for batch in batches(draws, ROWS[self._device.type]):
            written += sample(self._model, batch, self._end_tokens, self._addresses)
        return [[self._reply(tokens) for tokens in replies] for replies in written]

    def use(self, version: str, adapter: Path | None) -> None:
        """Load the base again and merge the adapter into it; raises ModelError."""
        if adapter is not None:
            check_adapter(adapter, self._base.fingerprint)
        model = self._load()
        if adapter is not None:
            try:
                tuned = PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                raise ModelError(
                    f"{adapter}: the adapter does not load ({_first_line(error)}). Expected LoRA "
                    "weights for this base. Tune again, or take an older version."
                ) from error
            model = tuned.merge_and_unload().eval()
        self._model, self.version = model, version

    def close(self) -> None:
        """Drop the model."""
        del self._model
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self) -> PreTrainedModel:
        return load_model(self._folder, self._device)

    def _draw(self, prompt: Prompt, sampling: Sampling) -> Draw:
        tokens = self._base.encode_prompt(prompt.text)
        room = self._context - len(tokens)
        if room < SHORTEST_REPLY or not tokens:
            raise ModelError(
                f"{self._folder}: the prompt '{prompt.template}' takes {len(tokens)} tokens and "
                f"the model's context is {self._context}. Expected room for a reply of at least "
                f"{SHORTEST_REPLY} tokens. Shorten the template or take another model."
            )
        numbered = prompt.reply_format == "edits" and self._addresses is not None
        lines = canonical_lines(prompt.parent_source) if numbered else None
        return Draw(
            tokens=tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            count=sampling.count,
            seed=sampling.seed,
            max_tokens=min(sampling.max_tokens, room),
            line_count=len(lines or ()),
            donor_count=len(prompt.donor),
        )

    def _reply(self, tokens: list[int]) -> Reply:
        is_finished = bool(tokens) and tokens[-1] in self._end_tokens
        text_tokens = tokens
        if is_finished and self._tokenizer.decode([tokens[-1]]) != END:
            text_tokens = tokens[:-1]
        text = self._tokenizer.decode(text_tokens, skip_special_tokens=False)
        return Reply(str(text), len(tokens), is_finished)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checked folder; raises ModelError."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{folder}: the tokenizer does not load ({_first_line(error)}). Expected "
            "tokenizer.json or a sentencepiece model. Save it again with tokenizer.save_pretrained."
        ) from error


def load_model(folder: Path, device: torch.device) -> PreTrainedModel:
    """The model of a checked folder: float32 on the CPU, bfloat16 on a GPU; raises ModelError."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    hub_logging.disable_progress_bar()  # the search shows its own progress
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder}: the model does not load ({_first_line(error)}). Expected a causal language "
            "model whose architecture transformers knows. Take another model."
        ) from error
    model, info = loaded
    if info["missing_keys"]:
        first = sorted(info["missing_keys"])[0]
        raise ModelError(
            f"{folder}: {len(info['missing_keys'])} tensors are missing from the weights, first "
            f"{first}. Expected all of the architecture's. Download or save the model again."
        )
    return model.to(device).eval()


def chat_messages(text: str) -> list[dict[str, str]]:
    """A prompt's `## system` and `## user` sections as messages; without them one user message."""
    parts = _SECTION.split(text)
    messages = [{"role": "user", "content": parts[0].strip()}] if parts[0].strip() else []
    for role, content in zip(parts[1::2], parts[2::2], strict=True):
        messages.append({"role": role, "content": content.strip()})
    return messages


def batches(draws: Sequence[Draw], rows: int) -> list[list[Draw]]:
    """Neighbouring prompts together, as many as fit into `rows` replies, in the given order."""
    out: list[list[Draw]] = []
    filled = rows
    for draw in draws:
        if filled + draw.count > rows:
            out.append([])
            filled = 0
        out[-1].append(draw)
        filled += draw.count
    return out


def _context(model: PreTrainedModel) -> int:
    config = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", 0) or 2**31)


def _vocabulary(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().vocab_size)


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    generation = model.generation_config
    named = generation.eos_token_id if generation is not None else None
    found = named if isinstance(named, list) else [named]
    return sorted({int(t) for t in [*found, tokenizer.eos_token_id] if t is not None})


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
