"""Rules for lengths and distances: norms, cosine similarity, distances between rows."""

import math
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_reduce import axes_of
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule


@rule(torch.linalg.vector_norm)
def vector_norm(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    ord: float = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Sums of powers; the extremes for infinity."""
    tape.expect(isinstance(ord, int | float) and ord != 0, f"norm of order {ord}")
    tape.bind(out, norm_of(tape, x, float(ord), axes_of(x, dim), keepdim, x.dtype))


def norm_of(
    tape: Tape, x: Any, order: float, axes: Ints, keepdim: bool, dtype: torch.dtype
) -> Operand:
    """The norm of a value along some axes."""
    keep = {"keepdims": int(keepdim)}
    if order in (1, 2):
        return tape.node("ReduceL1" if order == 1 else "ReduceL2", [x, axes], **keep)
    sizes = tape.node("Abs", [x])
    if math.isinf(order):
        return tape.node("ReduceMax" if order > 0 else "ReduceMin", [sizes, axes], **keep)
    powers = tape.node("Pow", [sizes, Literal(order, dtype)])
    total = tape.node("ReduceSum", [powers, axes], **keep)
    return tape.node("Pow", [total, Literal(1 / order, dtype)])


@rule(torch.linalg.norm)
def linalg_norm(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Of vectors; of a matrix the root of the sum of squares only."""
    is_vector = isinstance(dim, int) or (ord is None) or (dim is None and x.dim() == 1)
    tape.expect(is_vector or ord == "fro", f"the matrix norm {ord}")
    order = 2 if ord in (None, "fro") else ord
    vector_norm(tape, out, x, order, dim, keepdim)


@rule(torch.linalg.matrix_norm)
def matrix_norm(
    tape: Tape, out: Tensor, x: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False
) -> None:
    """The root of the sum of squares only."""
    tape.expect(ord == "fro", f"the matrix norm {ord}")
    vector_norm(tape, out, x, 2, dim, keepdim)


@rule(torch.cosine_similarity, torch.nn.functional.cosine_similarity)
def cosine_similarity(
    tape: Tape, out: Tensor, x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8
) -> None:
    """The product of two vectors over both their lengths, each at least `eps`."""
    tape.expect(x1.dim() == x2.dim(), "cosine_similarity of other numbers of axes")
    axes = Ints((dim % x1.dim(),))
    least = Literal(float(eps), x1.dtype)
    lengths = [
        tape.node("Max", [norm_of(tape, x, 2, axes, False, x.dtype), least]) for x in (x1, x2)
    ]
    product = tape.node("ReduceSum", [tape.node("Mul", [x1, x2]), axes], keepdims=0)
    tape.emit(out, "Div", [product, tape.node("Mul", lengths)])


@rule(torch.pairwise_distance, torch.nn.functional.pairwise_distance)
def pairwise_distance(
    tape: Tape,
    out: Tensor,
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    eps: float = 1e-6,
    keepdim: bool = False,
) -> None:
    """The norm of what lies between."""
    apart = tape.node("Add", [tape.node("Sub", [x1, x2]), Literal(float(eps), x1.dtype)])
    tape.bind(out, norm_of(tape, apart, float(p), Ints((-1,)), keepdim, x1.dtype))


@rule(torch._VF.cdist)  # type: ignore[attr-defined]
def cdist(
    tape: Tape, out: Tensor, x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None
) -> None:
    """The norm of what lies between every two rows."""
    apart = tape.node(
        "Sub",
        [tape.node("Unsqueeze", [x1, Ints((-2,))]), tape.node("Unsqueeze", [x2, Ints((-3,))])],
    )
    tape.expect(p != 0, "cdist with p=0")
    tape.bind(out, norm_of(tape, apart, float(p), Ints((-1,)), False, x1.dtype))
