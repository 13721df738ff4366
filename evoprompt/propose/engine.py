"""The seam between the search and whatever writes children: one small Protocol.

In: prompts with one `Sampling` each. Out: for each prompt its replies, in order, and nothing else;
reading them is `reply.read_reply`'s work. The same call on the same version gives the same replies.
Not promised: that replies are equal on another machine or with another number of threads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evoprompt.candidate import Prompt, Reply, Sampling
from evoprompt.config import ProposerSettings


@dataclass(frozen=True)
class TunableBase:
    """What tuning needs to know of an engine's base model."""

    folder: Path
    fingerprint: str
    """SHA-256 of the base's weights; an adapter fits no other base."""
    encode: Callable[[str], list[int]]
    """A prompt's text to the token ids that are really sent (chat template and begin token included)."""


class Engine(Protocol):
    """A writer of replies."""

    version: str
    """The adapter in use; "base" for none, "replay" or "grammar" where there is no model."""
    base: TunableBase | None
    """None where nothing can be tuned."""

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """`samplings[i].count` replies to each prompt; the result depends on the arguments alone."""
        ...

    def use(self, version: str, adapter: Path | None) -> None:
        """Write with the adapter in this folder from now on; None: with the base.

        Raises:
            ModelError: the adapter is missing, damaged, pickled, or of another base.
        """
        ...

    def close(self) -> None:
        """Give memory back; the engine is not used any more."""
        ...


def open_engine(settings: ProposerSettings) -> Engine:
    """The engine that the settings ask for; the control arm's is `grammar_engine.GrammarEngine`.

    Raises:
        ModelError: the model or the file of replies cannot be used.
    """
    if settings.engine == "replay":
        from evoprompt.propose.replay_engine import ReplayEngine

        return ReplayEngine(Path(settings.model))
    from evoprompt.propose.transformers_engine import TransformersEngine

    return TransformersEngine(settings.model, threads=settings.threads)
