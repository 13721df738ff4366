"""The seam between the search and whatever writes children: one small Protocol.

In: prompts with one `Sampling` each. Out: for each prompt its replies, in order, and nothing else;
reading them is `reply.read_reply`'s work. The same call on the same version gives the same replies.
Not promised: that replies are equal on another machine or with another number of threads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from evoprompt.candidate import Prompt, Reply, Sampling
from evoprompt.config import ProposerSettings


class TunableBase(Protocol):
    """What tuning needs to know of an engine's base model."""

    @property
    def folder(self) -> Path:
        """Where its safetensors are."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the base's weights; an adapter fits no other base."""
        ...

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a prompt as it is really sent (chat template and begin token included)."""
        ...

    def encode_reply(self, text: str) -> list[int]:
        """Token ids of a reply, with the end token that the model would have written."""
        ...


class Engine(Protocol):
    """A writer of replies."""

    version: str
    """The adapter in use; "base" for none, or the engine's own name where nothing can be tuned."""
    base: TunableBase | None
    """None where nothing can be tuned."""
    notes: tuple[str, ...]
    """What a person should know before the search begins."""

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """`samplings[i].count` replies to each prompt, by the arguments and version alone.

        A prompt that cannot be answered brings replies with a `refusal`, which are counted.

        Raises:
            ModelError: nothing can be answered any more, after all retries.
        """
        ...

    def prompt_size(self, text: str) -> tuple[int, int] | None:
        """Tokens of a prompt as it is sent, and of the context; None where nobody can say."""
        ...

    def use(self, version: str, adapter: Path | None) -> None:
        """Write with the adapter in this folder from now on; None: with the base.

        Raises:
            ModelError: the adapter is missing, damaged, pickled, or of another base, or the engine
                takes none.
        """
        ...

    def rest(self) -> None:
        """A phase of writing is over: give back memory that others need. `sample` works again."""
        ...

    def close(self) -> None:
        """Give all memory back; the engine is not used any more."""
        ...


def open_engine(settings: ProposerSettings) -> Engine:
    """The engine that the settings ask for; the control arm's is `grammar_engine.GrammarEngine`.

    Raises:
        ModelError: the model, the server or the file of replies cannot be used.
    """
    if settings.engine == "replay":
        from evoprompt.propose.replay_engine import ReplayEngine

        return ReplayEngine(Path(settings.model))
    if settings.engine == "vllm":
        from evoprompt.propose.vllm_engine import VllmEngine

        return VllmEngine(settings)
    if settings.engine == "openai":
        from evoprompt.propose.openai_engine import OpenaiEngine

        return OpenaiEngine(settings)
    from evoprompt.propose.transformers_engine import TransformersEngine

    return TransformersEngine(settings.model, threads=settings.threads)
