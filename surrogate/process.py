"""The main member: Gaussian process regression, averaged over kernels by their evidence.

In: four views of each network - what the prior knows (parameters, MACs, intensity, depth), all
graph features, the encoders' vector, counts of neighbourhoods - and the labels' scores; out: mean
and standard deviation of scores, for new networks and, left out one by one, for the labelled ones.
With few labels the evidence cannot tell kernels apart and the plain ones speak; the mean slopes up
with size from the start, as the prior says. Exact, nothing random.
Axes: N labels, M queries, K kernels, S spaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np
from scipy.linalg import cho_solve, cholesky, eigh, solve_triangular

from surrogate.graph_features import CORE

EVIDENCE_LIMIT = 200  # labels that choose among kernels; more change nothing but the time
NOISES = (0.03, 0.1, 0.3, 1.0, 3.0)  # noise variance over signal variance
LENGTHS = (0.7, 1.2, 2.0)  # in standard deviations of a view
SHARES = (  # linear in the prior's features; RBF on those, graph features, the vector, counts
    (0.5, 0.5, 0.0, 0.0, 0.0),
    (0.3, 0.2, 0.0, 0.5, 0.0),
    (0.2, 0.2, 0.3, 0.3, 0.0),
    (0.1, 0.0, 0.45, 0.45, 0.0),
    (0.05, 0.0, 0.0, 0.95, 0.0),
    (0.05, 0.0, 0.0, 0.75, 0.2),
    (0.05, 0.0, 0.0, 0.5, 0.45),
    (0.05, 0.0, 0.25, 0.4, 0.3),
)
KINSHIPS = (0.3, 0.7, 0.95)  # correlation of one network's scores in two spaces
SHAPE, SCALE = 2.0, 1.0  # inverse-gamma prior of the signal variance
# Scores' standard deviations per standard deviation of size, before any label; from .4 to .8 the
# order of grammar-made networks on MNIST-1D hardly changes.
SLOPE = 0.6
PSEUDO_LABELS = 10  # weight of the corpus' spread against the labels' own
SMALLEST_WEIGHT = 0.05  # kernels that weigh less, against the best one, are dropped
MANY_LABELS_WEIGHT = 0.5  # the same where each kernel costs time
MOST_KERNELS = 8  # every one of them costs time when networks are scored


@dataclass(frozen=True)
class Views:
    """Networks as the regression sees them."""

    core: np.ndarray
    graph: np.ndarray
    vector: np.ndarray
    counts: np.ndarray
    """Of neighbourhoods of operators, of total variance about one."""
    space: np.ndarray
    """Which space each network's score is of, as a number."""

    def take(self, rows: np.ndarray) -> "Views":
        """Some of the networks."""
        return Views(
            self.core[rows],
            self.graph[rows],
            self.vector[rows],
            self.counts[rows],
            self.space[rows],
        )


@dataclass(frozen=True)
class Scaling:
    """How the features of a query are brought to the labels' scale."""

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Kernel:
    """One way of comparing networks."""

    shares: tuple[float, ...]
    length: float
    kinship: float

    def gram(self, pairs: "Pairs") -> np.ndarray:
        """Prior covariance of networks."""
        gram = self.shares[0] * pairs.linear
        for share, (square, unit) in zip(self.shares[1:], pairs.squares, strict=True):
            if share:
                gram = gram + share * np.exp(-square / (2 * unit * self.length**2))
        return np.where(pairs.are_of_one_space, gram, self.kinship * gram)

    def diagonal(self, networks: Views) -> np.ndarray:
        """Prior variance of networks."""
        linear = self.shares[0] * (networks.core**2).sum(1) / networks.core.shape[1]
        return linear + sum(self.shares[1:])


@dataclass(frozen=True)
class Pairs:
    """What all kernels need to compare networks with networks, worked out once."""

    linear: np.ndarray
    squares: tuple[tuple[np.ndarray, float], ...]
    """Squared distances in each view, and what is one unit of them."""
    are_of_one_space: np.ndarray


