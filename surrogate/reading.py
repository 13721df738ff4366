"""Everything that the predictor takes from a text, read once and kept.

In: a text; out: a `Reading`: positions for the encoders, the graph's features, and the labels and
references from which the trees count.
Axes: L unfolded lines, K folded lines, E references of those.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from surrogate.errors import TooLongError, problem
from surrogate.features import facts_of, graph_features
from surrogate.parse import POSITION_LIMIT, parse
from surrogate.positions import Positions, positions

KEPT = 8192  # texts


@dataclass(frozen=True, eq=False)
class Reading:
    """A text as the predictor sees it."""

    positions: Positions
    features: np.ndarray
    order_L: np.ndarray
    """Which folded line each unfolded one is."""
    labels_K: np.ndarray
    """Digest of operator and attributes, uint64."""
    kinds_K: np.ndarray
    """What paths count, uint8."""
    counts_K: np.ndarray
    """References of each line."""
    distances_E: np.ndarray
    """The references of all folded lines: lines back, 0 for the input."""


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
    return Reading(
        positions=positions(lines, facts),
        features=graph_features(parsed, facts),
        order_L=np.array(parsed.order),
        labels_K=np.frombuffer(b"".join([fact.label for fact in facts]), np.uint64),
        kinds_K=np.array([fact.kinds for fact in facts], np.uint8),
        counts_K=np.array([fact.reference_count for fact in facts]),
        distances_E=np.frombuffer(b"".join([fact.references for fact in facts]), np.int64),
    )
