"""How good a predictor is, in figures: ranking, the best of its choices, calibration, transfer.

In: predictions of networks that the predictor had not seen, with what was then measured; out: a
`Report` of plain numbers, which a command prints and `page` draws. Beside the predictor stands the
prior (mean rank of log parameters and log MACs), which needs no labels.
Axes: N networks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.stats import norm, spearmanr

from surrogate.data import Table
from surrogate.errors import SurrogateError, problem
from surrogate.parse import parse
from surrogate.rank import kendall_tau, prior_ranks

LEVELS = (0.5, 0.8, 0.9, 0.95)
CHOICES = (1, 5, 10)
RESAMPLES = 500  # of the bootstrap: the ends of a 95 % interval to about a tenth of its width
SPLITS = 40  # random halves on which conformal coverage is measured
FEWEST = 5  # networks that a correlation needs


@dataclass(frozen=True)
class Predictions:
    """What was said of networks, and what was measured; accuracies 0..1."""

    texts: tuple[str, ...]
    mean_N: np.ndarray
    spread_N: np.ndarray
    intervals: Mapping[float, tuple[np.ndarray, np.ndarray]]
    """Low and high ends by level, as the predictor says them; 0.9 is always there."""
    accuracy_N: np.ndarray
    tasks: tuple[str, ...]
    source: str
    """Where they are from, for the heading."""


@dataclass(frozen=True)
class Correlation:
    """Rank correlation with its 95 % bootstrap interval over networks."""

    name: str
    count: int
    tau: tuple[float, float, float]
    """Kendall: the figure, low end, high end."""
    rho: tuple[float, float, float]
    """Spearman."""


@dataclass(frozen=True)
class Regret:
    """Best accuracy of all minus the best among the `choice` best predicted."""

    choice: int
    predictor: float
    prior: float
    random: float
    """Expected of a random choice."""


@dataclass(frozen=True)
class Coverage:
    """Share of measured accuracies within intervals of one level."""

    level: float
    spread: float
    """Of mean and spread, taken as a normal distribution."""
    conformal: float
    """Of the predictor's intervals; where it has not said them, of split-conformal ones, made of
    the errors of random halves and tested on the other halves."""


@dataclass(frozen=True)
class Transfer:
    """One family: learned from all others, tested on it."""

    name: str
    trained: int
    tested: int
    tau: float
    prior: float


@dataclass(frozen=True)
class MemberFigure:
    """One member of the blend, on labels that it had not seen."""

    name: str
    tau: float
    weight: float


@dataclass(frozen=True)
class Report:
    """All figures."""

    title: str
    verdict: str
    """Whether the predictor ranks better than size alone, in one sentence."""
    predictions: Predictions
    correlations: tuple[Correlation, ...]
    """Predictor and prior; then the predictor by task, where there are several."""
    regrets: tuple[Regret, ...]
    coverages: tuple[Coverage, ...]
    served: float
    """Coverage of the 90 % intervals that `score` prints."""
    members: tuple[MemberFigure, ...]
    noise: str
    transfers: tuple[Transfer, ...] = field(default=())


class Learner(Protocol):
    """A predictor, as far as transfer needs it."""

    def fit(self, texts: Sequence[str], accuracies: Sequence[float]) -> "Learner":
        """Another one that has learned from these labels."""
        ...

    def score(self, graphs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread."""
        ...


def make_report(
    title: str,
    predictions: Predictions,
    members: Sequence[MemberFigure],
    noise: str,
    transfers: Sequence[Transfer] = (),
) -> Report:
    """Compute every figure of the predictions."""
    count = len(predictions.texts)
    if count < FEWEST:
        what, expected = f"{count} networks", f"at least {FEWEST} measured ones"
        raise SurrogateError(problem(what, title, expected, "Give more labels"))
    prior_N = prior_of(predictions.texts)
    accuracy_N, mean_N = predictions.accuracy_N, predictions.mean_N
    correlations = [
        correlation("predictor", mean_N, accuracy_N),
        correlation("prior (size)", prior_N, accuracy_N),
        *_by_task(predictions),
    ]
    coverages = {level: coverage(predictions, level) for level in LEVELS}
    return Report(
        title=title,
        verdict=verdict(mean_N, prior_N, accuracy_N),
        predictions=predictions,
        correlations=tuple(correlations),
        regrets=regrets(mean_N, prior_N, accuracy_N),
        coverages=tuple(coverages.values()),
        served=coverages[0.9].conformal,
        members=tuple(members),
        noise=noise,
        transfers=tuple(transfers),
    )


def prior_of(texts: Sequence[str]) -> np.ndarray:
    """Mean rank of log parameters and log MACs."""
    parsed = [parse(text) for text in texts]
    sizes = np.array([(each.parameters, each.macs) for each in parsed], float).reshape(-1, 2)
    return prior_ranks(np.log(sizes[:, 0] + 1), np.log(sizes[:, 1] + 1))


def correlation(name: str, predicted_N: np.ndarray, accuracy_N: np.ndarray) -> Correlation:
    """Kendall's tau and Spearman's rho, networks drawn again with replacement."""
    count = len(accuracy_N)
    drawn = resamples(count)
    return Correlation(
        name,
        count,
        _with_interval(kendall_tau, predicted_N, accuracy_N, drawn),
        _with_interval(_rho, predicted_N, accuracy_N, drawn),
    )


