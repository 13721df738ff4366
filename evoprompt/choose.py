"""Who deserves training: the judge's best across cells and sizes, and a reserve drawn at random.

Comes in: the screened, new candidates of a generation with their scores and the elite each would
have to beat. Goes out: as many as there are slots, each with the reason. The reserve is drawn
first, so that it is a fair sample of what was screened and the audit of the predictor is honest.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Judge = Literal["predictor", "prior", "random"]
Acquisition = Literal["expected-improvement", "upper-confidence"]
Why = Literal["predictor", "prior", "reserve", "random"]


@dataclass(frozen=True)
class Option:
    """A screened candidate that could be trained."""

    candidate: str
    mean: float
    """Predicted accuracy, 0..1."""
    spread: float
    """Its standard deviation."""
    prior: float
    """Rank by size, 0..1."""
    cell: tuple[int, int]
    cell_best: float
    """Accuracy of the cell's elite; for an empty cell, the worst elite's."""
    front_best: float
    """Best accuracy known with no more parameters; 0 if there is none."""


@dataclass(frozen=True)
class Choice:
    """A candidate to train, and why."""

    candidate: str
    why: Why
    worth: float


def expected_improvement(mean: float, spread: float, best: float) -> float:
    """Return E[max(0, X - best)] for X normal (Jones, Schonlau & Welch 1998, eq. 15)."""
    if spread <= 0:
        return max(0.0, mean - best)
    z = (mean - best) / spread
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return (mean - best) * 0.5 * (1 + math.erf(z / math.sqrt(2))) + spread * density


def choose(
    options: Sequence[Option],
    slots: int,
    reserve_share: float,
    judge: Judge,
    exploration: float,
    rng: random.Random,
    acquisition: Acquisition = "expected-improvement",
) -> list[Choice]:
    """Choose up to `slots` candidates.

    At least one slot, and `reserve_share` of them, go to a random draw. The others alternate
    between improving the accuracy-parameters front and the candidate's cell, one candidate a cell
    while there are cells enough.

    Args:
        options: Candidates in a deterministic order.
        slots: How many can be trained.
        reserve_share: Share of the slots for the random reserve, 0..1.
        judge: Whose word counts: predictor, prior (larger is better) or nobody.
        exploration: Factor on the spread.
        rng: Draws the reserve (and everything, if nobody judges).
        acquisition: How the predictor's mean and spread become a candidate's worth.
    """
    slots = min(slots, len(options))
    if slots == 0:
        return []
    if judge == "random":
        return [Choice(o.candidate, "random", 0.0) for o in rng.sample(list(options), slots)]
    reserve_count = min(slots, max(1, math.ceil(slots * reserve_share)))
    reserve = rng.sample(list(options), reserve_count)
    taken = {option.candidate for option in reserve}
    judged: list[Choice] = []
    used_cells: set[tuple[int, int]] = set()
    while len(judged) < slots - reserve_count:
        worth = _worth(judge, len(judged), exploration, acquisition)
        left = [o for o in options if o.candidate not in taken]
        fresh = [o for o in left if o.cell not in used_cells] or left
        best = max(fresh, key=lambda o: (worth(o), o.candidate))
        judged.append(Choice(best.candidate, judge, worth(best)))
        taken.add(best.candidate)
        used_cells.add(best.cell)
    return judged + [Choice(o.candidate, "reserve", 0.0) for o in reserve]


def _worth(
    judge: Judge, turn: int, exploration: float, acquisition: Acquisition
) -> Callable[[Option], float]:
    is_front = turn % 2 == 0

    def by_predictor(option: Option) -> float:
        spread = exploration * option.spread
        best = option.front_best if is_front else option.cell_best
        if acquisition == "upper-confidence":
            return option.mean + spread - best
        return expected_improvement(option.mean, spread, best)

    return (lambda option: option.prior) if judge == "prior" else by_predictor
