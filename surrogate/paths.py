"""What lies on the paths of a graph from its input to its output.

The longest chains: weights, layers, and the positions that windows see together. And for every kind
of operator (`features.KINDS`): how many lie on the path with the fewest, on the one with the most,
and on a path walked back from the output, each operand as likely as the next; and how the number of
paths grows and shrinks when every operator of the kind doubles or halves a path's weight, which
says what mean and spread over all paths are. Paths are how signals and gradients travel; Kadlecova
et al. 2024 (arXiv 2404.16551) show for cells how much they say of accuracy. Here they are those of
the whole unfolded network. All texts are worked on at once, the n-th lines of all of them in the
n-th step.
Axes: N texts, L lines of all texts, E edges, K kinds, T tilts, C columns of a line's state.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import numpy as np

from surrogate.features import KINDS
from surrogate.unfolded import Unfolded, starts

K = len(KINDS) - 1  # the last kind, all that computes, is only counted along the longest chain
TILTS_TK = np.vstack([np.zeros((1, K)), np.eye(K), -np.eye(K)])
"""Logarithm (base 2) of a path's weight per operator of each kind; the first row counts paths."""
CHAINS = ("weights", "layers", "field")
PATH_FEATURES = 3 * K + len(TILTS_TK)
FIELD_LIMIT = 1e6  # positions of a receptive field
_WALKED = slice(2 * K, 3 * K)
_TILTED = slice(3 * K, PATH_FEATURES)
_LAYERS = PATH_FEATURES
_WEIGHTS = K + KINDS.index("weights")


def path_features(graphs: Unfolded) -> tuple[np.ndarray, np.ndarray]:
    """Chains and paths, (N, 3) and (N, PATH_FEATURES): logarithms (base 2) of one more."""
    place_L, groups = _schedule(graphs)
    held_LK = np.empty((len(place_L), K + 1))
    held_LK[place_L] = graphs.lines_K["kinds"][graphs.order_L][:, None] >> np.arange(K + 1) & 1
    own_LK = held_LK[:, :K]
    state_LC = np.hstack([-own_LK, own_LK, own_LK, own_LK @ TILTS_TK.T, held_LK[:, K:]])
    for lines, sources in groups:
        state_LC[lines] += _joined([state_LC[each] for each in sources])
    first_N, last_N = starts(graphs.lengths_N), np.cumsum(graphs.lengths_N) - 1
    longest = np.maximum.reduceat(state_LC[:, [_WEIGHTS, _LAYERS]][place_L], first_N)
    field_L = _fields(graphs, place_L, groups)
    chains = np.column_stack([longest, field_L[place_L[last_N]]])
    state_NC = state_LC[place_L[last_N], :PATH_FEATURES]
    state_NC[:, :K] *= -1
    tilted_NT = state_NC[:, _TILTED]
    tilted_NT[:, 1:] -= tilted_NT[:, :1]
    return np.log2(1 + chains), np.sign(state_NC) * np.log2(1 + np.abs(state_NC))


def _fields(
    graphs: Unfolded, place_L: np.ndarray, groups: Sequence[tuple[slice, np.ndarray]]
) -> np.ndarray:
    """Positions that the longest chain of windows before each line sees, itself included."""
    reach_L, stride_L = np.empty((2, len(place_L)))
    reach_L[place_L] = graphs.lines_K["reach"][graphs.order_L]
    stride_L[place_L] = graphs.lines_K["stride"][graphs.order_L]
    field_L, step_L = 1 + reach_L, stride_L.copy()
    for lines, sources in groups:
        field, step = field_L[sources[0]], step_L[sources[0]]
        for each in sources[1:]:
            is_wider = field_L[each] > field
            field = np.where(is_wider, field_L[each], field)
            step = np.where(is_wider, step_L[each], step)
        field_L[lines] = np.minimum(field + reach_L[lines] * step, FIELD_LIMIT)
        step_L[lines] = np.minimum(step * stride_L[lines], FIELD_LIMIT)
    return field_L


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
