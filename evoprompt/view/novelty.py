"""How much of what was written was there before: duplicates by kind, and lines that came back.

In: a history. Out: counts. A duplicate is found at the cheapest place: as the unchanged parent, by
its source, by its lines in another layout, or by its graph.
"""

from dataclasses import dataclass

from evoprompt.view.history import History


@dataclass(frozen=True)
class Duplicates:
    """Proposals that brought nothing new, by the place where it was found out."""

    proposed: int
    unchanged: int
    """The reply changed nothing of its parent."""
    source: int
    """The same text was there."""
    lines: int
    """The same lines were there in another layout."""
    parents_graph: int
    """Another program, but the graph of one of its parents."""
    known_graph: int
    """Another program, but the graph of an earlier one."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.unchanged + self.source + self.lines + self.parents_graph + self.known_graph

    def kinds(self) -> list[tuple[str, int]]:
        """Return the kinds in words and their counts."""
        return [
            ("the parent unchanged", self.unchanged),
            ("a known source", self.source),
            ("known lines in another layout", self.lines),
            ("the graph of a parent", self.parents_graph),
            ("the graph of another program", self.known_graph),
        ]


@dataclass(frozen=True)
class Lines:
    """New lines of all children, against their first parents."""

    added: int
    again: int
    """Those that an earlier ancestor had and no parent has."""


def duplicates(history: History) -> Duplicates:
    """Count the children's proposals that brought nothing new, repairs included."""
    children = [p for p in history.proposals if p.generation > 0]
    lost = {
        loss.reason: loss.count for loss in history.funnel_of(lambda p: p.generation > 0).losses
    }
    return Duplicates(
        proposed=len(children),
        unchanged=lost.get("unchanged", 0),
        source=lost.get("duplicate", 0),
        lines=lost.get("same_lines", 0),
        parents_graph=lost.get("graph_of_parent", 0),
        known_graph=lost.get("known_graph", 0),
    )


def lines(history: History) -> Lines:
    """Count added and re-introduced lines; both 0 in ledgers from before they were counted."""
    children = [p for p in history.proposals if p.generation > 0]
    return Lines(sum(p.added_lines or 0 for p in children), sum(p.old_lines or 0 for p in children))
