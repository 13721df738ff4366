"""Rules for pooling: over windows of a fixed size, and over as many windows as are asked for."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.ops_layers import IntOrInts, batched, only_float32, spread
from evoprompt.screen.recorder.tape import Function, Ints, Literal, Operand, Rule, Tape, rule


def _ceil(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    ceil_mode: bool,
    kernel: list[int],
    stride: IntOrInts | None,
    padding: IntOrInts,
    dilation: IntOrInts,
) -> int:
    """Whether sizes are rounded up; torch drops a window that would begin behind the input."""
    if not ceil_mode:
        return 0
    rank = len(kernel)
    strides = kernel if stride in (None, (), []) else spread(stride, rank)  # type: ignore[arg-type]
    numbers = zip(
        x.shape[2:], out.shape[2:], kernel, strides, spread(padding, rank), spread(dilation, rank),
        strict=True,
    )  # fmt: skip
    is_up = is_down = True
    for size, windows, k, s, p, d in numbers:
        span = size + 2 * p - d * (k - 1) - 1
        is_up &= -(-span // s) + 1 == windows
        is_down &= span // s + 1 == windows
    tape.expect(is_up or is_down, "pooling with ceil_mode and windows behind the input")
    return int(is_up)


def _windows(size: int, count: int) -> list[range]:
    """Where the windows of an adaptive pooling lie: they may overlap."""
    return [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _uneven_pool(tape: Tape, out: Tensor, x: Tensor, average: bool) -> None:
    """Means as products with a matrix of shares, maxima over gathered positions."""
    value: Operand = tape.value(x)
    for axis in range(2, x.dim()):
        windows = _windows(x.shape[axis], out.shape[axis])
        if average:
            shares = torch.zeros(x.shape[axis], out.shape[axis])
            for column, window in enumerate(windows):
                shares[window.start : window.stop, column] = 1 / len(window)
            order = list(range(x.dim()))
            order[axis], order[-1] = order[-1], order[axis]
            turned = value if axis == x.dim() - 1 else tape.node("Transpose", [value], perm=order)
            value = tape.node("MatMul", [turned, shares])
            if axis != x.dim() - 1:
                value = tape.node("Transpose", [value], perm=order)
        else:
            longest = max(len(window) for window in windows)
            rows = [[*window, *[window[-1]] * (longest - len(window))] for window in windows]
            picked = tape.node("Gather", [value, torch.tensor(rows)], axis=axis)
            value = tape.node("ReduceMax", [picked, Ints((axis + 1,))], keepdims=0)
    tape.bind(out, value)


def _max_pool(rank: int) -> Rule:
    def write(
        tape: Tape,
        out: Any,
        x: Tensor,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        dilation: IntOrInts = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        tape.expect(not return_indices and isinstance(out, Tensor), "max_pool with indices")
        batched(tape, x, rank, f"max_pool{rank}d")
        only_float32(tape, "max_pool", x)
        kernel = spread(kernel_size, rank)
        tape.emit(
            out,
            "MaxPool",
            [x],
            kernel_shape=kernel,
            strides=spread(stride, rank) if stride not in (None, (), []) else kernel,
            pads=spread(padding, rank) * 2,
            dilations=spread(dilation, rank),
            ceil_mode=_ceil(tape, out, x, ceil_mode, kernel, stride, padding, dilation),
        )

    return write


def _average_pool(rank: int) -> Rule:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        is_plain = divisor_override is None or not ceil_mode
        tape.expect(is_plain, "avg_pool with divisor_override and ceil_mode")
        batched(tape, x, rank, f"avg_pool{rank}d")
        only_float32(tape, "avg_pool", x)
        kernel = spread(kernel_size, rank)
        mean = tape.node(
            "AveragePool",
            [x],
            kernel_shape=kernel,
            strides=spread(stride, rank) if stride not in (None, (), []) else kernel,
            pads=spread(padding, rank) * 2,
            ceil_mode=_ceil(tape, out, x, ceil_mode, kernel, stride, padding, 1),
            count_include_pad=int(count_include_pad or divisor_override is not None),
        )
        if divisor_override is not None:
            share = Literal(math.prod(kernel) / int(divisor_override), x.dtype)
            tape.emit(out, "Mul", [mean, share])
        else:
            tape.bind(out, mean)

    return write


def _adaptive_pool(rank: int, average: bool) -> Rule:
    def write(
        tape: Tape, out: Any, x: Tensor, output_size: Any, return_indices: bool = False
    ) -> None:
        tape.expect(not return_indices and isinstance(out, Tensor), "max_pool with indices")
        batched(tape, x, rank, f"adaptive_pool{rank}d")
        only_float32(tape, "adaptive_pool", x)
        sizes, wanted = list(x.shape[2:]), list(out.shape[2:])
        if all(size == 1 for size in wanted):
            tape.emit(out, "GlobalAveragePool" if average else "GlobalMaxPool", [x])
            return
        if any(size % want for size, want in zip(sizes, wanted, strict=True)):
            _uneven_pool(tape, out, x, average)
            return
        kernel = [size // want for size, want in zip(sizes, wanted, strict=True)]
        op = "AveragePool" if average else "MaxPool"
        tape.emit(out, op, [x], kernel_shape=kernel, strides=kernel, pads=[0] * (2 * rank))

    return write


def _named(name: str) -> list[Function]:
    found = [getattr(module, name, None) for module in (F, torch)]
    return [function for function in found if function is not None]


for _rank in (1, 2, 3):
    for _prefix in ("max_pool", "_max_pool"):
        rule(*_named(f"{_prefix}{_rank}d"))(_max_pool(_rank))
    rule(*_named(f"avg_pool{_rank}d"))(_average_pool(_rank))
    rule(*_named(f"adaptive_avg_pool{_rank}d"))(_adaptive_pool(_rank, True))
    for _prefix in ("adaptive_max_pool", "_adaptive_max_pool"):
        rule(*_named(f"{_prefix}{_rank}d"))(_adaptive_pool(_rank, False))
