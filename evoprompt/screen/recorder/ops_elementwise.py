"""Rules for what works element by element: arithmetic, comparisons, choices, types."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.tape import PASSED, Function, Literal, Operand, Tape, rule
from evoprompt.screen.recorder.write import ELEMENT_TYPES

T = Tensor


def named(*names: str) -> list[Function]:
    """The functions of these names, wherever torch has them."""
    homes = (F, torch, T, torch.special)
    found = [getattr(home, name, None) for home in homes for name in names]
    return [function for function in found if function is not None]


def cast(tape: Tape, value: Any, source: torch.dtype, target: torch.dtype) -> Operand:
    """The value in another type."""
    if source == target:
        return tape.operand(value)
    if target not in ELEMENT_TYPES:
        tape.refuse(f"tensors of {str(target).removeprefix('torch.')}")
    return tape.node("Cast", [value], to=int(ELEMENT_TYPES[target]))


def as_type(tape: Tape, value: Any, target: torch.dtype) -> Operand:
    """A tensor or number as an operand of this type."""
    if target in (torch.float16, torch.bfloat16):
        tape.refuse("arithmetic in half precision")
    if isinstance(value, Tensor):
        return cast(tape, value, value.dtype, target)
    if not isinstance(value, int | float):
        tape.refuse(f"a {type(value).__name__} as an operand")
    return Literal(value, target)


def _unary(op: str, *names: str, is_float: bool = True) -> None:
    def write(tape: Tape, out: Tensor, x: Tensor, inplace: bool = False) -> None:
        operand = cast(tape, x, x.dtype, out.dtype) if is_float else x
        tape.emit(out, op, [operand])

    rule(*named(*names, *(f"{name}_" for name in names)))(write)


for _op, _names in {
    "Sigmoid": ("sigmoid", "expit"),
    "Tanh": ("tanh",),
    "Exp": ("exp",),
    "Log": ("log",),
    "Sqrt": ("sqrt",),
    "Sin": ("sin",),
    "Cos": ("cos",),
    "Tan": ("tan",),
    "Asin": ("asin", "arcsin"),
    "Acos": ("acos", "arccos"),
    "Atan": ("atan", "arctan"),
    "Sinh": ("sinh",),
    "Cosh": ("cosh",),
    "Asinh": ("asinh", "arcsinh"),
    "Acosh": ("acosh", "arccosh"),
    "Atanh": ("atanh", "arctanh"),
    "Erf": ("erf",),
    "Reciprocal": ("reciprocal",),
    "Softsign": ("softsign",),
    "HardSwish": ("hardswish",),
    "Mish": ("mish",),
}.items():
    _unary(_op, *_names)
for _op, _names in {
    "Abs": ("abs", "absolute", "__abs__"),
    "Neg": ("neg", "negative", "__neg__"),
    "Sign": ("sign",),
    "IsNaN": ("isnan",),
}.items():
    _unary(_op, *_names, is_float=False)


@rule(*named("relu", "relu_"))
def relu(tape: Tape, out: Tensor, x: Tensor, inplace: bool = False) -> None:
    """Of whole numbers written as a maximum."""
    if x.is_floating_point():
        tape.emit(out, "Relu", [x])
    else:
        tape.emit(out, "Max", [x, Literal(0, x.dtype)])


def _rounded(op: str, *names: str) -> None:
    """Whole numbers stay as they are."""

    def write(tape: Tape, out: Tensor, x: Tensor) -> None:
        tape.bind(out, tape.node(op, [x]) if x.is_floating_point() else tape.value(x))

    rule(*named(*names, *(f"{name}_" for name in names)))(write)


_rounded("Floor", "floor")
_rounded("Ceil", "ceil")
_rounded("Round", "round")


@rule(*named("logical_not", "logical_not_", "__invert__", "bitwise_not"))
def negation(tape: Tape, out: Tensor, x: Tensor) -> None:
    """Of flags, of numbers (zero or not), or of every bit."""
    if x.dtype == torch.bool:
        tape.emit(out, "Not", [x])
    elif out.dtype == torch.bool:
        tape.emit(out, "Equal", [x, Literal(0, x.dtype)])
    else:
        tape.emit(out, "BitwiseNot", [x])


_OF_FLAGS = {"Add": "Or", "Mul": "And", "Max": "Or", "Min": "And"}


def _binary(op: str, *names: str, is_reversed: bool = False) -> None:
    def write(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
        operands = [as_type(tape, a, out.dtype), as_type(tape, b, out.dtype)]
        name = _OF_FLAGS.get(op, op) if out.dtype == torch.bool else op
        tape.emit(out, name, operands[::-1] if is_reversed else operands)

    rule(*named(*names))(write)


def _scaled(op: str, *names: str, is_reversed: bool = False) -> None:
    """Sums and differences, whose second operand may be scaled."""

    def write(tape: Tape, out: Tensor, a: Any, b: Any, *, alpha: float = 1) -> None:
        if op == "Add" and type(b) is int and b == 0 and isinstance(a, Tensor):
            tape.bind(out, cast(tape, a, a.dtype, out.dtype))  # where Python's sum() begins
            return
        left, right = as_type(tape, a, out.dtype), as_type(tape, b, out.dtype)
        if out.dtype == torch.bool and alpha == 1 and op == "Add":
            tape.emit(out, "Or", [left, right])
            return
        if alpha != 1:
            right = tape.node("Mul", [right, Literal(alpha, out.dtype)])
        tape.emit(out, op, [right, left] if is_reversed else [left, right])

    rule(*named(*names))(write)


_scaled("Add", "add", "add_", "__add__", "__radd__", "__iadd__")
_scaled("Sub", "sub", "sub_", "subtract", "__sub__", "__isub__")
_scaled("Sub", "rsub", "__rsub__", is_reversed=True)
_binary("Mul", "mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__")
_binary("Div", "true_divide", "__truediv__", "__itruediv__")
_binary("Div", "__rtruediv__", "__rdiv__", is_reversed=True)
_binary("Max", "maximum")
_binary("Min", "minimum")


@rule(*named("pow", "pow_", "__pow__", "__ipow__", "float_power"))
def power(tape: Tape, out: Tensor, base: Any, exponent: Any) -> None:
    """Both operands in the type of the result."""
    is_fine = out.is_floating_point() or (isinstance(exponent, int) and exponent >= 0)
    tape.expect(is_fine, "a power of whole numbers to a tensor")
    tape.emit(out, "Pow", [as_type(tape, base, out.dtype), as_type(tape, exponent, out.dtype)])


@rule(*named("__rpow__"))
def reversed_power(tape: Tape, out: Tensor, exponent: Any, base: Any) -> None:
    """The base comes second."""
    power(tape, out, base, exponent)


@rule(*named("square", "square_"))
def square(tape: Tape, out: Tensor, x: Tensor) -> None:
    """As torch's exporter writes it."""
    tape.emit(out, "Mul", [x, x])


