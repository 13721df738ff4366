"""Rules for what makes one number of many, for products of matrices and for running sums."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import as_type, cast
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule

T = Tensor


def axes_of(x: Tensor, dim: Any) -> Ints:
    """The axes that a reduction names, all of them if it names none."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return Ints(range(x.dim()))
    return Ints([dim] if isinstance(dim, int) else dim)


def _reduction(op: str, *functions: Any) -> None:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        dtype: torch.dtype | None = None,
        **named: Any,
    ) -> None:
        dim = named.pop("axis", dim)
        tape.expect(not named, f"{op} with {', '.join(named)}")
        value = cast(tape, x, x.dtype, out.dtype)
        tape.emit(out, op, [value, axes_of(x, dim)], keepdims=int(keepdim))

    rule(*functions)(write)


_reduction("ReduceMean", torch.mean, T.mean)
_reduction("ReduceSum", torch.sum, T.sum)
_reduction("ReduceMax", torch.amax, T.amax)
_reduction("ReduceMin", torch.amin, T.amin)
_reduction("ReduceProd", torch.prod, T.prod)
_reduction("ReduceLogSumExp", torch.logsumexp, T.logsumexp)


def _extreme(op: str, place_op: str, *functions: Any) -> None:
    def write(tape: Tape, out: Any, x: Tensor, dim: Any = None, keepdim: bool = False) -> None:
        if isinstance(dim, Tensor):
            tape.emit(
                out,
                "Max" if op == "ReduceMax" else "Min",
                [as_type(tape, x, out.dtype), as_type(tape, dim, out.dtype)],
            )
            return
        if dim is None:
            tape.emit(out, op, [x, axes_of(x, None)], keepdims=0)
            return
        tape.emit(out[0], op, [x, Ints((dim,))], keepdims=int(keepdim))
        tape.emit(out[1], place_op, [x], axis=int(dim), keepdims=int(keepdim))

    rule(*functions)(write)


_extreme("ReduceMax", "ArgMax", torch.max, T.max)
_extreme("ReduceMin", "ArgMin", torch.min, T.min)


def _place(op: str, *functions: Any) -> None:
    def write(tape: Tape, out: Tensor, x: Tensor, dim: Any = None, keepdim: bool = False) -> None:
        tape.expect(dim is not None, f"{op.lower()} without dim")
        tape.emit(out, op, [x], axis=int(dim), keepdims=int(keepdim))

    rule(*functions)(write)


_place("ArgMax", torch.argmax, T.argmax)
_place("ArgMin", torch.argmin, T.argmin)


def _variance(is_root: bool, *functions: Any) -> None:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> None:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        axes = axes_of(x, dim)
        taken = float(unbiased) if correction is None else float(correction)
        count = 1
        for axis in axes:
            count *= x.shape[axis]
        mean = tape.node("ReduceMean", [x, axes], keepdims=1)
        apart = tape.node("Sub", [x, mean])
        squares = tape.node("Mul", [apart, apart])
        value = tape.node("ReduceMean", [squares, axes], keepdims=int(keepdim))
        if taken:
            tape.expect(count > taken, "the variance of one number")
            value = tape.node("Mul", [value, Literal(count / (count - taken), x.dtype)])
        tape.bind(out, tape.node("Sqrt", [value]) if is_root else value)

    rule(*functions)(write)


_variance(False, torch.var, T.var)
_variance(True, torch.std, T.std)


@rule(
    torch.matmul,
    T.matmul,
    T.__matmul__,
    T.__rmatmul__,
    torch.bmm,
    T.bmm,
    torch.mm,
    T.mm,
    T.mv,
    torch.mv,
    T.dot,
    torch.dot,
)
def matmul(tape: Tape, out: Tensor, a: Tensor, b: Tensor) -> None:
    """Products of matrices, batched as numpy does."""
    tape.emit(out, "MatMul", [a, b])


@rule(torch.baddbmm, T.baddbmm, torch.addmm, T.addmm)
def add_product(
    tape: Tape, out: Tensor, x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1
) -> None:
    """Beta * x + alpha * a @ b."""
    product: Operand = tape.node("MatMul", [a, b])
    if alpha != 1:
        product = tape.node("Mul", [product, Literal(float(alpha), out.dtype)])
    if beta == 0:
        tape.bind(out, product)
        return
    addend = tape.value(x)
    if beta != 1:
        addend = tape.node("Mul", [addend, Literal(float(beta), out.dtype)])
    tape.emit(out, "Add", [addend, product])


@rule(torch.einsum, torch.functional.einsum)
def einsum(tape: Tape, out: Tensor, equation: Any, *operands: Any) -> None:
    """Equations of letters are the same in both."""
    tape.expect(isinstance(equation, str), "einsum with lists of axes")
    given = (
        operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    )
    tape.emit(out, "Einsum", given, equation=equation.replace(" ", ""))


@rule(torch.cumsum, T.cumsum)
def cumsum(tape: Tape, out: Tensor, x: Tensor, dim: int, dtype: Any = None) -> None:
    """Running sums along an axis."""
    value = cast(tape, x, x.dtype, out.dtype)
    tape.emit(out, "CumSum", [value, Literal(int(dim), torch.int64)])
