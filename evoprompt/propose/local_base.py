"""What an engine knows of a base model on this machine without loading its weights.

In: "builtin", a folder or a hub id. Out: a `LocalBase`, checked: tokenizer, end tokens, context and
fingerprint, and prompts and replies as token ids. The transformers and vLLM engines both write with
it, so that both send the same tokens. Not promised: that the weights load; the engine finds out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from evoprompt.candidate import Prompt, Rejected, Reply, Sampling
from evoprompt.errors import ModelError
from evoprompt.grammar.edits import END
from evoprompt.propose.chat import chat_messages
from evoprompt.propose.model_files import base_folder, fingerprint
from evoprompt.propose.refusals import too_long

BASE_VERSION = "base"
SHORTEST_REPLY = 16  # tokens; a prompt that leaves less room is refused


@dataclass(frozen=True)
class Fitted:
    """A prompt that fits: its tokens, and how long a reply may become."""

    tokens: list[int]
    max_tokens: int


@dataclass(frozen=True)
class LocalBase:
    """A `TunableBase`: the words of the engine in token ids."""

    folder: Path
    fingerprint: str
    tokenizer: PreTrainedTokenizerBase
    end_tokens: tuple[int, ...]
    context: int
    """Most tokens of prompt and reply together."""
    vocabulary: int
    """Tokens that the model has scores for."""

    def encode_prompt(self, text: str) -> list[int]:
        """A prompt as it is sent: through the chat template where the model has one.

        Raises:
            ModelError: the chat template refuses the messages.
        """
        if not self.tokenizer.chat_template:
            return list(self.tokenizer(text)["input_ids"])  # pyright: ignore[reportArgumentType]
        takes_switch = "enable_thinking" in str(self.tokenizer.chat_template)
        switch: dict[str, Any] = {"enable_thinking": False} if takes_switch else {}
        try:
            wired = self.tokenizer.apply_chat_template(
                chat_messages(text), tokenize=False, add_generation_prompt=True, **switch
            )
        except TemplateError as error:
            raise ModelError(
                f"{self.folder}: the model's chat template refuses the prompt ({error}). Expected "
                "it to take the sections ## system and ## user of a template as messages. Write "
                "the prompt template without the one it refuses, or take another model."
            ) from error
        return self._ids(str(wired))

    def encode_reply(self, text: str) -> list[int]:
        """A reply; the end token is added where it is not `@end`, which stands in the text."""
        tokens = self._ids(text)
        speaks_edits = self.tokenizer.convert_tokens_to_ids(END) in self.end_tokens
        eos = self.tokenizer.eos_token_id
        return tokens if speaks_edits or not isinstance(eos, int) else [*tokens, eos]

    def fitted(self, prompt: Prompt, sampling: Sampling) -> Fitted | Rejected:
        """The prompt's tokens, or the rejection of all its replies where they leave no room."""
        tokens = self.encode_prompt(prompt.text)
        room = self.context - len(tokens)
        if tokens and room >= SHORTEST_REPLY:
            return Fitted(tokens, min(sampling.max_tokens, room))
        return too_long(len(tokens), self.context)

    def read(
        self, tokens: list[int], *, prompt_tokens: int, seconds: float, retries: int = 0
    ) -> Reply:
        """The written tokens as a reply; an end token that is not `@end` is no part of the text."""
        is_finished = bool(tokens) and tokens[-1] in self.end_tokens
        kept = tokens
        if is_finished and self.tokenizer.decode([tokens[-1]]) != END:
            kept = tokens[:-1]
        text = self.tokenizer.decode(kept, skip_special_tokens=False)
        return Reply(str(text), len(tokens), is_finished, prompt_tokens, seconds, retries)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])  # pyright: ignore[reportArgumentType]


def open_base(model: str) -> LocalBase:
    """Find and check a base model; raises ModelError."""
    folder = base_folder(model)
    tokenizer = load_tokenizer(folder)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        words = config.get_text_config()
        context = int(getattr(words, "max_position_embeddings", 0) or 2**31)
        vocabulary = int(words.vocab_size)
        ends = _end_tokens(folder, config, tokenizer)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder}: the configuration does not load ({first_line(error)}). Expected that of a "
            "language model whose architecture transformers knows. Take another model."
        ) from error
    return LocalBase(folder, fingerprint(folder), tokenizer, ends, context, vocabulary)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checked folder; raises ModelError."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{folder}: the tokenizer does not load ({first_line(error)}). Expected "
            "tokenizer.json or a sentencepiece model. Save it again with tokenizer.save_pretrained."
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a message of our own."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _end_tokens(folder: Path, config: Any, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    try:
        generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:  # old folders have none
        generation = GenerationConfig.from_model_config(config)
    named = generation.eos_token_id
    found = named if isinstance(named, list) else [named]
    return tuple(sorted({int(t) for t in [*found, tokenizer.eos_token_id] if t is not None}))
