"""Rules for complex numbers: Fourier transforms and what stands between them.

A complex tensor is a value with one axis more, of two numbers (as ONNX's DFT has it). Only the
rules here read such values; every other rule refuses a complex operand (`Tape.value`).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import named
from evoprompt.screen.recorder.ops_shape import reshape
from evoprompt.screen.recorder.tape import RULES, Held, Ints, Literal, Operand, Tape, rule

T = Tensor
_CONJUGATE = torch.tensor([1.0, -1.0])


def _pair(tape: Tape, x: Tensor) -> Operand:
    """The value of a complex tensor, real and imaginary part in the last axis."""
    if not x.is_complex():
        wide = tape.node("Unsqueeze", [x, Ints((-1,))])
        return tape.node("Concat", [wide, tape.node("Mul", [wide, Literal(0.0, x.dtype)])], axis=-1)
    if tape.is_known(x):
        return tape.complex_value(x)
    return Held(torch.view_as_real(x.resolve_conj()).clone())


def _part(tape: Tape, pair: Operand, which: int) -> Operand:
    return tape.node("Gather", [pair, Literal(which, torch.int64)], axis=-1)


def _single(tape: Tape, x: Tensor) -> None:
    is_single = x.dtype in (torch.float32, torch.complex64)
    tape.expect(is_single, f"a Fourier transform of {str(x.dtype).removeprefix('torch.')}")


def _transform(
    tape: Tape,
    pair: Operand,
    axes: Sequence[int],
    sizes: Sequence[int],
    norm: str | None,
    back: bool,
) -> Operand:
    """One DFT for each axis (counted without the last one), then the scale that `norm` asks for."""
    for axis, size in zip(axes, sizes, strict=True):
        is_exact = size <= 512 or not size & (size - 1)  # of others onnxruntime loses four digits
        tape.expect(is_exact, f"a Fourier transform of {size} numbers")
        place = Literal(axis, torch.int64)
        pair = tape.node("DFT", [pair, None, place], inverse=int(back))
    count = math.prod(sizes)
    built_in = 1 / count if back else 1.0
    wanted = {"ortho": count**-0.5, "forward": 1.0 if back else 1 / count}
    scale = wanted.get(norm or "", built_in) / built_in
    if scale == 1:
        return pair
    return tape.node("Mul", [pair, Literal(scale, torch.float32)])


def _axes(tape: Tape, x: Tensor, dim: Any, s: Any, rank: int | None) -> list[int]:
    if dim is None:
        dim = range(x.dim()) if rank is None else range(-rank, 0)
    axes = [axis % x.dim() for axis in ([dim] if isinstance(dim, int) else dim)]
    sizes = [s] if isinstance(s, int) else s
    is_whole = sizes is None or list(sizes) == [x.shape[axis] for axis in axes]
    tape.expect(is_whole, "a Fourier transform to another size")
    return axes


def _complex_transform(back: bool, rank: int | None, usual: Any, *functions: Any) -> None:
    def write(
        tape: Tape, out: Tensor, x: Tensor, s: Any = None, dim: Any = usual, norm: str | None = None
    ) -> None:
        _single(tape, x)
        axes = _axes(tape, x, dim, s, rank)
        sizes = [x.shape[axis] for axis in axes]
        tape.bind_complex(out, _transform(tape, _pair(tape, x), axes, sizes, norm, back))

    rule(*functions)(write)


_complex_transform(False, 1, -1, torch.fft.fft)
_complex_transform(True, 1, -1, torch.fft.ifft)
_complex_transform(False, 2, (-2, -1), torch.fft.fft2)
_complex_transform(True, 2, (-2, -1), torch.fft.ifft2)
_complex_transform(False, None, None, torch.fft.fftn)
_complex_transform(True, None, None, torch.fft.ifftn)


def _half_transform(rank: int | None, usual: Any, *functions: Any) -> None:
    """A real tensor to the half of its spectrum that is not mirrored."""

    def write(
        tape: Tape, out: Tensor, x: Tensor, s: Any = None, dim: Any = usual, norm: str | None = None
    ) -> None:
        _single(tape, x)
        axes = _axes(tape, x, dim, s, rank)
        sizes = [x.shape[axis] for axis in axes]
        last = axes[-1]
        pair = _transform(tape, _pair(tape, x), axes, sizes, norm, False)
        cut = [Ints((0,)), Ints((out.shape[last],)), Ints((last,))]
        tape.bind_complex(out, tape.node("Slice", [pair, *cut]))

    rule(*functions)(write)


_half_transform(1, -1, torch.fft.rfft)
_half_transform(2, (-2, -1), torch.fft.rfft2)
_half_transform(None, None, torch.fft.rfftn)


def _half_back(rank: int | None, usual: Any, *functions: Any) -> None:
    """The half of a spectrum back to a real tensor: the mirrored half is put to it first."""

    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        s: Any = None,
        dim: Any = usual,
        norm: str | None = None,
        *,
        n: Any = None,
    ) -> None:
        _single(tape, x)
        axes = _axes(tape, x, dim, None, rank)
        last, sizes = axes[-1], [out.shape[axis] for axis in axes]
        is_whole = all(out.shape[a] == x.shape[a] for a in axes[:-1])
        is_half = x.shape[last] == out.shape[last] // 2 + 1
        tape.expect(is_whole and is_half, "a Fourier transform to another size")
        pair = _transform(tape, _pair(tape, x), axes[:-1], sizes[:-1], norm, True)
        mirrored = (out.shape[last] - 1) // 2
        if mirrored:
            cut = [Ints((mirrored,)), Ints((0,)), Ints((last,)), Ints((-1,))]
            turned = tape.node("Mul", [tape.node("Slice", [pair, *cut]), _CONJUGATE])
            pair = tape.node("Concat", [pair, turned], axis=last)
        tape.bind(out, _part(tape, _transform(tape, pair, [last], sizes[-1:], norm, True), 0))

    rule(*functions)(write)


_half_back(1, -1, torch.fft.irfft)
_half_back(2, (-2, -1), torch.fft.irfft2)
_half_back(None, None, torch.fft.irfftn)


@rule(T.real.__get__, torch.real)  # type: ignore[attr-defined]
def real(tape: Tape, out: Tensor, x: Tensor) -> None:
    """The real part."""
    tape.bind(out, _part(tape, _pair(tape, x), 0) if x.is_complex() else tape.value(x))


@rule(T.imag.__get__, torch.imag)  # type: ignore[attr-defined]
def imag(tape: Tape, out: Tensor, x: Tensor) -> None:
    """The imaginary part."""
    tape.bind(out, _part(tape, _pair(tape, x), 1))


@rule(torch.view_as_real)
def view_as_real(tape: Tape, out: Tensor, x: Tensor) -> None:
    """Both parts in a last axis: as the value is."""
    tape.bind(out, _pair(tape, x))


@rule(torch.view_as_complex)
def view_as_complex(tape: Tape, out: Tensor, x: Tensor) -> None:
    """A last axis of two is both parts."""
    tape.bind_complex(out, tape.value(x))


@rule(torch.complex)
def complex_of(tape: Tape, out: Tensor, real: Tensor, imag: Tensor) -> None:
    """Two real tensors as one."""
    parts = [tape.node("Expand", [part, Ints(out.shape)]) for part in (real, imag)]
    wide = [tape.node("Unsqueeze", [part, Ints((-1,))]) for part in parts]
    tape.bind_complex(out, tape.node("Concat", wide, axis=-1))


@rule(torch.polar)
def polar(tape: Tape, out: Tensor, abs: Tensor, angle: Tensor) -> None:
    """From length and angle."""
    parts = [tape.node("Mul", [abs, tape.node(op, [angle])]) for op in ("Cos", "Sin")]
    wide = [tape.node("Unsqueeze", [part, Ints((-1,))]) for part in parts]
    tape.bind_complex(out, tape.node("Concat", wide, axis=-1))


@rule(torch.conj, T.conj)
def conj(tape: Tape, out: Tensor, x: Tensor) -> None:
    """The imaginary part with the other sign."""
    if x.is_complex():
        tape.bind_complex(out, tape.node("Mul", [_pair(tape, x), _CONJUGATE]))
    else:
        tape.bind(out, tape.value(x))


@rule(*named("abs", "absolute", "__abs__"))
def absolute(tape: Tape, out: Tensor, x: Tensor) -> None:
    """Without sign; of complex numbers the length."""
    if x.is_complex():
        tape.emit(out, "ReduceL2", [_pair(tape, x), Ints((-1,))], keepdims=0)
    else:
        tape.emit(out, "Abs", [x])


def _mul(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
    if all(isinstance(x, Tensor) and x.is_complex() for x in (a, b)):
        (ar, ai), (br, bi) = (
            [_part(tape, p, i) for i in (0, 1)] for p in (_pair(tape, a), _pair(tape, b))
        )
        real = tape.node("Sub", [tape.node("Mul", [ar, br]), tape.node("Mul", [ai, bi])])
        imag = tape.node("Add", [tape.node("Mul", [ar, bi]), tape.node("Mul", [ai, br])])
        wide = [tape.node("Unsqueeze", [part, Ints((-1,))]) for part in (real, imag)]
        tape.bind_complex(out, tape.node("Concat", wide, axis=-1))
        return
    both, single = (a, b) if isinstance(a, Tensor) and a.is_complex() else (b, a)
    tape.bind_complex(out, tape.node("Mul", [_pair(tape, both), _factor(tape, single)]))


def _factor(tape: Tape, value: Any) -> Operand:
    """A real number or tensor that scales both parts."""
    if isinstance(value, Tensor):
        tape.expect(value.dtype == torch.float32, "complex numbers times another type")
        return tape.node("Unsqueeze", [value, Ints((-1,))])
    tape.expect(isinstance(value, int | float), "a complex number of Python")
    return Literal(float(value), torch.float32)


def _complex_div(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
    is_scaled = isinstance(a, Tensor) and a.is_complex() and not _is_complex(b)
    tape.expect(is_scaled, "division by complex numbers")
    tape.bind_complex(out, tape.node("Div", [_pair(tape, a), _factor(tape, b)]))


def _is_complex(value: Any) -> bool:
    return isinstance(value, complex) or (isinstance(value, Tensor) and value.is_complex())


def _sum(op: str) -> Callable[..., None]:
    def write(tape: Tape, out: Tensor, a: Any, b: Any, *, alpha: float = 1) -> None:
        is_plain = alpha == 1 and isinstance(a, Tensor) and isinstance(b, Tensor)
        tape.expect(is_plain, "complex numbers and numbers of Python in a sum")
        tape.bind_complex(out, tape.node(op, [_pair(tape, a), _pair(tape, b)]))

    return write


@rule(*(T.view, T.reshape, torch.reshape, T.flatten, torch.flatten, T.unsqueeze, torch.unsqueeze))
def reshape_any(tape: Tape, out: Tensor, x: Tensor, *given: Any, **named_args: Any) -> None:
    """Of complex tensors too."""
    if not out.is_complex():
        reshape(tape, out, x, *given, **named_args)
        return
    tape.expect(x.is_complex(), "a view as another type")
    tape.bind_complex(out, tape.node("Reshape", [_pair(tape, x), Ints((*out.shape, 2))]))


def _or_complex(write_complex: Callable[..., None], *names: str) -> None:
    """The usual rule where the result is real, another one where it is complex."""

    def choose(usual: Callable[..., None]) -> Callable[..., None]:
        def write(tape: Tape, out: Any, *args: Any, **named_args: Any) -> None:
            (write_complex if out.is_complex() else usual)(tape, out, *args, **named_args)

        return write

    for function in named(*names):
        if function in RULES:
            RULES[function] = choose(RULES[function])


_or_complex(_mul, "mul", "multiply", "__mul__", "__rmul__")
_or_complex(_complex_div, "div", "__truediv__", "true_divide")
_or_complex(_sum("Add"), "add", "__add__", "__radd__")
_or_complex(_sum("Sub"), "sub", "__sub__")
