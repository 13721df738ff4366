"""Whether children inherit: how much more a child's lines are its own parents' than another's.

In: programs as lists of lines (as the numbered view shows them). Out: margins, and their mean as a
share of the margin of true children, which is 1 for a writer that inherits as the grammar does.
A writer of valid programs that ignores its prompt has a heredity of 0, whatever else it does well.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

Lines = Sequence[str]


def similarity(first: Lines, second: Lines) -> float:
    """Share of the lines of both programs that stand in both in the same order, 0..1."""
    if not first and not second:
        return 1.0
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def margin(child: Lines, parents: Sequence[Lines], others: Sequence[Lines]) -> float:
    """Similarity to the nearest of its own parents above that to the nearest of another prompt's.

    Args:
        child: The child.
        parents: The programs that its prompt showed, at least one.
        others: The programs that some other prompt showed, at least one.
    """
    own = max(similarity(child, parent) for parent in parents)
    return own - max(similarity(child, other) for other in others)


def heredity(margins: Sequence[float], true_margins: Sequence[float]) -> float | None:
    """Mean margin of written children as a share of the mean margin of true ones.

    None where there is no child or true children do not inherit either.
    """
    true = mean(true_margins)
    written = mean(margins)
    if written is None or not true or true <= 0.0:
        return None
    return written / true


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None
