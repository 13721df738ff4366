"""Constants of many numbers as the expressions that people write for them.

In: an array. Out: the call of torch that gives the same numbers, or None.
"""

import numpy as np

from evoprompt.rewrite.calls import number

LONGEST = 64  # numbers that are written out one by one


def table_text(array: np.ndarray) -> str | None:
    """The expression of an array; shapes and types are the same to the last bit."""
    return _triangle(array) or _count(array) or _written(array)


def _triangle(array: np.ndarray) -> str | None:
    """Masks of what comes before or after."""
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
        return None
    n = len(array)
    ones = np.ones((n, n), dtype=array.dtype) if array.dtype.kind in "bf" else None
    kind = ", dtype=torch.bool" if array.dtype.kind == "b" else ""
    if ones is not None:
        for offset in (0, 1, -1):
            where = f"({offset or ''})"
            if np.array_equal(array, np.tril(ones, offset)):
                return f"torch.ones({n}, {n}{kind}).tril{where}"
            if np.array_equal(array, np.triu(ones, offset)):
                return f"torch.ones({n}, {n}{kind}).triu{where}"
    above = np.triu(np.full((n, n), -np.inf), 1) if array.dtype.kind == "f" else None
    if above is not None and np.array_equal(array, np.where(np.tri(n) > 0, 0.0, above)):
        return f'torch.full(({n}, {n}), float("-inf")).triu(1)'
    return None


def _count(array: np.ndarray) -> str | None:
    """0, 1, 2 and so on."""
    if array.ndim != 1 or array.dtype != np.int64 or len(array) < 4:
        return None
    return f"torch.arange({len(array)})" if (array == np.arange(len(array))).all() else None


def _written(array: np.ndarray) -> str | None:
    if array.size > LONGEST or array.dtype.kind not in "bif":
        return None
    if array.dtype.kind != "f":
        return f"torch.tensor({array.tolist()})"
    row = ", ".join(number(value) for value in array.reshape(-1).tolist())
    return f"torch.tensor([{row}])" + (f".reshape{array.shape}" if array.ndim > 1 else "")