def pairs_of(left: Views, right: Views) -> Pairs:
    """Compare every network on the left with every one on the right."""
    width = left.core.shape[1]
    return Pairs(
        left.core @ right.core.T / width,
        (
            (_squared(left.core, right.core), width),
            (_squared(left.graph, right.graph), left.graph.shape[1]),
            (_squared(left.vector, right.vector), 1.0),
            (_squared(left.counts, right.counts), 1.0),
        ),
        left.space[:, None] == right.space[None],
    )


@dataclass(frozen=True)
class Solved:
    """One kernel, solved for the labels."""

    kernel: Kernel
    noise: float
    weight: float
    """Posterior weight among the kernels."""
    root_NN: np.ndarray
    solution_N: np.ndarray
    signal: float


@dataclass(frozen=True)
class Process:
    """A fitted regression."""

    train: Views
    counts_N: np.ndarray
    kernels: tuple[Solved, ...]
    left_out_mean_N: np.ndarray
    left_out_spread_N: np.ndarray
    """What the other labels say of each label."""

    def predict(self, queries: Views) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the score of one more training, (M,) each."""
        pairs, answers = pairs_of(queries, self.train), []
        for kernel, group in groupby(self.kernels, key=lambda solved: solved.kernel):
            cross_MN = kernel.gram(pairs) * np.sqrt(self.counts_N)
            own_M = kernel.diagonal(queries)
            answers += [_answer(solved, cross_MN, own_M) for solved in group]
        mean_M, spread_M = _mixed([solved.weight for solved in self.kernels], answers)
        return mean_M + _expected(queries), spread_M


def _answer(
    solved: Solved, cross_MN: np.ndarray, own_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance that one kernel says; its noise is part of the variance."""
    explained_NM = solve_triangular(solved.root_NN, cross_MN.T, lower=True)
    left_M = np.maximum(own_M + solved.noise - (explained_NM**2).sum(0), 1e-6)
    return cross_MN @ solved.solution_N, solved.signal * left_M


def fit(
    train: Views,
    scores_N: np.ndarray,
    counts_N: np.ndarray,
    noise_squares: float = 0.0,
    noise_freedom: int = 0,
) -> Process:
    """Fit to scores, each the mean of `counts_N` trainings.

    Args:
        train: The labelled networks.
        scores_N: Their scores.
        counts_N: Trainings behind each score; noise shrinks with them.
        noise_squares: What repeated trainings say of the noise: squared deviations ...
        noise_freedom: ... and their degrees of freedom.
    """
    residual_N = (scores_N - _expected(train)) * np.sqrt(counts_N)
    chosen = np.unique(np.linspace(0, len(scores_N) - 1, EVIDENCE_LIMIT).astype(int))
    repeated = (noise_squares, noise_freedom)
    found = _choose(train.take(chosen), residual_N[chosen], counts_N[chosen], repeated)
    smallest = MANY_LABELS_WEIGHT if len(scores_N) > EVIDENCE_LIMIT else SMALLEST_WEIGHT
    least = max(smallest, sorted(weight for _, _, weight in found)[-MOST_KERNELS])
    kept = [each for each in found if each[2] >= least]
    total = sum(weight for _, _, weight in kept)
    solved, left_out = [], []
    pairs = pairs_of(train, train)
    for kernel, noise, weight in kept:
        one, mean_N, variance_N = _solve(
            pairs, residual_N, counts_N, kernel, noise, weight / total, repeated
        )
        solved.append(one)
        left_out.append((mean_N, variance_N))
    mean_N, spread_N = _mixed([one.weight for one in solved], left_out)
    return Process(train, counts_N, tuple(solved), mean_N + _expected(train), spread_N)


