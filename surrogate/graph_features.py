"""A whole graph as one vector of numbers: its totals, its longest chains, its paths.

Everything is worked out for all texts at once, from what their lines say by themselves. Sizes enter
as logarithms to the base 2 of one more.
Axes: N texts, K folded lines of all texts.
"""

from collections.abc import Sequence

import numpy as np

from surrogate.features import GROUPS
from surrogate.paths import CHAINS, PATH_FEATURES, path_features
from surrogate.reading import Reading
from surrogate.unfolded import Unfolded, starts

CORE = 4  # the first features: parameters, MACs, intensity, depth; what the prior knows
GRAPH_FEATURES = 13 + len(GROUPS) + len(CHAINS)
"""Without those of paths."""
FEATURES = GRAPH_FEATURES + PATH_FEATURES


def features_of(readings: Sequence[Reading], graphs: Unfolded) -> np.ndarray:
    """What is known of each text without an encoder, (N, FEATURES)."""
    if not readings:
        return np.zeros((0, FEATURES))
    parameters, macs = np.log2(1 + np.array([each.sizes for each in readings])).T
    chains, paths = path_features(graphs)
    sizes = np.column_stack([parameters, macs, macs - parameters])
    totals, counts = _totals(graphs)
    return np.hstack([sizes, chains[:, :2], totals, chains[:, 2:], counts, paths])


def _totals(graphs: Unfolded) -> tuple[np.ndarray, np.ndarray]:
    """What needs no path, (N, 10), and how many lines are of each group.

    Lines are counted as often as they stand; means and extremes are over folded ones.
    """
    lines = graphs.lines_K
    repeats_K = np.bincount(graphs.order_L, minlength=len(lines))
    first_N = starts(graphs.folded_N)
    text_K = np.repeat(np.arange(len(first_N)), graphs.folded_N)
    conv_K, grouped_K, width_K = lines["is_conv"], lines["is_grouped"], lines["width"]

    def total(column_K: np.ndarray) -> np.ndarray:
        return np.add.reduceat(column_K, first_N)

    def most(column_K: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(column_K, first_N)

    def last(column_K: np.ndarray, otherwise: float) -> np.ndarray:
        place_N = most(np.where(column_K > 0, np.arange(len(column_K)), -1))
        return np.where(place_N >= 0, column_K[place_N], otherwise)

    narrowest_N = -most(np.where(lines["is_weighted"] > 0, -width_K, -np.inf))
    columns = (
        *(total(repeats_K) - 1, total(repeats_K * lines["elements"])),
        *(most(width_K), np.where(np.isfinite(narrowest_N), narrowest_N, 0)),
        *(total(repeats_K * (conv_K - grouped_K)), total(repeats_K * grouped_K)),
        *(most(lines["kernel"]), total(lines["kernel"]) / np.maximum(total(conv_K), 1)),
        *(last(lines["spatial"], 1), last(lines["fan_in"], 0)),
    )
    groups = len(GROUPS) + 1
    cells_K = text_K * groups + lines["group"]
    counts = np.bincount(cells_K, repeats_K, minlength=len(first_N) * groups)
    return np.log2(1 + np.column_stack(columns)), np.log2(1 + counts.reshape(-1, groups)[:, :-1])
