"""Lines as numbers.

Everything is derived from the parsed text. Sizes enter as logarithms to the base 2, so that a
doubled width is the same step everywhere. What a line says by itself is worked out once per
distinct line.
Axes: L lines.
"""

import math
import re
import zlib
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from surrogate.parse import Words

OPERATORS = (
    *("NET", "Conv", "ConvTranspose", "Linear", "MatMul", "Gemm", "GRU", "LSTM", "RNN", "Einsum"),
    *("BatchNorm", "GroupNorm", "LayerNorm", "InstanceNorm", "Dropout", "Softmax", "LogSoftmax"),
    *("Relu", "Gelu", "Swish", "Elu", "Mish", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish"),
    *("HardSigmoid", "Selu", "Celu", "PRelu", "Softplus", "Clip", "Erf", "Exp", "Sqrt", "Pow"),
    *("Add", "Mul", "Sub", "Div", "Max", "Min", "Concat", "Slice", "Select", "Gather", "View"),
    *("Transpose", "Expand", "Pad", "Resize", "MaxPool", "AveragePool", "ReduceMean"),
    *("ReduceMax", "ReduceSum", "Cast", "Where", "Neg", "Abs"),
)
HASHED_OPERATORS = 32  # buckets for operators that are not listed
VARIANTS = 128  # buckets for attributes that are not numbers
TOKENS = len(OPERATORS) + HASHED_OPERATORS
SLOTS = 4  # lines that may be told with another one
NO_ROW = TOKENS + VARIANTS  # of the tables: no line in a slot; it holds zeros
LINE_FEATURES = 17
FREE_OPERATORS = {
    *("BatchNorm", "GroupNorm", "LayerNorm", "InstanceNorm", "Dropout", "Relu", "Gelu", "Swish"),
    *("Elu", "Mish", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Selu", "Celu"),
    *("PRelu", "Softplus", "Clip"),
}
"""Operators that keep the shape and cost next to nothing."""
GROUPS = (
    {"Linear", "Gemm"},
    {"GRU", "LSTM", "RNN"},
    {"MatMul", "Softmax", "Einsum"},
    {"BatchNorm"},
    {"GroupNorm", "LayerNorm", "InstanceNorm"},
    {"Relu", "LeakyRelu"},
    {"Gelu", "Swish", "Elu", "Mish", "Selu", "Softplus", "HardSwish"},
    {"Sigmoid", "Tanh", "HardSigmoid", "Mul"},
    {"Add", "Sub"},
    {"Concat"},
    {"MaxPool", "ReduceMax"},
    {"AveragePool", "ReduceMean"},
    {"Dropout"},
    {"View", "Transpose", "Slice", "Select", "Gather", "Expand", "Pad"},
)
"""Kinds of operators that a graph's features count."""
KINDS = ("windows", "points", "pools", "weights", "activations", "layers")
"""What paths count: weights with and without a window, pools, all weights, activations, and all
that computes."""
_MOVES = len(GROUPS) - 1
_POOLS = {"MaxPool", "AveragePool"}
_ACTIVATIONS = {"Tanh", "Sigmoid", "HardSigmoid", "Celu", "PRelu"} | GROUPS[5] | GROUPS[6]
_GROUP = {op: number for number, group in enumerate(GROUPS) for op in group}
_INDEX = {op: index for index, op in enumerate(OPERATORS)}
_NUMERIC = set("ksdgp")
_NUMBER = re.compile(r"#[\d.e-]+")
_NO_ROWS = (NO_ROW,) * SLOTS


LINE = np.dtype(
    [
        ("label", np.uint64),  # digest of operator and attributes, without widths and shapes
        ("references", np.int64),  # how many
        ("kinds", np.int64),  # those of `KINDS` that it is of, a bit each
        ("group", np.int64),  # its kind in `GROUPS`; one more than the last for all others
        ("reach", float),  # positions that its window adds to a receptive field
        ("stride", float),
        ("is_weighted", float),
        ("width", float),  # of a weighted operator: channels going out
        ("fan_in", float),  # of a linear layer
        ("is_conv", float),
        ("is_grouped", float),
        ("kernel", float),  # of a convolution
        ("spatial", float),  # positions of the output map; 0 for a vector
        ("elements", float),  # numbers going out
    ]
)
"""What a line says by itself, as a graph's features need it."""


class Facts(NamedTuple):
    """What a line says by itself."""

    token: int
    is_free: bool
    rows: bytes
    """Of the encoders' tables, (2 + SLOTS,) int64: operator, variant, no merged lines."""
    references: bytes
    """Lines back, int64; 0 is the graph input."""
    record: bytes
    """One `LINE`."""


def log2(value: float) -> float:
    """Logarithm to the base 2 of one more than a size."""
    return math.log2(1 + value) if value > 0 else 0.0


@lru_cache(maxsize=65_536)
def facts_of(words: Words) -> Facts:
    """The facts of a line; unseen operators and attributes share hashed buckets."""
    op, named = words.op, [(k, v) for k, v in words.attributes if k != "folded"]
    token = _INDEX.get(op)
    if token is None:
        token = len(OPERATORS) + zlib.crc32(op.encode()) % HASHED_OPERATORS
    rest = " ".join([f"{k}{v}" for k, v in named if k not in _NUMERIC])
    rest = _NUMBER.sub("#", rest) if "#" in rest else rest
    variant = 1 + zlib.crc32(rest.encode()) % (VARIANTS - 1) if rest else 0
    return Facts(
        token=token,
        is_free=op in FREE_OPERATORS,
        rows=array("q", (token, TOKENS + variant, *_NO_ROWS)).tobytes(),
        references=array("q", words.references).tobytes(),
        record=_record(words, named).tobytes(),
    )


def _record(words: Words, named: Sequence[tuple[str, str]]) -> np.ndarray:
    """One `LINE`."""
    op = words.op
    written = " ".join([op, *[f"{k}{v}" for k, v in named]])
    kernel, stride, dilation = (words.numbers(key) for key in "ksd")
    size = kernel[0] if kernel else 0
    group = _GROUP.get(op, len(GROUPS))
    is_weighted = words.channels is not None
    is_conv = op.startswith("Conv") and is_weighted
    is_window = is_conv and size > 1
    kinds = (
        *(is_window, is_weighted and not is_window, op in _POOLS, is_weighted),
        *(op in _ACTIVATIONS, group != _MOVES),
    )
    fan_in, width = words.channels or (0, 0)
    record = (
        zlib.crc32(written.encode()),
        len(words.references),
        sum([held << bit for bit, held in enumerate(kinds)]),
        group,
        (size - 1) * (dilation[0] if dilation else 1) if size else 0,
        stride[0] if stride and size else 1,
        is_weighted,
        width,
        fan_in if op == "Linear" else 0,
        is_conv,
        is_conv and any(key == "g" for key, _ in named),
        size if is_conv else 0,
        math.prod(words.shape[1:]) if len(words.shape) > 1 else 0,
        words.elements,
    )
    return np.array(record, LINE)


@lru_cache(maxsize=65_536)
def line_features(
    words: Words, parameters: int, macs: int, repeats: int, sources: int, readers: int
) -> bytes:
    """What the words, the cost and the place of a line say, each about 0..2; float32."""
    channels = words.channels or (0, words.shape[0])
    kernel, stride, dilation = (words.numbers(key) for key in "ksd")
    values = (
        log2(channels[0]),
        log2(channels[1]),
        log2(math.prod(words.shape[1:])),
        log2(words.shape[-1]),
        log2(words.elements),
        log2(parameters) / 2,
        log2(macs) / 3,
        kernel[0] if kernel else 0,
        2.0 * len(kernel),
        2.0 * (stride[0] if stride else 0),
        log2(dilation[0] if dilation else 0),
        log2((words.numbers("g") or (0,))[0]),
        2.0 * len(words.weight_sizes),
        2.0 * words.shared_count,
        2.0 * log2(repeats - 1),
        2.0 * min(sources, 16),
        2.0 * min(readers, 16),
    )
    return (np.array(values, np.float32) / 8).tobytes()
