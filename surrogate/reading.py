"""Everything that the predictor takes from a text, read once and kept.

In: a text; out: a `Reading`: positions for the encoders, the graph's features, and the labelled
edges from which the trees count.
Axes: L unfolded lines, E edges between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from surrogate.errors import TooLongError, problem
from surrogate.features import facts_of, graph_features
from surrogate.parse import POSITION_LIMIT, Line, parse
from surrogate.positions import Positions, positions

KEPT = 8192  # texts


@dataclass(frozen=True, eq=False)
class Reading:
    """A text as the predictor sees it."""

    positions: Positions
    features: np.ndarray
    labels_L: np.ndarray
    """Digest of operator and attributes of each unfolded line, uint64."""
    reader_E: np.ndarray
    source_E: np.ndarray
    """The edges between unfolded lines."""


@lru_cache(maxsize=KEPT)
def reading(text: str) -> Reading:
    """Read a text.

    Raises:
        SurrogateError: It is no text of `encode`, or longer than the encoders read.
    """
    parsed = parse(text)
    lines = parsed.lines
    if len(lines) > POSITION_LIMIT:
        what, where = f"{len(lines)} lines after folding", text.split("\n", 1)[0][:80]
        expected = f"at most {POSITION_LIMIT} lines"
        raise TooLongError(problem(what, where, expected, "Score a smaller network"))
    facts = [facts_of(line.words) for line in lines]
    order_L = np.array(parsed.order)
    reader_E, source_E = _edges(order_L, lines)
    return Reading(
        positions=positions(lines, facts),
        features=graph_features(parsed, facts),
        labels_L=np.array([fact.label for fact in facts], np.uint64)[order_L],
        reader_E=reader_E,
        source_E=source_E,
    )


def _edges(order_L: np.ndarray, lines: Sequence[Line]) -> tuple[np.ndarray, np.ndarray]:
    """Reader and source of every edge of the unfolded graph."""
    back = [line.words.references for line in lines]
    counts = np.array([len(each) for each in back])
    counts[0] = 0
    starts = np.cumsum(counts) - counts
    flat = np.array([distance for each in back[1:] for distance in each], np.int64)
    counts_L = counts[order_L]
    reader_E = np.repeat(np.arange(len(order_L)), counts_L)
    within_E = np.arange(len(reader_E)) - np.repeat(np.cumsum(counts_L) - counts_L, counts_L)
    distance_E = flat[np.repeat(starts[order_L], counts_L) + within_E]
    return reader_E, np.where(distance_E, reader_E - distance_E, 0)
