"""Ranks and rank correlation: the prior, which needs no labels, and what judges predictors."""

import numpy as np
from scipy.stats import kendalltau, rankdata


def prior_ranks(parameters: np.ndarray, macs: np.ndarray) -> np.ndarray:
    """Mean rank of parameters and MACs among the given networks, 0..1; one network gets 0.5."""
    first = np.asarray(parameters, float).reshape(-1)
    second = np.asarray(macs, float).reshape(-1)
    if len(first) < 2:
        return np.full(len(first), 0.5)
    return (rankdata(first) + rankdata(second) - 2) / (2 * (len(first) - 1))


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of the pairs in which both are finite; 0.0 where it is not defined."""
    a = np.asarray(first, float).reshape(-1)
    b = np.asarray(second, float).reshape(-1)
    usable = np.isfinite(a) & np.isfinite(b)
    a, b = a[usable], b[usable]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    tau = float(kendalltau(a, b)[0])  # type: ignore[arg-type]
    return tau if np.isfinite(tau) else 0.0
