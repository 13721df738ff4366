"""Weisfeiler-Lehman counts: how often each neighbourhood of operators stands in a graph.

Every line begins with a label (its operator and attributes, without widths); in each round it takes
up the labels of what it reads (Shervashidze et al., JMLR 2011, section 3). Counted are the labels
of all rounds, in the unfolded graph. All texts are worked on at once.
Axes: N texts, L lines of all texts together, E their edges, K labels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from surrogate.unfolded import Unfolded

ROUNDS = 3
FEWEST_GRAPHS = 2  # a label that fewer labelled graphs have is left out
MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True, eq=False)
class Counted:
    """The labels of some texts, line by line and round by round."""

    count: int
    text_L: np.ndarray
    labels_L: np.ndarray

    @cached_property
    def common(self) -> np.ndarray:
        """The labels that at least `FEWEST_GRAPHS` of the texts have, ascending."""
        known_K, place_L = np.unique(self.labels_L, return_inverse=True)
        pairs = np.unique(place_L * self.count + self.text_L)
        graphs_K = np.bincount(pairs // self.count, minlength=len(known_K))
        return known_K[graphs_K >= FEWEST_GRAPHS]

    def of(self, labels_K: np.ndarray) -> np.ndarray:
        """Logarithms of how often each text has each of these labels, (N, K)."""
        K = len(labels_K)
        if not K:
            return np.zeros((self.count, 0))
        place_L = np.minimum(np.searchsorted(labels_K, self.labels_L), K - 1)
        hit_L = labels_K[place_L] == self.labels_L
        cells = self.text_L[hit_L] * K + place_L[hit_L]
        counts = np.bincount(cells, minlength=self.count * K)
        return np.log1p(counts).reshape(self.count, K)


def count(graphs: Unfolded) -> Counted:
    """Relabel all lines of all texts, round by round."""
    found = [graphs.lines_K["label"][graphs.order_L]]
    for _ in range(ROUNDS):
        told_L = np.zeros(len(graphs.text_L), np.uint64)
        np.add.at(told_L, graphs.reader_E, _mixed(found[-1])[graphs.source_E])
        found.append(_mixed(found[-1] * np.uint64(3) + told_L))
    keys = np.concatenate([each * np.uint64(4) + np.uint64(r) for r, each in enumerate(found)])
    rounds = ROUNDS + 1
    return Counted(len(graphs.lengths_N), np.tile(graphs.text_L, rounds), keys)


def _mixed(values: np.ndarray) -> np.ndarray:
    """A digest of 64-bit numbers (Steele, Lea & Flood 2014, figure 13)."""
    values = (values ^ (values >> np.uint64(30))) * MIX[0]
    values = (values ^ (values >> np.uint64(27))) * MIX[1]
    return values ^ (values >> np.uint64(31))
