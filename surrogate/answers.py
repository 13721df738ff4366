"""What a predictor says of networks."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Scores(NamedTuple):
    """What is expected of networks; one entry each, accuracies 0..1."""

    mean: np.ndarray
    spread: np.ndarray
    """Standard deviation."""
    low: np.ndarray
    high: np.ndarray
    """Split-conformal interval."""


@dataclass(frozen=True)
class HeldOut:
    """What was said of each distinct label by models that had not seen it; accuracies 0..1."""

    texts: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """The 90 % interval."""
    accuracy: np.ndarray
    tasks: tuple[str, ...]
