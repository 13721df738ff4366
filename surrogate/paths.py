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
from functools import reduce
from itertools import pairwise

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
    place_L, groups = _schedule(graphs)
    held_LK = np.empty((len(place_L), K))
    held_LK[place_L] = graphs.kinds_L[:, None] >> np.arange(K) & 1
    state_LC = np.hstack([-held_LK, held_LK, held_LK, held_LK @ TILTS_TK.T])
    for lines, sources in groups:
        state_LC[lines] += _joined([state_LC[each] for each in sources])
    state_NC = state_LC[place_L[starts(graphs.lengths_N) + graphs.lengths_N - 1]]
    state_NC[:, :K] *= -1
    tilted_NT = state_NC[:, _TILTED]
    tilted_NT[:, 1:] -= tilted_NT[:, :1]
    return np.sign(state_NC) * np.log2(1 + np.abs(state_NC))


def _joined(before: Sequence[np.ndarray]) -> np.ndarray:
    """What lines know that read as many others as there are states here, each (L, C)."""
    if len(before) == 1:
        return before[0]
    known_LC = reduce(np.maximum, before)
    known_LC[:, _WALKED] = sum([each[:, _WALKED] for each in before]) / len(before)
    top_LT = known_LC[:, _TILTED]
    known_LC[:, _TILTED] += np.log2(sum([np.exp2(each[:, _TILTED] - top_LT) for each in before]))
    return known_LC


def _schedule(graphs: Unfolded) -> tuple[np.ndarray, list[tuple[slice, np.ndarray]]]:
    """A new place for every line, and the lines in groups that can be worked on together.

    A group holds the n-th lines of all texts, as far as they read equally many others: a slice of
    the new places, and what each of its lines reads, (sources, lines).
    """
    step_L = np.arange(len(graphs.text_L)) - starts(graphs.lengths_N)[graphs.text_L]
    count_L = np.bincount(graphs.reader_E, minlength=len(step_L))
    order_L = np.lexsort((count_L, step_L))
    place_L = np.empty_like(order_L)
    place_L[order_L] = np.arange(len(order_L))
    edges = np.argsort(place_L[graphs.reader_E], kind="stable")
    source_E = place_L[graphs.source_E[edges]]
    count_L, step_L = count_L[order_L], step_L[order_L]
    first_E = starts(count_L)
    is_new = (np.diff(step_L, prepend=-1) != 0) | (np.diff(count_L, prepend=-1) != 0)
    bounds = [*np.flatnonzero(is_new).tolist(), len(order_L)]
    groups = []
    for low, high in pairwise(bounds):
        if count := int(count_L[low]):
            first = first_E[low]
            sources = source_E[first : first + count * (high - low)].reshape(-1, count)
            groups.append((slice(low, high), sources.T))
    return place_L, groups
