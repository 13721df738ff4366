"""What kind of program a candidate is, as numbers derived from its graph.

Each descriptor is a function of the figures that the trusted checker derived; adding one is one
line here and its name in `config.Descriptor`.
"""

import math
from collections.abc import Callable

from evoprompt.config import Descriptor


def _log10(value: float) -> float:
    return math.log10(max(value, 1e-9))


_DESCRIPTORS: dict[Descriptor, Callable[[int, int, int], float]] = {
    "log_parameters": lambda parameters, macs, depth: _log10(max(parameters, 1)),
    "log_macs": lambda parameters, macs, depth: _log10(max(macs, 1)),
    "log_intensity": lambda parameters, macs, depth: _log10(max(macs, 1) / max(parameters, 1)),
    "depth": lambda parameters, macs, depth: float(depth),
}


def descriptors(
    axes: tuple[Descriptor, Descriptor], parameters: int, macs: int, depth: int
) -> tuple[float, float]:
    """Return a candidate's position along the two axes.

    Args:
        axes: Names of the descriptors.
        parameters: Trained numbers, shared ones counted once.
        macs: Multiply-accumulates for one example.
        depth: Weighted operators on the longest path.
    """
    first, second = (_DESCRIPTORS[axis](parameters, macs, depth) for axis in axes)
    return first, second
