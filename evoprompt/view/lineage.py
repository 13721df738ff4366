"""The way from a seed to a program, as a chain of differences that can be read.

In: a history with its run folder. Out: steps, each with its parent's figures and the lines that
changed. A source that is not on the disk gives a step without lines.
"""

import difflib
from dataclasses import dataclass

from evoprompt.view.history import History
from evoprompt.view.records import Candidate
from evoprompt.view.words import clean

_LINE_LIMIT = 400  # lines of one difference that are shown


@dataclass(frozen=True)
class Line:
    """One line of a unified difference."""

    kind: str
    """added, removed, place or same."""
    text: str


@dataclass(frozen=True)
class Step:
    """One candidate on the way, and what its proposal changed."""

    candidate: Candidate
    parent: Candidate | None
    """None for the first of the chain."""
    other_parents: tuple[str, ...]
    gain: float | None
    """Accuracy minus the parent's, where both were measured."""
    lines: tuple[Line, ...]
    added: int
    removed: int


def story(history: History, candidate: str) -> list[Step]:
    """Return the steps from the seed to a candidate, in that order."""
    steps: list[Step] = []
    parent: Candidate | None = None
    for current in history.lineage(candidate):
        lines: tuple[Line, ...] = ()
        gain: float | None = None
        if parent is not None:
            lines = difference(history.shown_source(parent.id), history.source(current.id))
            if parent.accuracy is not None and current.accuracy is not None:
                gain = current.accuracy - parent.accuracy
        steps.append(
            Step(
                candidate=current,
                parent=parent,
                other_parents=current.parents[1:],
                gain=gain,
                lines=lines,
                added=sum(x.kind == "added" for x in lines),
                removed=sum(x.kind == "removed" for x in lines),
            )
        )
        parent = current
    return steps


def difference(before: str | None, after: str | None) -> tuple[Line, ...]:
    """Return the unified difference of two sources, cleaned and cut to a length."""
    if before is None or after is None:
        return ()
    old, new = clean(before).split("\n"), clean(after).split("\n")
    lines: list[Line] = []
    for row in list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]:
        if len(lines) == _LINE_LIMIT:
            lines.append(Line("place", "\u2026"))
            break
        kind = {"+": "added", "-": "removed", "@": "place"}.get(row[:1], "same")
        lines.append(Line(kind, row))
    return tuple(lines)