def verdict(mean_N: np.ndarray, prior_N: np.ndarray, accuracy_N: np.ndarray) -> str:
    """Compare predictor and prior on the same networks, drawn again with replacement."""

    def gain(rows: np.ndarray) -> float:
        measured_N = accuracy_N[rows]
        return kendall_tau(mean_N[rows], measured_N) - kendall_tau(prior_N[rows], measured_N)

    count = len(accuracy_N)
    low, high = np.quantile([gain(rows) for rows in resamples(count)], [0.025, 0.975])
    figure = f"Kendall tau {gain(np.arange(count)):+.3f}, 95 % {low:+.3f} .. {high:+.3f}"
    if low > 0:
        return f"It ranks better than size alone ({figure})."
    if high < 0:
        return f"It ranks worse than size alone ({figure}): rank by the prior instead."
    return f"It cannot be told from ranking by size alone ({figure})."


def resamples(count: int) -> list[np.ndarray]:
    """Rows drawn with replacement, the same ones every time."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, count, count) for _ in range(RESAMPLES)]


def _with_interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    predicted_N: np.ndarray,
    accuracy_N: np.ndarray,
    drawn: Sequence[np.ndarray],
) -> tuple[float, float, float]:
    found = [measure(predicted_N[rows], accuracy_N[rows]) for rows in drawn]
    low, high = np.quantile(found, [0.025, 0.975])
    return measure(predicted_N, accuracy_N), float(low), float(high)


def _rho(predicted_N: np.ndarray, accuracy_N: np.ndarray) -> float:
    if np.ptp(predicted_N) == 0 or np.ptp(accuracy_N) == 0:
        return 0.0
    return float(spearmanr(predicted_N, accuracy_N)[0])  # type: ignore[arg-type]


def _by_task(predictions: Predictions) -> list[Correlation]:
    names = sorted(set(predictions.tasks))
    found = []
    for name in names if len(names) > 1 else []:
        rows = np.array([task == name for task in predictions.tasks])
        if rows.sum() >= FEWEST:
            said = predictions.mean_N[rows], predictions.accuracy_N[rows]
            found.append(correlation(f"task {name or 'without a name'}", *said))
    return found


def regrets(mean_N: np.ndarray, prior_N: np.ndarray, accuracy_N: np.ndarray) -> tuple[Regret, ...]:
    """What is lost by training only the networks that are predicted best."""
    best = float(accuracy_N.max())

    def lost(predicted_N: np.ndarray, choice: int) -> float:
        chosen = np.argsort(-predicted_N, kind="stable")[:choice]
        return best - float(accuracy_N[chosen].max())

    count = len(accuracy_N)
    return tuple(
        Regret(
            choice,
            lost(mean_N, choice),
            lost(prior_N, choice),
            best - expected_best(accuracy_N, choice),
        )
        for choice in CHOICES
        if choice < count
    )


def expected_best(accuracy_N: np.ndarray, choice: int) -> float:
    """Expected maximum of `choice` networks drawn without replacement."""
    ascending_N = np.sort(accuracy_N)
    count = len(ascending_N)
    # P(the maximum is the r-th smallest) = C(r-1, k-1) / C(N, k), from the largest one down
    share, expected = choice / count, 0.0
    for rank in range(count, choice - 1, -1):
        expected += share * float(ascending_N[rank - 1])
        if rank > choice:
            share *= (rank - choice) / (rank - 1)
    return expected


def coverage(predictions: Predictions, level: float) -> Coverage:
    """Share of accuracies within the intervals of one level, by its spread and by its intervals."""
    spread_N = np.maximum(predictions.spread_N, 1e-6)
    misses_N = np.abs(predictions.accuracy_N - predictions.mean_N) / spread_N
    normal = float((misses_N <= norm.ppf((1 + level) / 2)).mean())
    if level in predictions.intervals:
        low_N, high_N = predictions.intervals[level]
        inside_N = (low_N <= predictions.accuracy_N) & (predictions.accuracy_N <= high_N)
        return Coverage(level, normal, float(inside_N.mean()))
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(SPLITS):
        learned, tested = np.array_split(rng.permutation(misses_N), 2)
        place = min(len(learned), int(np.ceil((len(learned) + 1) * level)))
        shares.append(float((tested <= np.sort(learned)[place - 1]).mean()))
    return Coverage(level, normal, float(np.mean(shares)))


def transfers(learner: Learner, table: Table) -> tuple[Transfer, ...]:
    """For every family of the table: learn from all others, rank it."""
    if table.origins is None or len(set(table.origins)) < 2:
        return ()
    names = np.array(table.origins, object)
    found = []
    for name in sorted(set(table.origins)):
        tested = [table.texts[i] for i in np.flatnonzero(names == name)]
        known = set(tested)
        trained = [i for i in np.flatnonzero(names != name) if table.texts[i] not in known]
        if len(tested) < FEWEST or len(trained) < FEWEST:
            continue
        fitted = learner.fit(
            [table.texts[i] for i in trained], [table.accuracies[i] for i in trained]
        )
        measured = np.array(table.accuracies)[names == name]
        tau = kendall_tau(fitted.score(tested)[0], measured)
        prior = kendall_tau(prior_of(tested), measured)
        found.append(Transfer(name or "without a name", len(trained), len(tested), tau, prior))
    return tuple(found)


def noise_of(
    texts: Sequence[str],
    accuracies: Sequence[float],
    spaces: Sequence[object],
) -> str:
    """What repeated trainings of one network say, in one sentence."""
    groups: dict[tuple[str, object], list[float]] = {}
    for text, accuracy, space in zip(texts, accuracies, spaces, strict=True):
        groups.setdefault((text, space), []).append(accuracy)
    repeated = [np.array(values) for values in groups.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if not freedom:
        return "Noise of one training: not known, no network was trained twice."
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in repeated)
    points = 100 * float(np.sqrt(squares / freedom))
    return (
        f"Noise of one training: {points:.2f} points (standard deviation), from "
        f"{len(repeated)} networks that were trained more than once."
    )
