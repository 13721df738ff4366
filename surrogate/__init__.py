"""The predictor, standing alone: an ONNX graph becomes a text, the text becomes a number.

from surrogate import Surrogate
from surrogate.encode import read
mean, spread = Surrogate.load().fit(texts, accuracies).score([read(path).text])
"""

from surrogate.rank import kendall_tau, prior_ranks
from surrogate.score import Surrogate

__all__ = ["Surrogate", "kendall_tau", "prior_ranks"]