def _mixed(
    weights: Sequence[float], answers: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of a mixture of normal distributions."""
    weight_K = np.array(weights)
    mean_KM = np.array([mean for mean, _ in answers])
    variance_KM = np.array([variance for _, variance in answers])
    mean_M = weight_K @ mean_KM
    return mean_M, np.sqrt(weight_K @ (variance_KM + (mean_KM - mean_M) ** 2))


def _solve(
    pairs: Pairs,
    residual_N: np.ndarray,
    counts_N: np.ndarray,
    kernel: Kernel,
    noise: float,
    weight: float,
    repeated: tuple[float, int],
) -> tuple[Solved, np.ndarray, np.ndarray]:
    """One kernel solved, and what it says of each label without that label (mean, variance).

    Leaving one out in closed form: Sundararajan & Keerthi 2001, eq. 11.
    """
    root_c = np.sqrt(counts_N)
    gram_NN = kernel.gram(pairs) * root_c[:, None] * root_c
    root_NN = cholesky(gram_NN + noise * np.eye(len(gram_NN)), lower=True)
    inverse_NN = cho_solve((root_NN, True), np.eye(len(gram_NN)))
    solution_N = inverse_NN @ residual_N
    signal = _signal(float(residual_N @ solution_N), len(residual_N), noise, repeated)
    precision_N = np.diag(inverse_NN)
    mean_N = (residual_N - solution_N / precision_N) / root_c
    variance_N = signal / precision_N / counts_N
    return Solved(kernel, noise, weight, root_NN, solution_N, signal), mean_N, variance_N


def scaling(features: np.ndarray, corpus_spread: np.ndarray) -> Scaling:
    """Mean of the labelled networks; their spread, held up by that of the corpus."""
    count = len(features)
    variance = count * features.var(0) + PSEUDO_LABELS * corpus_spread**2
    return Scaling(features.mean(0), np.sqrt(variance / (count + PSEUDO_LABELS)) + 1e-6)


def views(
    features: np.ndarray,
    vectors: np.ndarray,
    scale: Scaling,
    counts: np.ndarray,
    space: np.ndarray,
    extra: np.ndarray | None = None,
) -> Views:
    """Bring raw features beside what is scaled already; `extra` joins the graph features."""
    graph = np.clip((features - scale.mean) / scale.spread, -5, 5)
    core = graph[:, :CORE]
    graph = graph if extra is None else np.hstack([graph, extra])
    return Views(core, graph, vectors, counts, space)


def size_of(networks: Views) -> np.ndarray:
    """Mean of log parameters and log MACs, in standard deviations."""
    return networks.core[:, :2].mean(1)


def _expected(networks: Views) -> np.ndarray:
    """Scores before any label."""
    return SLOPE * np.clip(size_of(networks), -2, 2)


def _squared(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Squared distances."""
    product_ = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    return np.maximum(product_, 0)


def _signal(explained: float, count: int, noise: float, repeated: tuple[float, int]) -> float:
    """Posterior mean of the signal variance."""
    squares, freedom = repeated
    return (SCALE + (explained + squares / noise) / 2) / (SHAPE + (count + freedom) / 2 - 1)


def _choose(
    train: Views, residual_N: np.ndarray, counts_N: np.ndarray, repeated: tuple[float, int]
) -> list[tuple[Kernel, float, float]]:
    """Kernels with their noise and their posterior weight against the best one."""
    kinships = KINSHIPS if len(np.unique(train.space)) > 1 else KINSHIPS[-1:]
    root_c = np.sqrt(counts_N)
    pairs = pairs_of(train, train)
    found, evidence = [], []
    for shares, length, kinship in product(SHARES, LENGTHS, kinships):
        kernel = Kernel(shares, length, kinship)
        values_N, basis_NN = eigh(kernel.gram(pairs) * root_c[:, None] * root_c)
        projected_N = (basis_NN.T @ residual_N) ** 2
        for noise in NOISES:
            found.append((kernel, noise))
            evidence.append(_evidence(np.maximum(values_N, 0), projected_N, noise, repeated))
    evidence_K = np.array(evidence)
    weight_K = np.exp(evidence_K - evidence_K.max())
    return [(*each, float(weight)) for each, weight in zip(found, weight_K, strict=True)]


def _evidence(
    values_N: np.ndarray, projected_N: np.ndarray, noise: float, repeated: tuple[float, int]
) -> float:
    """Log marginal likelihood, the signal variance integrated out (a Student t distribution)."""
    squares, freedom = repeated
    total_N = values_N + noise
    rest = SCALE + (float((projected_N / total_N).sum()) + squares / noise) / 2
    determinant = float(np.log(total_N).sum()) + freedom * np.log(noise)
    return -determinant / 2 - (SHAPE + (len(values_N) + freedom) / 2) * float(np.log(rest))
