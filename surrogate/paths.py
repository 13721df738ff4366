"""What lies on the paths of a graph from its input to its output.

For every kind of operator (`features.KINDS`): how many lie on the path with the fewest, on the one
with the most, and on a path walked back from the output, each operand as likely as the next; and
how the number of paths grows and shrinks when every operator of the kind doubles or halves a path's
weight, which says what mean and spread over all paths are. Paths are how signals and gradients
travel; Kadlecova et al. 2024 (arXiv 2404.16551) show for cells how much they say of accuracy. Here
they are those of the whole unfolded network. All texts are worked on at once, the n-th lines of
all of them in the n-th step.
Axes: N texts, L lines of all texts, E edges, K kinds, T tilts, C columns of a line's state.
"""

from collections.abc import Sequence

import numpy as np

from surrogate.features import GRAPH_FEATURES, KINDS
from surrogate.reading import Reading
from surrogate.unfolded import Unfolded, starts

K = len(KINDS)
TILTS_TK = np.vstack([np.zeros((1, K)), np.eye(K), -np.eye(K)])
"""Logarithm (base 2) of a path's weight per operator of each kind; the first row counts paths."""
PATH_FEATURES = 3 * K + len(TILTS_TK)
FEATURES = GRAPH_FEATURES + PATH_FEATURES
_WALKED = slice(2 * K, 3 * K)
_TILTED = slice(3 * K, None)


def features_of(readings: Sequence[Reading], graphs: Unfolded) -> np.ndarray:
    """What is known of each text without an encoder, (N, FEATURES)."""
    if not readings:
        return np.zeros((0, FEATURES))
    return np.hstack([np.stack([each.features for each in readings]), path_features(graphs)])


def path_features(graphs: Unfolded) -> np.ndarray:
    """Logarithms of counts (base 2, of one more) of every text, (N, PATH_FEATURES)."""
    held_LK = (graphs.kinds_L[:, None] >> np.arange(K) & 1).astype(float)
    state_LC = np.hstack([-held_LK, held_LK, held_LK, held_LK @ TILTS_TK.T])
    for alone, joined in _steps(graphs):
        readers, sources, _ = alone
        state_LC[readers] += state_LC[sources]
        if len(joined[0]):
            _join(state_LC, *joined)
    state_NC = state_LC[starts(graphs.lengths_N) + graphs.lengths_N - 1]
    state_NC[:, :K] *= -1
    tilted_NT = state_NC[:, _TILTED]
    tilted_NT[:, 1:] -= tilted_NT[:, :1]
    return np.sign(state_NC) * np.log2(1 + np.abs(state_NC))


def _join(
    state_LC: np.ndarray, readers: np.ndarray, sources: np.ndarray, counts: np.ndarray
) -> None:
    """Give lines that read several others what those know; the edges of each stand together."""
    before_EC = state_LC[sources]
    at = starts(counts)
    known = np.maximum.reduceat(before_EC, at)
    known[:, _WALKED] = np.add.reduceat(before_EC[:, _WALKED], at) / counts[:, None]
    below_ET = before_EC[:, _TILTED] - np.repeat(known[:, _TILTED], counts, axis=0)
    known[:, _TILTED] += np.log2(np.add.reduceat(np.exp2(below_ET), at))
    state_LC[readers] += known


Edges = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Lines that read, what they read, and how many edges each has."""


def _steps(graphs: Unfolded) -> list[tuple[Edges, Edges]]:
    """The edges of the n-th lines of all texts: lines with one source, and with several."""
    step_L = np.arange(len(graphs.text_L)) - starts(graphs.lengths_N)[graphs.text_L]
    count_L = np.bincount(graphs.reader_E, minlength=len(step_L))
    parts = []
    for chosen_L in (count_L == 1, count_L > 1):
        readers = np.flatnonzero(chosen_L)
        readers = readers[np.argsort(step_L[readers], kind="stable")]
        edges = np.flatnonzero(chosen_L[graphs.reader_E])
        edges = edges[np.argsort(step_L[graphs.reader_E[edges]], kind="stable")]
        steps = np.arange(1, graphs.lengths_N.max())
        cuts = np.searchsorted(step_L[readers], steps)
        edge_cuts = np.searchsorted(step_L[graphs.reader_E[edges]], steps)
        parts.append(
            zip(
                np.split(readers, cuts)[1:],
                np.split(graphs.source_E[edges], edge_cuts)[1:],
                np.split(count_L[readers], cuts)[1:],
                strict=True,
            )
        )
    return list(zip(*parts, strict=True))
