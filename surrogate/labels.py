"""Measured accuracies as labels: repeated trainings pooled, every space on a scale of its own.

In: one accuracy per training, with its text, task and fidelity; out: `Labels`, one row per distinct
(text, task, fidelity) with a score, and the way back from scores to accuracies. Within a task and
fidelity a score is for one part the normal score of the rank and for the other the log odds, cut
off where it lies far out and standardised: a few failed trainings or a skewed scale do no harm,
several tasks can be learned from together, and children of a search that differ by less than one
training from the next do not count as far apart only because there are many of them.
Axes: N rows, R trainings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from surrogate.errors import SurrogateError, problem

Space = tuple[str, float]
"""A task and a fidelity; labels are comparable within one."""
LOWEST, HIGHEST = 0.002, 0.998  # accuracies are clipped to this before the logit
LIKELY_SPREAD = 0.6  # of accuracies on the logit scale, before any label
SPREAD_WEIGHT = 4.0  # labels that this belief is worth
# Part of the rank in a score. With ranks alone cells of the NAS-Bench-201 pool and children of
# searches are ordered worse, with log odds alone the cells are.
RANK_SHARE = 0.3
FAR_OUT = 3.0  # robust standard deviations from the median at which log odds are cut off
SMALLEST_SPREAD = 0.05  # of log odds


@dataclass(frozen=True)
class Learned:
    """What a predictor was taught: one entry per training."""

    texts: tuple[str, ...] = ()
    accuracies: tuple[float, ...] = ()
    tasks: tuple[str, ...] = ()
    fidelities: tuple[float, ...] = ()
    extra: tuple[tuple[float, ...], ...] = ()

    @property
    def spaces(self) -> list[Space]:
        """Task and fidelity of each."""
        return list(zip(self.tasks, self.fidelities, strict=True))


@dataclass(frozen=True)
class Scale:
    """The way between accuracies and scores within one space."""

    logits: np.ndarray
    """Of the labels, ascending, distinct."""
    scores: np.ndarray
    """Normal scores at those."""
    slope: float
    """Logits per score beyond the ends."""

    def scores_of(self, accuracies: np.ndarray) -> np.ndarray:
        """Accuracies (0..1) as scores."""
        values = logit(accuracies)
        inner = np.interp(values, self.logits, self.scores)
        above = np.maximum(values - self.logits[-1], 0) / self.slope
        below = np.minimum(values - self.logits[0], 0) / self.slope
        return inner + above + below

    def accuracies_of(self, scores: np.ndarray) -> np.ndarray:
        """Scores as accuracies."""
        inner = np.interp(scores, self.scores, self.logits)
        above = np.maximum(scores - self.scores[-1], 0) * self.slope
        below = np.minimum(scores - self.scores[0], 0) * self.slope
        return 1 / (1 + np.exp(-(inner + above + below)))

    def moments(self, mean_N: np.ndarray, spread_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the accuracy of normally distributed scores."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(9)
        weights = weights / weights.sum()
        values = self.accuracies_of(mean_N[:, None] + spread_N[:, None] * nodes)
        centre = values @ weights
        return centre, np.sqrt(((values - centre[:, None]) ** 2) @ weights)


@dataclass(frozen=True)
class Labels:
    """Distinct labelled networks."""

    texts: tuple[str, ...]
    spaces: tuple[Space, ...]
    scores_N: np.ndarray
    """Mean score of the trainings of a network."""
    counts_N: np.ndarray
    """Trainings of it."""
    accuracies_N: np.ndarray
    """Their mean accuracy."""
    scales: dict[Space, Scale]
    noise_squares: float
    """Sum of squared deviations of repeated trainings from their mean, in scores."""
    noise_freedom: int
    """Degrees of freedom of that sum."""
    noise_accuracy: float
    """Standard deviation of one training, in accuracy; NaN where nothing was repeated."""


def logit(accuracies: np.ndarray) -> np.ndarray:
    """Log odds, clipped."""
    clipped = np.clip(accuracies, LOWEST, HIGHEST)
    return np.log(clipped) - np.log1p(-clipped)


def make_labels(
    texts: Sequence[str], accuracies: Sequence[float], spaces: Sequence[Space]
) -> Labels:
    """Pool repeated trainings and bring every space to scores."""
    values_R = np.asarray(accuracies, float)
    members: dict[Space, list[int]] = {}
    rows: dict[tuple[str, Space], list[int]] = {}
    for index, key in enumerate(zip(texts, spaces, strict=True)):
        rows.setdefault(key, []).append(index)
        members.setdefault(key[1], []).append(index)
    scales = {space: _scale(values_R[indices]) for space, indices in members.items()}
    scores_R = np.zeros(len(values_R))
    for space, indices in members.items():
        scores_R[indices] = scales[space].scores_of(values_R[indices])
    groups = list(rows.values())
    repeated = [indices for indices in groups if len(indices) > 1]
    freedom = sum(len(indices) - 1 for indices in repeated)
    squares = sum(float(((scores_R[i] - scores_R[i].mean()) ** 2).sum()) for i in repeated)
    deviations = sum(float(((values_R[i] - values_R[i].mean()) ** 2).sum()) for i in repeated)
    return Labels(
        texts=tuple(text for text, _ in rows),
        spaces=tuple(space for _, space in rows),
        scores_N=np.array([scores_R[indices].mean() for indices in groups]),
        counts_N=np.array([len(indices) for indices in groups], float),
        accuracies_N=np.array([values_R[indices].mean() for indices in groups]),
        scales=scales,
        noise_squares=squares,
        noise_freedom=freedom,
        noise_accuracy=float(np.sqrt(deviations / freedom)) if freedom else float("nan"),
    )


def _scale(accuracies: np.ndarray) -> Scale:
    """Scores of the labels; between them and beyond the ends, straight lines of log odds."""
    values = logit(accuracies)
    ranked = norm.ppf((rankdata(values) - 0.5) / len(values))
    middle = np.median(values)
    reach = FAR_OUT * (np.median(np.abs(values - middle)) / norm.ppf(0.75) + SMALLEST_SPREAD)
    cut = np.clip(values, middle - reach, middle + reach)
    standard = (cut - cut.mean()) / (cut.std() + SMALLEST_SPREAD)
    scores = RANK_SHARE * ranked + (1 - RANK_SHARE) * standard
    distinct, first = np.unique(values, return_index=True)
    at = scores[first]
    robust = _robust_spread(values)
    count = len(values)
    slope = (count * robust + SPREAD_WEIGHT * LIKELY_SPREAD) / (count + SPREAD_WEIGHT)
    return Scale(distinct, at, float(slope))


def _robust_spread(values: np.ndarray) -> float:
    """From the upper half of the labels: a few failed trainings say nothing about the best."""
    middle, high = np.quantile(values, [0.5, 0.84])
    return float(high - middle)


def checked(texts: Sequence[str], accuracies: Sequence[float]) -> np.ndarray:
    """The accuracies as an array; raises `SurrogateError` for labels that are none."""
    values = np.asarray(accuracies, float)
    if len(texts) != len(values) or not np.isfinite(values).all():
        what = f"{len(texts)} texts and {len(values)} accuracies, or one is not a number"
        action = "Leave out what was not measured"
        raise SurrogateError(problem(what, "fit", "one finite accuracy per text", action))
    if len(values) and (values.min() < 0 or values.max() > 1):
        what = f"accuracies from {values.min():g} to {values.max():g}"
        action = "Divide percentages by 100"
        raise SurrogateError(problem(what, "fit", "accuracies in 0..1", action))
    return values