@rule(*named("rsqrt", "rsqrt_"))
def rsqrt(tape: Tape, out: Tensor, x: Tensor) -> None:
    """One over the root."""
    tape.emit(out, "Div", [Literal(1.0, x.dtype), tape.node("Sqrt", [x])])


def _comparison(op: str, *names: str, negated: bool = False) -> None:
    def write(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
        common = torch.result_type(a, b)
        if common == torch.bool and op != "Equal":
            common = torch.int32
        operands = [as_type(tape, a, common), as_type(tape, b, common)]
        name = tape.node(op, operands)
        tape.bind(out, tape.node("Not", [name]) if negated else name)

    rule(*named(*names))(write)


_comparison("Greater", "gt", "greater", "__gt__")
_comparison("Less", "lt", "less", "__lt__")
_comparison("GreaterOrEqual", "ge", "greater_equal", "__ge__")
_comparison("LessOrEqual", "le", "less_equal", "__le__")
_comparison("Equal", "eq", "__eq__")
_comparison("Equal", "ne", "not_equal", "__ne__", negated=True)


def _logical(op: str, *names: str) -> None:
    def write(tape: Tape, out: Tensor, a: Any, b: Any) -> None:
        is_flags = out.dtype == torch.bool
        kind = torch.bool if is_flags else out.dtype
        tape.emit(out, op if is_flags else f"Bitwise{op}", [as_type(tape, v, kind) for v in (a, b)])

    rule(*named(*names))(write)


_logical("And", "logical_and", "bitwise_and", "__and__", "__rand__", "__iand__")
_logical("Or", "logical_or", "bitwise_or", "__or__", "__ror__", "__ior__")
_logical("Xor", "logical_xor", "bitwise_xor", "__xor__", "__rxor__", "__ixor__")


@rule(*named("clamp", "clamp_", "clip", "clip_"))
def clamp(tape: Tape, out: Tensor, x: Tensor, min: Any = None, max: Any = None) -> None:
    """Bounds are numbers or tensors."""
    value = cast(tape, x, x.dtype, out.dtype)
    if not isinstance(min, Tensor) and not isinstance(max, Tensor):
        bounds = [None if b is None else Literal(b, out.dtype) for b in (min, max)]
        tape.emit(out, "Clip", [value, *bounds[: 2 if max is not None else 1]])
        return
    for op, bound in (("Max", min), ("Min", max)):
        if bound is not None:
            value = tape.node(op, [value, as_type(tape, bound, out.dtype)])
    tape.bind(out, value)


@rule(*named("where"))
def where(tape: Tape, out: Tensor, condition: Tensor, *choices: Any) -> None:
    """Elements of one of two tensors; `x.where(condition, y)` comes in another order."""
    tape.expect(len(choices) == 2, "where with one argument")
    tape.expect(condition.dtype == torch.bool, "where with a condition of numbers")
    _choose(tape, out, condition, *choices)


def _choose(tape: Tape, out: Tensor, condition: Tensor, ours: Any, theirs: Any) -> None:
    """Elements of one of two; flags as numbers, of which onnxruntime can choose."""
    kind = torch.int32 if out.dtype == torch.bool else out.dtype
    chosen = [as_type(tape, choice, kind) for choice in (ours, theirs)]
    tape.bind(out, cast(tape, tape.node("Where", [condition, *chosen]), kind, out.dtype))


@rule(T.where)
def where_method(tape: Tape, out: Tensor, x: Tensor, condition: Tensor, other: Any) -> None:
    """`x.where(condition, other)`."""
    where(tape, out, condition, x, other)


@rule(*named("masked_fill", "masked_fill_"))
def masked_fill(tape: Tape, out: Tensor, x: Tensor, mask: Tensor, value: Any) -> None:
    """A number where the mask is set."""
    _choose(tape, out, mask, value, x)


@rule(*named("clone", "contiguous", "detach", "positive", "alias"))
def same(tape: Tape, out: Tensor, x: Tensor, memory_format: Any = None) -> None:
    """Another tensor of the same numbers."""
    tape.bind(out, tape.value(x))


@rule(T.to, T.float, T.double, T.long, T.int, T.bool, T.half, T.bfloat16, T.type_as, T.type, T.cpu)
def to_type(tape: Tape, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    """A change of type; of the device there is only one."""
    tape.expect(isinstance(out, Tensor), "the name of a tensor's type")
    tape.bind(out, cast(tape, x, x.dtype, out.dtype))


PASSED |= {
    *(T.size, T.dim, T.ndimension, T.numel, T.nelement, T.stride, T.is_contiguous, T.element_size),
    *(T.is_floating_point, T.is_complex, T.is_signed, T.__len__, T.get_device, T.__hash__),
    *(T.storage_offset, torch.is_floating_point, torch.is_complex, torch.numel, T.is_inference),
    *(torch.is_tensor, torch.result_type, torch.broadcast_shapes, T.__repr__, T.__format__),
    *(T.new_zeros, T.new_ones, T.new_empty, T.new_full, T.new_tensor),
    *(torch.zeros_like, torch.ones_like, torch.empty_like, torch.full_like),
}
PASSED |= {
    getattr(T, name).__get__
    for name in (
        *("shape", "ndim", "dtype", "device", "layout", "requires_grad", "is_leaf", "is_cuda"),
        *("is_sparse", "is_quantized", "is_meta", "is_nested", "is_mkldnn", "is_mps", "is_xpu"),
        *("itemsize", "nbytes", "grad_fn", "is_cpu"),
    )
    if hasattr(T, name)
}
