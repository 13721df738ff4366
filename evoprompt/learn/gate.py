"""The promotion gate: a tuned proposer goes live only if it writes as many valid, new programs.

In: how many replies to the held-out prompts were valid and new, for the version in use and for the
tuned one; sampling and screening are functions of the caller. Out: a `Decision` with both figures.
Not promised: that a promoted version is better; with 64 replies only large losses are visible.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

CONFIDENCE = 1.96  # two-sided 95 %
Replies = TypeVar("Replies")


@dataclass(frozen=True)
class GateCount:
    """What one version wrote for the held-out prompts."""

    version: str
    replies: int
    valid_new: int
    """Replies that passed the screen and whose graph was not known, each graph counted once."""

    @property
    def rate(self) -> float:
        """Share of valid and new replies, 0..1; 0 without replies."""
        return self.valid_new / self.replies if self.replies else 0.0


@dataclass(frozen=True)
class Decision:
    """Whether the tuned version goes live, and the figures behind it."""

    is_promoted: bool
    old: GateCount
    new: GateCount
    old_interval: tuple[float, float]
    """Wilson 95 % interval of the old version's rate."""
    new_interval: tuple[float, float]

    def line(self) -> str:
        """One line for the terminal and the report."""
        verdict = "promoted" if self.is_promoted else "refused"
        old, new = (
            f"{count.version} {count.valid_new}/{count.replies} ({low:.2f}-{high:.2f})"
            for count, (low, high) in (
                (self.old, self.old_interval),
                (self.new, self.new_interval),
            )
        )
        return f"{new} against {old}, valid and new: {verdict}"


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, JASA 22:209); (0, 1) for 0 of 0."""
    if count == 0:
        return 0.0, 1.0
    share, square = successes / count, CONFIDENCE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    half = CONFIDENCE * spread / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def promotion(old: GateCount, new: GateCount) -> Decision:
    """Promote only if the new version's valid-and-new rate is not lower; never without replies."""
    # Cross-multiplied, so that equal shares of different counts compare exactly.
    is_not_lower = new.valid_new * old.replies >= old.valid_new * new.replies
    return Decision(
        is_promoted=is_not_lower and new.replies > 0,
        old=old,
        new=new,
        old_interval=wilson(old.valid_new, old.replies),
        new_interval=wilson(new.valid_new, new.replies),
    )


def gate(
    old: str,
    new: str,
    write: Callable[[str], Replies],
    count: Callable[[str, Replies], GateCount],
) -> Decision:
    """Let both versions answer the same held-out prompts with the same seeds, and decide.

    `write(version)` samples; `count(version, replies)` screens. What one version wrote must not
    make the other's replies known: `count` starts from the same set of known graphs both times.
    """
    old_count = count(old, write(old))
    return promotion(old_count, count(new, write(new)))
