"""The unfolded graphs of some texts as one: every line of every text, and the edges between them.

Axes: N texts, L lines of all texts together, E their edges; K folded lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surrogate.features import LINE
from surrogate.reading import Reading


@dataclass(frozen=True, eq=False)
class Unfolded:
    """Lines in the order of the texts; edges in the order of their readers."""

    lengths_N: np.ndarray
    """Lines of each text."""
    text_L: np.ndarray
    """Which text a line is of."""
    folded_N: np.ndarray
    """Folded lines of each text."""
    order_L: np.ndarray
    """Which folded line a line is, of those of all texts."""
    lines_K: np.ndarray
    """What each folded line says by itself (`features.LINE`)."""
    reader_E: np.ndarray
    source_E: np.ndarray


def unfolded(readings: Sequence[Reading]) -> Unfolded:
    """Lay the texts side by side."""
    lengths_N = np.array([len(each.order_L) for each in readings], int)
    folded_N = np.array([len(each.records) // LINE.itemsize for each in readings], int)
    text_L = np.repeat(np.arange(len(readings)), lengths_N)
    order_L = _joined([each.order_L for each in readings]) + starts(folded_N)[text_L]
    lines_K = np.frombuffer(b"".join([each.records for each in readings]), LINE)
    counts_K = lines_K["references"]
    distances = _joined([each.distances_E for each in readings])
    counts_L = counts_K[order_L]
    reader_E = np.repeat(np.arange(len(order_L)), counts_L)
    within_E = np.arange(len(reader_E)) - np.repeat(starts(counts_L), counts_L)
    distance_E = distances[starts(counts_K)[order_L][reader_E] + within_E]
    return Unfolded(
        lengths_N=lengths_N,
        text_L=text_L,
        folded_N=folded_N,
        order_L=order_L,
        lines_K=lines_K,
        reader_E=reader_E,
        source_E=np.where(distance_E, reader_E - distance_E, starts(lengths_N)[text_L][reader_E]),
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, int)


def starts(counts: np.ndarray) -> np.ndarray:
    """Where each part begins, when parts of these lengths stand side by side."""
    return np.cumsum(counts) - counts
