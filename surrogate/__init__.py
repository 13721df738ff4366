"""The predictor, standing alone: an ONNX graph becomes a text, the text becomes a number.

from surrogate import Surrogate
from surrogate.encode import read
mean, spread = Surrogate.load().fit(texts, accuracies).score([read(path).text])

Reading graphs needs no torch; it is imported with the first use of `Surrogate`.
"""

from typing import TYPE_CHECKING

from surrogate.rank import kendall_tau, prior_ranks

if TYPE_CHECKING:
    from surrogate.score import Surrogate

__all__ = ["Surrogate", "kendall_tau", "prior_ranks"]


def __getattr__(name: str) -> object:
    """Import `Surrogate` when it is first asked for."""
    if name != "Surrogate":
        raise AttributeError(f"module 'surrogate' has no attribute '{name}'")
    from surrogate.score import Surrogate

    return Surrogate
