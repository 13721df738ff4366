"""Learning in a run: labels in, a fitted blend of members out, in well under a second.

Three members say what score a network will get: the prior (its size), boosted trees, and a Gaussian
process; a fourth, encoders fine-tuned on the labels, where somebody asked for it. What is served is
a blend of them, its weights chosen by the rank correlation of what each says of labels that it has
not seen; below `FEWEST` labels the prior speaks alone. Intervals are split-conformal, from the same
held-out answers.
Axes: N labels, M queries.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import kendalltau, norm

from surrogate import process
from surrogate.labels import Labels, Space
from surrogate.process import Process, Views
from surrogate.trees import Trees

# Labels below which the prior speaks: with as many the blend ranks the networks of searches better
# (the in-run case of benchmarks/predictor.py).
FEWEST = 12
FOLDS = 4
MEMBERS = ("prior", "trees", "process", "tuned")
USUAL = np.array([0.0, 0.3, 0.7])  # the blend before any evidence
USUAL_TUNED = np.array([0.0, 0.2, 0.4, 0.4])  # the same with fine-tuned encoders
STEP = 0.1  # of the grid of blends
# Rank correlation that a blend must gain to move from the usual one by 1 in each of its weights,
# times the root of the number of labels: about the standard error of the difference.
CAUTION = 0.5
ALL_SPACES: Space = ("", -1.0)
UNSURE = 1.6  # spread of a score that rests on nothing
SLOPE_DOUBT = 0.3  # standard deviation of the prior's slope before any label
ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation
OWN_INTERVAL = 20  # labels of a space from which on its intervals rest on it alone
# One error more must lie inside an interval, because kernels and blend were chosen with the labels
# that are held out: without it too few results lie inside with 20 labels (the in-run case of
# benchmarks/predictor.py).
SPARED = 1
WIDEN = 1.25  # factor on normal intervals while labels are too few for a quantile
SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True)
class Inputs:
    """Networks as all members see them."""

    views: Views
    columns: np.ndarray
    """What the trees see, (N, any)."""
    tuned: np.ndarray | None = None
    """What fine-tuned encoders say of each, if there are any; of labels, held out."""


@dataclass(frozen=True)
class Member:
    """One predictor of the blend."""

    name: str
    tau: float
    """Kendall's tau on labels that it had not seen; 0.0 while there are too few."""
    weight: float


@dataclass(frozen=True)
class Prior:
    """Score = slope * size, the slope learned with caution (Bayesian linear regression)."""

    slope: float
    spread: float

    def predict(self, queries: Views) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of scores."""
        size_M = process.size_of(queries)
        return self.slope * size_M, np.full(len(size_M), self.spread)


@dataclass(frozen=True)
class Fitted:
    """A blend that has learned from labels."""

    labels: Labels
    prior: Prior
    trees: Trees | None
    process: Process | None
    members: tuple[Member, ...]
    mean_N: np.ndarray
    spread_N: np.ndarray
    """What is said of each label by members that have not seen it."""
    misses: dict[Space, np.ndarray]
    """Held-out errors in spreads, ascending, by space."""

    def predict(self, queries: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of scores, (M,) each."""
        weight = {member.name: member.weight for member in self.members}
        mean_M, spread_M = self.prior.predict(queries.views)
        mean_M = weight["prior"] * mean_M
        if self.process is not None:
            said_M, spread_M = self.process.predict(queries.views)
            mean_M = mean_M + weight["process"] * said_M
        if self.trees is not None and weight["trees"]:
            mean_M = mean_M + weight["trees"] * self.trees.predict(queries.columns)
        if queries.tuned is not None:
            mean_M = mean_M + weight.get("tuned", 0.0) * queries.tuned
        return mean_M, spread_M

    def factor(self, space: Space, level: float, spared: int = SPARED) -> float:
        """Spreads on either side of the mean that hold a share `level` of new labels.

        Split conformal prediction with normalised errors (Lei et al., JASA 2018, section 5.2), the
        errors cross-validated; `spared` errors more than that share lie within.
        """
        misses = self.misses.get(space, self.misses[ALL_SPACES])
        place = int(np.ceil((len(misses) + 1) * level)) + spared
        if not 1 <= place <= len(misses):
            return WIDEN * float(norm.ppf((1 + level) / 2))
        return float(misses[place - 1])

    def sigma(self, space: Space) -> float:
        """Spreads that are one standard deviation, if new labels are normally distributed."""
        return self.factor(space, ONE_SIGMA, spared=0)


