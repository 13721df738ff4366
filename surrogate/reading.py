"""Everything that the predictor takes from a text, read once and kept.

In: a text; out: a `Reading`: positions for the encoders, and what the lines say and read.
Axes: L unfolded lines, E references of the folded ones.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from surrogate.errors import SurrogateError, TooLongError, problem
from surrogate.features import facts_of
from surrogate.parse import POSITION_LIMIT, Parsed, parse
from surrogate.positions import Positions, positions

KEPT = 8192  # texts


@dataclass(frozen=True, eq=False)
class Reading:
    """A text as the predictor sees it."""

    positions: Positions
    sizes: tuple[float, float]
    """Parameters, and MACs for one example."""
    order_L: np.ndarray
    """Which folded line each unfolded one is."""
    records: bytes
    """What each folded line says by itself, one `features.LINE` each."""
    distances_E: np.ndarray
    """The references of all folded lines: lines back, 0 for the input."""


@lru_cache(maxsize=KEPT)
def reading(text: str) -> Reading:
    """Read a text.

    Raises:
        SurrogateError: It is no text of `encode`, or longer than the encoders read.
    """
    where = text.split("\n", 1)[0][:80]
    try:
        return _reading(parse(text), where)
    except (OverflowError, ValueError):  # more digits than a float, or Python, takes
        what, expected = "a size of hundreds of digits", "sizes of a network that exists"
        message = problem(what, where, expected, "Encode the ONNX file again")
        raise SurrogateError(message) from None


def _reading(parsed: Parsed, where: str) -> Reading:
    lines = parsed.lines
    if len(lines) > POSITION_LIMIT:
        what, expected = f"{len(lines)} lines after folding", f"at most {POSITION_LIMIT} lines"
        raise TooLongError(problem(what, where, expected, "Score a smaller network"))
    facts = [facts_of(line.words) for line in lines]
    return Reading(
        positions=positions(lines, facts),
        sizes=(float(parsed.parameters), float(parsed.macs)),
        order_L=np.array(parsed.order),
        records=b"".join([fact.record for fact in facts]),
        distances_E=np.frombuffer(b"".join([fact.references for fact in facts]), np.int64),
    )
