"""The words of a text, both ways: shapes, attributes, and what need not be said.

`text` writes with these functions and `decode` reads with them. A word is short where reading it
back gives the very value; else it is written out (`key:=JSON`). What follows from a line's
operator, attributes and shape - the weights of a layer, the shapes of a recurrence's states,
element types - is said only where it is otherwise.
"""

import json
import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from surrogate.cost import GATES
from surrogate.ir import BATCH, Attribute, Dim, Shape

BARE = "ksdgpai"
"""Attributes written without an equals sign, in the order in which they stand."""
LAYERS = {
    *("Conv", "ConvTranspose", "Linear", "BatchNorm", "InstanceNorm", "LayerNorm", "GroupNorm"),
    *GATES,
}
"""Operators whose weights follow from their attributes."""
WINDOWED = {"Conv", "ConvTranspose", "AveragePool", "MaxPool", "LpPool"}
FLOATS = {
    *("alpha", "beta", "gamma", "eps", "epsilon", "lambd", "bias", "clip", "momentum", "scale"),
    *("cubic_coeff_a", "extrapolation_value", "spatial_scale", "softcap", "ratio", "max", "min"),
}
"""Attributes whose whole numbers are floats too."""
TUPLES = {
    *(("Slice", "a"), ("Slice", "from"), ("Slice", "to"), ("Slice", "step"), ("Select", "i")),
    *(("LayerNorm", "a"), ("Transpose", "order"), ("ConvTranspose", "output_padding")),
}
"""Attributes that are lists even if one number stands there; axes of reductions are too."""
BOOLEAN, INT64 = 9, 7
TYPES = {
    **dict.fromkeys(("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"), BOOLEAN),
    **dict.fromkeys(("Not", "And", "Or", "Xor", "IsNaN", "IsInf"), BOOLEAN),
    **dict.fromkeys(("ArgMax", "ArgMin", "NonZero"), INT64),
}
"""Element types that do not follow from the input of the graph."""
WORD_LIMIT = 16_384  # characters
_WHOLE = re.compile(r"-?\d{1,19}")
_DECIMAL = re.compile(r"-?(\d{1,20}(\.\d{1,20})?(e[+-]\d{1,3})?|inf|nan)")
_DIM = re.compile(r"(\d{0,18})(B?)([+-]\d{1,18})?")


class WordError(ValueError):
    """A word that no graph is written with; the message says what was expected."""


def attribute_rank(key: str) -> tuple[int, str]:
    """The place of an attribute in its line."""
    return (BARE.index(key) if key in BARE else len(BARE), key)


@lru_cache(maxsize=16_384)
def write_attribute(op: str, key: str, value: Attribute, rank: int) -> str:
    """The word of an attribute; `rank` is that of the operator's output."""
    short = _short(key, value)
    try:
        is_clear = " " not in short and repr(read_attribute(op, short, rank)) == repr((key, value))
    except WordError:
        is_clear = False
    return (
        short
        if is_clear
        else f"{key}:={json.dumps(value, separators=(',', ':'))}".replace(" ", "\\u0020")
    )


def _short(key: str, value: Attribute) -> str:
    if value is True:
        return key
    if isinstance(value, tuple):
        is_uniform = len(set(value)) == 1 and key in "ksdp"
        text = "x".join(write_number(part) for part in (value[:1] if is_uniform else value))
    else:
        text = write_number(value)
    return f"{key}{text}" if key in BARE else f"{key}={text}"


def write_number(value: object) -> str:
    """A number to six digits; anything else as it stands."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def rounded(value: float) -> float:
    """The 32-bit float that stands behind the six digits of a number in the text."""
    return _single(float(f"{value:.6g}")) + 0.0


def _single(value: float) -> float:
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return value


@lru_cache(maxsize=16_384)
def read_attribute(op: str, word: str, rank: int) -> tuple[str, Attribute]:
    """Name and value of an attribute's word; raises `WordError`."""
    key, is_long, content = word.partition(":=")
    if is_long:
        return key, _read_long(content)
    if word[0] in BARE and (word[1:2].isdigit() or word[1:2] == "-"):
        return word[0], _read_value(op, word[0], word[1:], rank)
    key, equals, content = word.partition("=")
    if not key.isidentifier():
        raise WordError("words of operators, attributes and operands")
    return key, _read_value(op, key, content, rank) if equals else True


def _read_long(content: str) -> Attribute:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise WordError("JSON behind ':='") from None
    if isinstance(value, list):
        value = tuple(value)
    parts = value if isinstance(value, tuple) else (value,)
    if not all(type(part) in (int, float, str, bool) for part in parts):
        raise WordError("a number, a text or a list of them behind ':='")
    return value


def _read_value(op: str, key: str, content: str, rank: int) -> Attribute:
    parts = content.split("x")
    is_window = op in WINDOWED and key in "ksdp"
    if is_window or (op, key) == ("Pad", "p"):
        numbers = _read_whole(parts)
        count = (rank - 2 if is_window else rank) * (2 if key == "p" else 1)
        return numbers * count if len(numbers) == 1 and 0 < count <= 128 else numbers
    if key == "activations":
        return tuple(parts)
    if len(parts) > 1 and all(_WHOLE.fullmatch(part) for part in parts):
        return _read_whole(parts)
    if (op, key) in TUPLES or (op.startswith("Reduce") and key == "a"):
        return _read_whole(parts)
    if _WHOLE.fullmatch(content) and key not in FLOATS:
        return int(content)
    if _DECIMAL.fullmatch(content) and (key in FLOATS or content[-1].isdigit()):
        return _single(float(content))
    return content