def fit(labels: Labels, inputs: Inputs) -> Fitted:
    """Learn from labels; a few of them, or none, leave the prior."""
    count = len(labels.texts)
    prior, prior_mean_N, prior_spread_N = _fit_prior(labels, inputs.views)
    if count < FEWEST:
        members = tuple(Member(name, 0.0, float(name == "prior")) for name in MEMBERS[:3])
        misses = _misses(labels, prior_mean_N, prior_spread_N)
        return Fitted(labels, prior, None, None, members, prior_mean_N, prior_spread_N, misses)
    fitted = process.fit(
        inputs.views,
        labels.scores_N,
        labels.counts_N,
        labels.noise_squares,
        labels.noise_freedom,
    )
    trees, trees_mean_N = _fit_trees(labels, inputs)
    held_out = [prior_mean_N, trees_mean_N, fitted.left_out_mean_N]
    said_MN = np.stack(held_out if inputs.tuned is None else [*held_out, inputs.tuned])
    taus = np.array([_tau(said_N, labels) for said_N in said_MN])
    weights = _blend(said_MN, labels)
    members = tuple(
        Member(*row) for row in zip(MEMBERS, taus.tolist(), weights.tolist(), strict=False)
    )
    mean_N, spread_N = weights @ said_MN, fitted.left_out_spread_N
    misses = _misses(labels, mean_N, spread_N)
    return Fitted(labels, prior, trees, fitted, members, mean_N, spread_N, misses)


def _fit_prior(labels: Labels, views: Views) -> tuple[Prior, np.ndarray, np.ndarray]:
    """The prior, and what it says of each label without that label."""
    size_N, weight_N = process.size_of(views), labels.counts_N
    precision = 1 / SLOPE_DOUBT**2
    square = float((weight_N * size_N**2).sum())
    product = float((weight_N * size_N * labels.scores_N).sum())
    slope = (precision * process.SLOPE + product) / (precision + square)
    own_N = weight_N * size_N
    without_N = (precision * process.SLOPE + product - own_N * labels.scores_N) / (
        precision + square - own_N * size_N
    )
    slope, without_N = max(0.0, slope), np.maximum(0.0, without_N)
    rest = float(((labels.scores_N - without_N * size_N) ** 2).sum())
    spread = float(np.sqrt((rest + 2 * UNSURE**2) / (len(size_N) + 2)))
    return Prior(slope, spread), without_N * size_N, np.full(len(size_N), spread)


def _fit_trees(labels: Labels, inputs: Inputs) -> tuple[Trees, np.ndarray]:
    """Trees on all labels, and what trees on the other folds say of each."""
    count = len(labels.texts)
    fold_N = np.random.default_rng(0).permutation(count) % FOLDS
    said_N = np.zeros(count)
    for fold in range(FOLDS):
        kept, held = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        trees = Trees(inputs.columns[kept], labels.scores_N[kept])
        said_N[held] = trees.predict(inputs.columns[held])
    return Trees(inputs.columns, labels.scores_N), said_N


def _tau(said_N: np.ndarray, labels: Labels) -> float:
    """Kendall's tau within each space, averaged by their labels."""
    found, counts = [], []
    for space in labels.scales:
        rows = [row for row, each in enumerate(labels.spaces) if each == space]
        if len(rows) > 2:
            tau = float(kendalltau(said_N[rows], labels.scores_N[rows])[0])  # type: ignore[arg-type]
            found.append(tau if np.isfinite(tau) else 0.0)
            counts.append(len(rows))
    return float(np.average(found, weights=counts)) if found else 0.0


def _blend(said_MN: np.ndarray, labels: Labels) -> np.ndarray:
    """Weights of the members: the usual ones, moved as far as held-out labels justify."""
    usual = USUAL if len(said_MN) == len(USUAL) else USUAL_TUNED
    caution = CAUTION / np.sqrt(len(labels.texts))
    parts = round(1 / STEP)
    best, chosen = -np.inf, usual
    for weights in product(range(parts + 1), repeat=len(usual) - 1):
        if sum(weights) > parts:
            continue
        blend = np.array([*weights, parts - sum(weights)]) / parts
        distance = float(((blend - usual) ** 2).sum())
        worth = _tau(blend @ said_MN, labels) - caution * distance
        if worth > best:
            best, chosen = worth, blend
    return chosen


def _misses(labels: Labels, mean_N: np.ndarray, spread_N: np.ndarray) -> dict[Space, np.ndarray]:
    """Held-out errors in spreads; of all spaces together where one has too few."""
    errors_N = np.abs(labels.scores_N - mean_N) / np.maximum(spread_N, SMALLEST_SPREAD)
    found = {ALL_SPACES: np.sort(errors_N)}
    for space in labels.scales:
        own = [row for row, each in enumerate(labels.spaces) if each == space]
        if len(own) >= OWN_INTERVAL:
            found[space] = np.sort(errors_N[own])
    return found
