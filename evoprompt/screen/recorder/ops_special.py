"""Rules for what works element by element and has no operator of its own: special functions."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import as_type, cast, named
from evoprompt.screen.recorder.tape import Literal, Operand, Tape, rule

T = Tensor


def _formula(*names: str) -> Callable[[Callable[[Tape, Operand, torch.dtype], Any]], None]:
    """Register a function of one tensor, which is brought into the type of the result first."""

    def register(formula: Callable[[Tape, Operand, torch.dtype], Any]) -> None:
        def write(tape: Tape, out: Tensor, x: Tensor) -> None:
            tape.expect(out.is_floating_point(), f"{names[0]} of whole numbers")
            value = cast(tape, x, x.dtype, out.dtype)
            tape.bind(out, formula(tape, value, out.dtype))

        rule(*named(*names, *(f"{name}_" for name in names)))(write)

    return register


def _number(op: str, number: float, is_first: bool = False):
    """One operator with one number."""

    def formula(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
        operands = [x, Literal(number, dtype)]
        return tape.node(op, operands[::-1] if is_first else operands)

    return formula


_formula("exp2")(_number("Pow", 2.0, is_first=True))
_formula("deg2rad")(_number("Mul", math.pi / 180))
_formula("rad2deg")(_number("Mul", 180 / math.pi))


@_formula("log2")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Div", [tape.node("Log", [x]), Literal(math.log(2), dtype)])


@_formula("log10")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Div", [tape.node("Log", [x]), Literal(math.log(10), dtype)])


@_formula("log1p")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Log", [tape.node("Add", [x, Literal(1.0, dtype)])])


@_formula("expm1")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Sub", [tape.node("Exp", [x]), Literal(1.0, dtype)])


@_formula("erfc")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Sub", [Literal(1.0, dtype), tape.node("Erf", [x])])


def _trunc(tape: Tape, x: Operand) -> Operand:
    return tape.node("Mul", [tape.node("Sign", [x]), tape.node("Floor", [tape.node("Abs", [x])])])


@_formula("trunc", "fix")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return _trunc(tape, x)


@_formula("frac")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Sub", [x, _trunc(tape, x)])


@_formula("sgn")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Sign", [x])


@_formula("sinc")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    scaled = tape.node("Mul", [x, Literal(math.pi, dtype)])
    ratio = tape.node("Div", [tape.node("Sin", [scaled]), scaled])
    is_zero = tape.node("Equal", [x, Literal(0.0, dtype)])
    return tape.node("Where", [is_zero, Literal(1.0, dtype), ratio])


@_formula("log_sigmoid", "logsigmoid")
def _(tape: Tape, x: Operand, dtype: torch.dtype) -> Operand:
    return tape.node("Neg", [tape.node("Softplus", [tape.node("Neg", [x])])])


@rule(*named("logit"))
def logit(tape: Tape, out: Tensor, x: Tensor, eps: float | None = None) -> None:
    """The logarithm of the odds."""
    value: Operand = tape.value(x)
    one = Literal(1.0, x.dtype)
    if eps is not None:
        bounds = [Literal(float(eps), x.dtype), Literal(1.0 - float(eps), x.dtype)]
        value = tape.node("Clip", [value, *bounds])
    odds = tape.node("Div", [value, tape.node("Sub", [one, value])])
    tape.emit(out, "Log", [odds])


@rule(*named("isinf"))
def isinf(tape: Tape, out: Tensor, x: Tensor) -> None:
    """Of either sign."""
    tape.expect(x.is_floating_point(), "isinf of whole numbers")
    tape.emit(out, "IsInf", [x])


@rule(*named("isfinite"))
def isfinite(tape: Tape, out: Tensor, x: Tensor) -> None:
    """Neither infinite nor NaN."""
    tape.expect(x.is_floating_point(), "isfinite of whole numbers")
    either = tape.node("Or", [tape.node("IsInf", [x]), tape.node("IsNaN", [x])])
    tape.emit(out, "Not", [either])


@rule(*named("nan_to_num", "nan_to_num_"))
def nan_to_num(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> None:
    """Finite numbers instead of NaN and infinities."""
    tape.expect(x.is_floating_point(), "nan_to_num of whole numbers")
    limits = torch.finfo(x.dtype)
    value = tape.node("Where", [tape.node("IsNaN", [x]), Literal(nan or 0.0, x.dtype), x])
    for infinity, given, usual in (
        (math.inf, posinf, limits.max),
        (-math.inf, neginf, limits.min),
    ):
        is_there = tape.node("Equal", [value, Literal(infinity, x.dtype)])
        number = usual if given is None else given
        value = tape.node("Where", [is_there, Literal(float(number), x.dtype), value])
    tape.bind(out, value)


@rule(*named("hardshrink"))
def hardshrink(tape: Tape, out: Tensor, x: Tensor, lambd: float = 0.5) -> None:
    """Nothing near zero."""
    tape.emit(out, "Shrink", [x], lambd=float(lambd), bias=0.0)


@rule(*named("softshrink"))
def softshrink(tape: Tape, out: Tensor, x: Tensor, lambd: float = 0.5) -> None:
    """Nearer to zero."""
    tape.emit(out, "Shrink", [x], lambd=float(lambd), bias=float(lambd))


@rule(*named("threshold", "threshold_"))
def threshold(
    tape: Tape, out: Tensor, x: Tensor, threshold: float, value: float, inplace: bool = False
) -> None:
    """A number where the input is not above the threshold."""
    is_above = tape.node("Greater", [x, Literal(threshold, x.dtype)])
    tape.emit(out, "Where", [is_above, x, Literal(value, x.dtype)])


@rule(*named("rrelu", "rrelu_"))
def rrelu(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> None:
    """In eval mode a leaky ReLU with the mean slope."""
    tape.expect(not training, "random numbers in forward (rrelu with training=True)")
    tape.emit(out, "LeakyRelu", [x], alpha=(float(lower) + float(upper)) / 2)


@rule(*named("addcmul", "addcmul_"))
def addcmul(
    tape: Tape, out: Tensor, x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1
) -> None:
    """X + value * tensor1 * tensor2."""
    _add_scaled(tape, out, x, tape.node("Mul", _as(tape, out, tensor1, tensor2)), value)


@rule(*named("addcdiv", "addcdiv_"))
def addcdiv(
    tape: Tape, out: Tensor, x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1
) -> None:
    """X + value * tensor1 / tensor2."""
    _add_scaled(tape, out, x, tape.node("Div", _as(tape, out, tensor1, tensor2)), value)


def _as(tape: Tape, out: Tensor, *values: Any) -> list[Operand]:
    return [as_type(tape, value, out.dtype) for value in values]


def _add_scaled(tape: Tape, out: Tensor, x: Tensor, term: Operand, value: float) -> None:
    if value != 1:
        term = tape.node("Mul", [term, Literal(value, out.dtype)])
    tape.emit(out, "Add", [*_as(tape, out, x), term])


@rule(*named("lerp", "lerp_"))
def lerp(tape: Tape, out: Tensor, x: Tensor, end: Tensor, weight: Any) -> None:
    """X + weight * (end - x)."""
    step = tape.node("Mul", [tape.node("Sub", [end, x]), *_as(tape, out, weight)])
    tape.emit(out, "Add", [x, step])


@rule(*named("hypot"))
def hypot(tape: Tape, out: Tensor, a: Tensor, b: Tensor) -> None:
    """The root of the sum of squares."""
    squares = [tape.node("Mul", [value, value]) for value in _as(tape, out, a, b)]
    tape.emit(out, "Sqrt", [tape.node("Add", squares)])


@rule(*named("clamp_min", "clamp_min_"))
def clamp_min(tape: Tape, out: Tensor, x: Tensor, min: Any) -> None:
    """A lower bound."""
    tape.emit(out, "Max", _as(tape, out, x, min))


@rule(*named("clamp_max", "clamp_max_"))
def clamp_max(tape: Tape, out: Tensor, x: Tensor, max: Any) -> None:
    """An upper bound."""
    tape.emit(out, "Min", _as(tape, out, x, max))


def _remainder(tape: Tape, out: Tensor, a: Any, b: Any) -> Operand:
    """What is left over, with the sign of the divisor, as in Python."""
    left, right = _as(tape, out, a, b)
    if not out.is_floating_point():
        return tape.node("Mod", [left, right], fmod=0)
    rest = tape.node("Mod", [left, right], fmod=1)
    zero = Literal(0.0, out.dtype)
    is_opposite = tape.node("Less", [tape.node("Mul", [rest, right]), zero])
    return tape.node("Where", [is_opposite, tape.node("Add", [rest, right]), rest])


@rule(*named("remainder", "remainder_", "__mod__"))
def remainder(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
    """With the sign of the divisor."""
    tape.bind(out, _remainder(tape, out, a, b))


@rule(*named("fmod", "fmod_"))
def fmod(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
    """With the sign of the dividend."""
    tape.emit(out, "Mod", _as(tape, out, a, b), fmod=1)


@rule(*named("floor_divide", "floor_divide_", "__floordiv__"))
def floor_divide(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
    """What is left over is taken away first: 1 // 0.1 is 9, though 1 / 0.1 is rounded to 10."""
    left, right = _as(tape, out, a, b)
    ratio = tape.node("Div", [tape.node("Sub", [left, _remainder(tape, out, a, b)]), right])
    if not out.is_floating_point():
        tape.bind(out, ratio)
        return
    whole = tape.node("Round", [ratio])
    if isinstance(b, Tensor) or b == 0:  # nothing is left over by nought
        is_nought = tape.node("Equal", [right, Literal(0.0, out.dtype)])
        whole = tape.node("Where", [is_nought, tape.node("Div", [left, right]), whole])
    tape.bind(out, whole)


@rule(*named("div", "div_", "divide"))
def div(tape: Tape, out: Tensor, a: Any, b: Any, *, rounding_mode: str | None = None) -> None:
    """Division, exact or rounded; ONNX's division of whole numbers cuts off."""
    if rounding_mode == "floor":
        floor_divide(tape, out, a, b)
        return
    ratio = tape.node("Div", _as(tape, out, a, b))
    if rounding_mode == "trunc" and out.is_floating_point():
        ratio = _trunc(tape, ratio)
    tape.bind(out, ratio)


@rule(F.alpha_dropout, F.feature_alpha_dropout)
def alpha_dropout(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> None:
    """Nothing in eval mode."""
    tape.expect(not training, "random numbers in forward (alpha_dropout with training=True)")
    tape.bind(out, tape.value(x))
