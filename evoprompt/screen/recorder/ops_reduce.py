"""Rules for what makes one number of many: sums, extremes, variance, norms, running sums."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import as_type, cast
from evoprompt.screen.recorder.ops_index import cut
from evoprompt.screen.recorder.tape import RULES, Ints, Literal, Tape, rule

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


def _variance_and_mean(is_root: bool, *functions: Any) -> None:
    def write(tape: Tape, out: Any, x: Tensor, dim: Any = None, *given: Any, **named: Any) -> None:
        keepdim = given[1] if len(given) > 1 else named.get("keepdim", False)
        (torch_std if is_root else torch_var)(tape, out[0], x, dim, *given, **named)
        axes = axes_of(x, None if isinstance(dim, bool) else dim)
        tape.emit(out[1], "ReduceMean", [x, axes], keepdims=int(keepdim))

    rule(*functions)(write)


torch_var, torch_std = RULES[torch.var], RULES[torch.std]
_variance_and_mean(False, torch.var_mean)
_variance_and_mean(True, torch.std_mean)


def _flags(op: str, *functions: Any) -> None:
    """Whether any or all are set: an extreme of zeros and ones."""

    def write(tape: Tape, out: Tensor, x: Tensor, dim: Any = None, keepdim: bool = False) -> None:
        flags = cast(tape, x, x.dtype, torch.bool)
        numbers = cast(tape, flags, torch.bool, torch.int32)
        extreme = tape.node(op, [numbers, axes_of(x, dim)], keepdims=int(keepdim))
        tape.bind(out, cast(tape, extreme, torch.int32, torch.bool))

    rule(*functions)(write)


_flags("ReduceMax", torch.any, T.any)
_flags("ReduceMin", torch.all, T.all)


@rule(torch.count_nonzero, T.count_nonzero)
def count_nonzero(tape: Tape, out: Tensor, x: Tensor, dim: Any = None) -> None:
    """How many are not zero."""
    flags = cast(tape, cast(tape, x, x.dtype, torch.bool), torch.bool, torch.int64)
    tape.emit(out, "ReduceSum", [flags, axes_of(x, dim)], keepdims=0)


@rule(torch.aminmax, T.aminmax)
def aminmax(
    tape: Tape, out: Any, x: Tensor, *, dim: int | None = None, keepdim: bool = False
) -> None:
    """Both extremes."""
    for part, op in zip(out, ("ReduceMin", "ReduceMax"), strict=True):
        tape.emit(part, op, [x, axes_of(x, dim)], keepdims=int(keepdim))


@rule(torch.diff, T.diff)
def diff(tape: Tape, out: Tensor, x: Tensor, n: int = 1, dim: int = -1) -> None:
    """What lies between neighbours."""
    tape.expect(n == 1, "diff more than once")
    size, axis = x.shape[dim], dim % x.dim()
    later = cut(tape, tape.value(x), slice(1, size), size, axis)
    tape.emit(out, "Sub", [later, cut(tape, tape.value(x), slice(0, size - 1), size, axis)])


@rule(torch.cumsum, T.cumsum)
def cumsum(tape: Tape, out: Tensor, x: Tensor, dim: int, dtype: Any = None) -> None:
    """Running sums along an axis."""
    value = cast(tape, x, x.dtype, out.dtype)
    tape.emit(out, "CumSum", [value, Literal(int(dim), torch.int64)])
