"""From a few labels to a predictor: Gaussian process regression, averaged over kernels by evidence.

In: three views of each network - what the prior knows (parameters, MACs, intensity, depth), all
graph features, the encoder's vector - and accuracies; out: mean and standard deviation, in
accuracy. With few labels the evidence cannot tell kernels apart and the plain ones speak; the mean
slopes up with size from the start, as the prior says. Exact, nothing random, well under a second.
Axes: N labels, M queries, K kernels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, eigh, solve_triangular

FEWEST = 3  # labels below which there is nothing to fit
EVIDENCE_LIMIT = 300  # labels that choose among kernels; more change nothing but the time
NOISES = (0.03, 0.1, 0.3, 1.0, 3.0)  # noise variance over signal variance
LENGTHS = (1.0, 2.0)  # in standard deviations of a view
SHARES = (  # linear in the prior's features, then RBF on: those, all graph features, the vector
    (0.5, 0.5, 0.0, 0.0),
    (0.3, 0.2, 0.0, 0.5),
    (0.2, 0.2, 0.3, 0.3),
    (0.1, 0.0, 0.45, 0.45),
)
SHAPE, SCALE = 2.0, 1.0  # inverse-gamma prior of the signal variance, labels standardised
# Labels' standard deviations per standard deviation of size, before any label. 0.6: best of 0, .4,
# .6, .8 on 47 grammar nets trained for 500 steps on MNIST-1D; .4 to .8 differ by less than .01 tau.
SLOPE = 0.6
PSEUDO_LABELS = 10  # weight of the corpus' spread against the labels' own
SMALLEST_WEIGHT = 0.05  # kernels that weigh less, against the best one, are dropped
MANY_LABELS_WEIGHT = 0.5  # the same where each kernel costs time
LOWEST, HIGHEST = 0.005, 0.995  # accuracies are clipped to this before the logit
OUTLIER = 3.0  # robust standard deviations below which a failed training counts as this bad


@dataclass(frozen=True)
class Views:
    """Networks as the regression sees them."""

    core: np.ndarray
    graph: np.ndarray
    vector: np.ndarray

    def take(self, rows: np.ndarray) -> "Views":
        """Some of the networks."""
        return Views(self.core[rows], self.graph[rows], self.vector[rows])


@dataclass(frozen=True)
class Scaling:
    """How the features of a query are brought to the labels' scale."""

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Solved:
    """One kernel, solved for the labels."""

    shares: tuple[float, ...]
    length: float
    noise: float
    weight: float
    """Posterior weight among the kernels."""
    root_NN: np.ndarray
    solution_N: np.ndarray
    signal: float


@dataclass(frozen=True)
class Regression:
    """A fitted predictor as plain arrays."""

    train: Views
    centre: float
    unit: float
    """Labels are `centre + unit * standardised`, on the logit scale."""
    kernels: tuple[Solved, ...]

    def predict(self, queries: Views) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the accuracy, (M,) each."""
        answers = [_predict_one(kernel, self.train, queries) for kernel in self.kernels]
        mean_KM, variance_KM = (np.array(part) for part in zip(*answers, strict=True))
        weight_K = np.array([kernel.weight for kernel in self.kernels])
        mean_M = weight_K @ mean_KM
        variance_M = weight_K @ (variance_KM + (mean_KM - mean_M) ** 2)
        mean_M = mean_M + SLOPE * _size(queries)
        return _accuracy(self.centre + self.unit * mean_M, self.unit * np.sqrt(variance_M))


def _predict_one(kernel: Solved, train: Views, queries: Views) -> tuple[np.ndarray, np.ndarray]:
    cross_MN = _gram(queries, train, kernel.shares, kernel.length)
    explained_NM = solve_triangular(kernel.root_NN, cross_MN.T, lower=True)
    own_M = _diagonal(queries, kernel.shares) + kernel.noise
    left_M = np.maximum(own_M - (explained_NM**2).sum(0), 1e-6)
    return cross_MN @ kernel.solution_N, kernel.signal * left_M


def fit(train: Views, accuracies: np.ndarray) -> Regression:
    """Fit to at least `FEWEST` labels."""
    logits = np.log(np.clip(accuracies, LOWEST, HIGHEST))
    logits = logits - np.log1p(-np.clip(accuracies, LOWEST, HIGHEST))
    middle = np.median(logits)
    robust = 1.4826 * np.median(np.abs(logits - middle)) + 0.05
    logits = np.maximum(logits, middle - OUTLIER * robust)
    centre, unit = float(logits.mean()), float(logits.std() + 0.05)
    size = _size(train)
    residual = (logits - centre) / unit - SLOPE * size
    chosen = np.unique(np.linspace(0, len(logits) - 1, EVIDENCE_LIMIT).astype(int))
    kernels = _choose(train.take(chosen), residual[chosen], len(logits))
    solved = tuple(_solve(train, residual, *kernel) for kernel in kernels)
    return Regression(train, centre, unit, solved)


def _solve(
    train: Views,
    residual_N: np.ndarray,
    shares: tuple[float, ...],
    length: float,
    noise: float,
    weight: float,
) -> Solved:
    gram_NN = _gram(train, train, shares, length)
    root_NN = cholesky(gram_NN + noise * np.eye(len(gram_NN)), lower=True)
    solution_N = cho_solve((root_NN, True), residual_N)
    signal = _signal(float(residual_N @ solution_N), len(residual_N))
    return Solved(shares, length, noise, weight, root_NN, solution_N, signal)


def scaling(features: np.ndarray, corpus_spread: np.ndarray) -> Scaling:
    """Mean of the labelled networks; their spread, held up by that of the corpus."""
    count = len(features)
    variance = count * features.var(0) + PSEUDO_LABELS * corpus_spread**2
    return Scaling(features.mean(0), np.sqrt(variance / (count + PSEUDO_LABELS)) + 1e-6)


def views(features: np.ndarray, vectors: np.ndarray, scale: Scaling, core: int) -> Views:
    """Bring raw features and projected vectors into the three views."""
    graph = np.clip((features - scale.mean) / scale.spread, -5, 5)
    return Views(graph[:, :core], graph, vectors)


def _size(networks: Views) -> np.ndarray:
    """Mean of log parameters and log MACs, in standard deviations."""
    return np.clip(networks.core[:, :2].mean(1), -2, 2)


def _squared(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Squared distances."""
    product = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    return np.maximum(product, 0)