def _read_whole(parts: list[str]) -> tuple[int, ...]:
    if not all(_WHOLE.fullmatch(part) for part in parts):
        raise WordError("whole numbers")
    return tuple(map(int, parts))


@lru_cache(maxsize=16_384)
def write_size(shape: Shape) -> str:
    """A shape; the batch axis is left out where it comes first and alone, and is B elsewhere."""
    if not any(dim.scale for dim in shape):
        return "=" + "x".join(map(_write_dim, shape))
    rest = shape[1:]
    if shape[0] == BATCH and rest and not any(dim.scale for dim in rest):
        return "x".join(map(_write_dim, rest))
    return "x".join(map(_write_dim, shape))


def _write_dim(dim: Dim) -> str:
    if dim.scale == 0:
        return str(dim.offset)
    batch = "B" if dim.scale == 1 else f"{dim.scale}B"
    return f"{batch}{dim.offset:+d}" if dim.offset else batch


@lru_cache(maxsize=16_384)
def read_size(text: str) -> Shape:
    """The shape that `write_size` writes so; raises `WordError`."""
    if text == "=":
        return ()
    is_fixed = text.startswith("=")
    shape = tuple(_read_dim(part) for part in text[is_fixed:].split("x"))
    is_open = any(dim.scale for dim in shape)
    if is_fixed and is_open:
        raise WordError("a shape such as 8x20")
    return shape if is_fixed or is_open else (BATCH, *shape)


def _read_dim(text: str) -> Dim:
    match = _DIM.fullmatch(text)
    if not match or not text or (match[3] and not match[2]):
        raise WordError("a shape such as 8x20")
    if not match[2]:
        return Dim(0, int(match[1]))
    return Dim(int(match[1] or 1), int(match[3] or 0))


def write_sizes(shape: tuple[int, ...]) -> str:
    """The shape of a weight."""
    return "x".join(map(str, shape)) or "()"


def read_sizes(text: str) -> tuple[int, ...]:
    """The shape that `write_sizes` writes so; raises `WordError`."""
    parts = [] if text == "()" else text.split("x")
    if not all(part.isdecimal() and len(part) < 19 for part in parts):
        raise WordError("the shape of a weight such as 8x20")
    return tuple(map(int, parts))


def natural_type(op: str, attributes: dict[str, Attribute], input_type: int) -> int:
    """The element type that need not be said: that of the input, or what the operator makes."""
    to = attributes.get("to")
    return to if op == "Cast" and isinstance(to, int) else TYPES.get(op, input_type)


def natural_weights(
    op: str, attributes: Mapping[str, Any], shape: Shape
) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Shape and number of trained tensors of each weight that a layer has when nothing is said."""
    kernel = attributes.get("k", ())
    if op in ("BatchNorm", "InstanceNorm"):
        return (((shape[1].offset,), 1),) * 2
    if op == "GroupNorm":
        return (((shape[1].offset, *(1,) * (len(shape) - 2)), 1),) * 2
    if op == "LayerNorm":
        (axis,) = attributes["a"]
        sizes = tuple(dim.offset for dim in shape[axis:])
        return ((sizes, 1),) * 2
    fan_in, width = attributes["c"]
    if op in GATES:
        directions = 2 if attributes.get("bi") else 1
        rows = GATES[op] * width
        sizes = ((rows, fan_in), (rows, width), (2 * rows,))
        counts = (directions, directions, 2 * directions)
        return tuple(((directions, *s), n) for s, n in zip(sizes, counts, strict=True))
    groups = attributes.get("g", 1)
    if op == "Linear":
        first = (width, fan_in) if len(shape) == 2 else (fan_in, width)
    elif op == "Conv":
        first = (width, fan_in // groups, *kernel)
    else:
        first = (fan_in, width // groups, *kernel)
    return ((first, 1), ((width,), 1))


def natural_shapes(op: str, attributes: dict[str, Attribute], first: Shape, count: int) -> tuple:
    """The shapes of all outputs where they follow from that of the first; else the first alone."""
    if op not in GATES or count == 1 or len(first) != 4:
        return (first,)
    return (first, *[first[1:]] * (count - 1))


def weight_count(op: str, flags: set[str]) -> int:
    """How many weights a layer has, as its words say."""
    most = 3 if op in GATES else 2
    return 0 if "noaffine" in flags else most - ("nobias" in flags)


def layer_flags(op: str, count: int) -> list[str]:
    """Says so where a layer has fewer weights than usual."""
    if op in ("Conv", "ConvTranspose", "Linear"):
        return ["nobias"] if count == 1 else []
    if op in GATES:
        return ["nobias"] if count == 2 else []
    return {0: ["noaffine"], 1: ["nobias"]}.get(count, [])
