"""What the predictor's benchmark prints: figures per row and label count, bootstrap, coverage.

Figures are Kendall's tau, Spearman's rho and the share of the best tenth that is found, as means
over draws with their standard deviation. The paired bootstrap draws classes of the tested networks,
so that cells of one graph come or go together, and averages over the draws of labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from predictor_store import Answer
from rich.table import Table
from scipy.stats import kendalltau, rankdata

RESAMPLES = 300
BEST_SHARE = 0.1


def figures(answer: Answer, accuracies: np.ndarray) -> dict[str, float | None]:
    """How good predictions of tested networks are."""
    said, true = answer.mean, accuracies
    found: dict[str, float | None] = {
        "tau": tau(said, true),
        "spearman": float(np.corrcoef(rankdata(said), rankdata(true))[0, 1]),
        "top10": top_overlap(said, true),
        "coverage": None,
    }
    if answer.low is not None and answer.high is not None:
        inside = (answer.low <= true) & (true <= answer.high)
        found["coverage"] = float(inside.mean())
        found["width"] = float(np.median(answer.high - answer.low))
    return found


def tau(said: np.ndarray, true: np.ndarray) -> float:
    """Kendall's tau-b; 0 where every prediction is the same."""
    if np.ptp(said) == 0:
        return 0.0
    return float(kendalltau(said, true)[0])  # type: ignore[arg-type]


def top_overlap(said: np.ndarray, true: np.ndarray) -> float:
    """The share of the best tenth that is in the predicted best tenth."""
    count = max(1, round(BEST_SHARE * len(true)))
    best = set(np.argsort(-true, kind="stable")[:count])
    return len(best & set(np.argsort(-said, kind="stable")[:count])) / count


def bootstrap_gain(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    accuracies: np.ndarray,
    classes: Sequence[str],
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """The 95 % interval of how much higher the first row's tau is, draws paired and averaged."""
    members: dict[str, list[int]] = {}
    for index, name in enumerate(classes):
        members.setdefault(name, []).append(index)
    groups = [np.array(indices) for indices in members.values()]
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(resamples):
        picked = rng.integers(len(groups), size=len(groups))
        chosen = np.concatenate([groups[i] for i in picked])
        true = accuracies[chosen]
        pairs = zip(first, second, strict=True)
        gains.append(np.mean([tau(a[chosen], true) - tau(b[chosen], true) for a, b in pairs]))
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Case:
    """The results of one case, as far as they are there."""

    name: str
    rows: tuple[str, ...]
    labels: tuple[int, ...]
    of: Callable[[str, int], list[dict]]
    """(row, labels) to the records of its draws."""

    def mean(self, row: str, labels: int, figure: str) -> float | None:
        """Mean over draws; None where nothing is measured."""
        values = [r[figure] for r in self.of(row, labels) if r.get(figure) is not None]
        return float(np.mean(values)) if values else None

    def cell(self, row: str, labels: int, figure: str) -> str:
        """Mean and standard deviation as a table shows them."""
        values = [r[figure] for r in self.of(row, labels) if r.get(figure) is not None]
        if not values:
            return "-"
        return f"{np.mean(values):.3f} ±{np.std(values):.3f}"

    def by_labels(self, row: str, figure: str = "tau") -> dict[str, float | None]:
        """Means by label count."""
        return {str(n): _rounded(self.mean(row, n, figure)) for n in self.labels}

    def best(self, rows: Sequence[str], labels: int) -> tuple[str, float] | None:
        """The row of highest mean tau."""
        found = [(self.mean(row, labels, "tau"), row) for row in rows]
        known = [(value, row) for value, row in found if value is not None]
        if not known:
            return None
        value, row = max(known)
        return row, value

    def table(self, figure: str, title: str) -> Table:
        """One row per row, one column per label count."""
        table = Table(title=f"{self.name}: {title}")
        table.add_column("row")
        for n in self.labels:
            table.add_column(f"{n} labels", justify="right")
        for row in self.rows:
            if any(self.mean(row, n, figure) is not None for n in self.labels):
                table.add_row(row, *(self.cell(row, n, figure) for n in self.labels))
        return table


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