def _gram(left: Views, right: Views, shares: Sequence[float], length: float) -> np.ndarray:
    linear, core, graph, vector = shares
    gram = linear * left.core @ right.core.T / left.core.shape[1]
    for share, a, b, unit in (
        (core, left.core, right.core, left.core.shape[1]),
        (graph, left.graph, right.graph, left.graph.shape[1]),
        (vector, left.vector, right.vector, 1.0),  # the projection has total variance one
    ):
        if share:
            gram = gram + share * np.exp(-_squared(a, b) / (2 * unit * length**2))
    return gram


def _diagonal(networks: Views, shares: Sequence[float]) -> np.ndarray:
    linear = shares[0] * (networks.core**2).sum(1) / networks.core.shape[1]
    return linear + sum(shares[1:])


def _signal(explained: float, count: int) -> float:
    """Posterior mean of the signal variance."""
    return (SCALE + explained / 2) / (SHAPE + count / 2 - 1)


def _choose(
    train: Views, residual_N: np.ndarray, count: int
) -> list[tuple[tuple[float, ...], float, float, float]]:
    """Shares, length, noise and posterior weight of the kernels that carry the evidence."""
    found = []
    for shares in SHARES:
        for length in LENGTHS:
            values_N, basis_NN = eigh(_gram(train, train, shares, length))
            projected_N = (basis_NN.T @ residual_N) ** 2
            for noise in NOISES:
                evidence = _evidence(np.maximum(values_N, 0) + noise, projected_N)
                found.append((shares, length, noise, evidence))
    evidence_K = np.array([row[3] for row in found])
    weight_K = np.exp(evidence_K - evidence_K.max())
    smallest = MANY_LABELS_WEIGHT if count > EVIDENCE_LIMIT else SMALLEST_WEIGHT
    kept = np.flatnonzero(weight_K >= smallest)  # against the best one
    total = weight_K[kept].sum()
    return [(*found[k][:3], float(weight_K[k] / total)) for k in kept]


def _evidence(values_N: np.ndarray, projected_N: np.ndarray) -> float:
    """Log marginal likelihood, the signal variance integrated out (a Student t distribution)."""
    rest = SCALE + (projected_N / values_N).sum() / 2
    return float(-np.log(values_N).sum() / 2 - (SHAPE + len(values_N) / 2) * np.log(rest))


def _accuracy(mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the logit scale to accuracies, by quadrature over the normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    weights = weights / weights.sum()
    values = 1 / (1 + np.exp(-(mean[:, None] + spread[:, None] * nodes)))
    centre = values @ weights
    return centre, np.sqrt(((values - centre[:, None]) ** 2) @ weights)
