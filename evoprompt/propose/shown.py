"""What a template sees: a parent, a target, a complaint; and the words for sizes and shares.

In: records and numbers. Out: frozen values and short texts that prompts are filled with.
"""

import math
from dataclasses import dataclass

from evoprompt.candidate import Parent
from evoprompt.grammar.view import numbered


@dataclass(frozen=True)
class ShownParent:
    """A parent as the body of a template sees it."""

    id: str
    source: str
    numbered: str
    accuracy: float
    """0..1."""
    parameters: int
    macs: int


@dataclass(frozen=True)
class Target:
    """What the prompt asks for; None: any size."""

    parameters: int | None = None
    macs: int | None = None


@dataclass(frozen=True)
class ShownError:
    """Why a program was rejected, as the repair template sees it."""

    stage: str
    reason: str
    line: int | None
    """Of the numbered view; None where the message names none."""
    message: str


def shown(parent: Parent) -> ShownParent | None:
    """The parent with its numbered view; None if it has none (over 99 canonical lines)."""
    view = numbered(parent.source)
    if view is None:
        return None
    figures = parent.accuracy, parent.parameters, parent.macs
    return ShownParent(parent.id, parent.source, view, *figures)


def percent(share: float) -> str:
    """0.934 -> "93"."""
    return str(round(100 * share))


def size(count: float) -> str:
    """The nearest power of two, in short: 5210 -> "4k", 300 -> "256", 3000000 -> "2m"."""
    power = round(math.log2(max(1, count)))
    for exponent, letter in ((20, "m"), (10, "k")):
        if power >= exponent:
            return f"{2 ** (power - exponent)}{letter}"
    return str(2**power)


def compared_to(count: float, other: float) -> str:
    """smaller, same or larger; same: within half a power of two."""
    ratio = count / max(1, other)
    return "smaller" if ratio < 0.5**0.5 else "larger" if ratio > 2**0.5 else "same"
