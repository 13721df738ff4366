"""Replies from a transformers model: the built-in one, a folder or a hub id; safetensors only.

In: prompts and samplings. Out: raw replies. Adapters (LoRA, peft) are merged into freshly loaded
base weights, because an unmerged one halves the speed (facts.md); going back to the base is exact.
A soft prompt cannot be merged: its embeddings are read before each prompt. No code of a model
repository is ever run. Chat models get the prompt through their own template.
Not promised: support for models without a key-value cache.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as hub_logging

from evoprompt.candidate import Prompt, Rejected, Reply, Sampling
from evoprompt.errors import ModelError
from evoprompt.grammar.view import shown_lines
from evoprompt.propose.addresses import NOWHERE, address_tokens, places
from evoprompt.propose.engine import TunableBase
from evoprompt.propose.local_base import BASE_VERSION, Fitted, first_line, open_base
from evoprompt.propose.model_files import check_adapter
from evoprompt.propose.refusals import refused
from evoprompt.propose.sampling import Draw, sample
from evoprompt.propose.soft_prompt import read_soft_prompt

ROWS = {"cpu": 64, "cuda": 256}  # replies written at the same time


class TransformersEngine:
    """An `Engine` over one causal language model on this machine."""

    notes: tuple[str, ...] = ()

    def __init__(self, model: str, threads: int, *, masks_addresses: bool = True) -> None:
        """Load and check the model; raises ModelError.

        `masks_addresses=False` lets replies name lines that do not exist, to measure how many do.
        """
        self._base = open_base(model)
        self._threads = threads
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = self._load()
        self._soft_PE: Tensor | None = None
        vocabulary = self._base.tokenizer.get_vocab()
        found = address_tokens(vocabulary, self._base.vocabulary)
        self._addresses = found if masks_addresses else None
        self.version = BASE_VERSION
        self.base: TunableBase | None = self._base

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """`count` replies to each prompt, in batches of a fixed order."""
        torch.set_num_threads(self._threads)
        answers: list[list[Reply]] = [[] for _ in prompts]
        draws: list[tuple[int, Draw]] = []
        for place, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True)):
            fitted = self._base.fitted(prompt, sampling)
            if isinstance(fitted, Rejected):
                answers[place] = refused(fitted, sampling.count)
            else:
                draws.append((place, self._draw(prompt, sampling, fitted)))
        places = iter([place for place, _ in draws])
        for batch in batches([draw for _, draw in draws], ROWS[self._device.type]):
            for replies in self._written(batch):
                answers[next(places)] = replies
        return answers

    def prompt_size(self, text: str) -> tuple[int, int] | None:
        """Tokens of a prompt as it is sent, and the model's context."""
        size = len(self._base.encode_prompt(text)) + self._virtual_count
        return size, self._base.context

    def use(self, version: str, adapter: Path | None) -> None:
        """Load the base again and merge the adapter into it, or put its soft prompt in front."""
        if adapter is not None:
            check_adapter(adapter, self._base.fingerprint)
        model = self._load()
        soft_PE = None if adapter is None else read_soft_prompt(adapter, model)
        if adapter is not None and soft_PE is None:
            try:
                tuned = PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                raise ModelError(
                    f"{adapter}: the adapter does not load ({first_line(error)}). Expected LoRA "
                    "weights for this base. Tune again, or take an older version."
                ) from error
            model = tuned.merge_and_unload().eval()
        self._model, self._soft_PE, self.version = model, soft_PE, version

    def close(self) -> None:
        """Drop the model."""
        del self._model
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def rest(self) -> None:
        """The model stays: it is small, or has a GPU of its own."""

    @property
    def _virtual_count(self) -> int:
        return 0 if self._soft_PE is None else len(self._soft_PE)

    def _load(self) -> PreTrainedModel:
        return load_model(self._base.folder, self._device)

    def _draw(self, prompt: Prompt, sampling: Sampling, fitted: Fitted) -> Draw:
        numbered = prompt.reply_format == "edits" and self._addresses is not None
        lines = shown_lines(prompt.parent_source) if numbered else None
        room = self._base.context - len(fitted.tokens) - self._virtual_count
        return Draw(
            tokens=fitted.tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            count=sampling.count,
            seed=sampling.seed,
            max_tokens=max(1, min(fitted.max_tokens, room)),
            places=places(lines or (), prompt.donor) if numbered else NOWHERE,
        )

    def _written(self, batch: list[Draw]) -> list[list[Reply]]:
        """The replies of one batch; its time is shared out evenly."""
        started = time.perf_counter()
        written = sample(self._model, batch, self._base.end_tokens, self._addresses, self._soft_PE)
        seconds = (time.perf_counter() - started) / sum(draw.count for draw in batch)
        return [
            [
                self._base.read(reply, prompt_tokens=0 if i else len(draw.tokens), seconds=seconds)
                for i, reply in enumerate(replies)
            ]
            for draw, replies in zip(batch, written, strict=True)
        ]


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
            f"{folder}: the model does not load ({first_line(error)}). Expected a causal language "
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
