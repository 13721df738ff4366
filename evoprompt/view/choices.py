"""What each template and each part to change was worth: counts, tokens, share of the proposals.

In: a history. Out: one row for each name, the most often asked first. A template's share shows what
the bandit made of its weight; entries for a thousand tokens are what the bandit goes by.
"""

from collections.abc import Callable
from dataclasses import dataclass

from evoprompt.view.funnel import funnel
from evoprompt.view.history import History
from evoprompt.view.records import Proposal


@dataclass(frozen=True)
class Choice:
    """One template, operator or part."""

    name: str
    operator: str
    """Of its first proposal."""
    proposed: int
    valid: int
    new: int
    """Valid, and of a graph that was not known."""
    trained: int
    entered: int
    """Children that entered the archive."""
    token_count: int
    share: float | None
    """Of all proposals, 0..1; None for repairs, which nobody chooses."""
    last_share: float | None
    """Of the proposals of the last generation."""

    @property
    def entered_per_thousand(self) -> float | None:
        """Entries for a thousand tokens."""
        return 1000 * self.entered / self.token_count if self.token_count else None


def by_template(history: History) -> list[Choice]:
    """Return one row for each template that wrote children, repairs last."""
    return _rows(history, lambda p: p.template)


def by_part(history: History) -> list[Choice]:
    """Return one row for each part that prompts asked to change; none in ledgers from before."""
    return _rows(history, lambda p: "" if p.is_repair else p.part)


def _rows(history: History, name_of: Callable[[Proposal], str]) -> list[Choice]:
    children = [p for p in history.proposals if p.generation > 0]
    groups: dict[str, list[Proposal]] = {}
    for proposal in children:
        groups.setdefault(name_of(proposal), []).append(proposal)
    asked = [p for p in children if not p.is_repair]
    last = [p for p in asked if p.generation == history.generation]
    rows = [_row(history, name, own, asked, last) for name, own in groups.items() if name]
    return sorted(rows, key=lambda row: (row.share is None, -row.proposed, row.name))


def _row(
    history: History,
    name: str,
    own: list[Proposal],
    asked: list[Proposal],
    last: list[Proposal],
) -> Choice:
    counts = funnel(own, history.candidates).counts
    is_repair = own[0].is_repair
    recent = sum(p.generation == history.generation for p in own)
    return Choice(
        name=name,
        operator=own[0].operator,
        proposed=counts["proposed"],
        valid=counts["valid"],
        new=counts["new graph"],
        trained=counts["trained"],
        entered=counts["elite"],
        token_count=sum(p.token_count for p in own),
        share=None if is_repair else len(own) / max(1, len(asked)),
        last_share=None if is_repair else recent / max(1, len(last)),
    )
