"""Lines as numbers, and a whole graph as one vector of numbers.

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

from surrogate.parse import Line, Parsed, Words

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
KINDS = ("windows", "points", "pools", "weights", "activations")
"""What paths count: weights with and without a window, pools, all weights, activations."""
CORE = 4  # the first graph features: what the prior knows
GRAPH_FEATURES = 16 + len(GROUPS)
FIELD_LIMIT = 1e6  # positions of a receptive field
_MOVES = len(GROUPS) - 1
_POOLS = {"MaxPool", "AveragePool"}
_ACTIVATIONS = {"Tanh", "Sigmoid", "HardSigmoid", "Celu", "PRelu"} | GROUPS[5] | GROUPS[6]
_GROUP = {op: number for number, group in enumerate(GROUPS) for op in group}
_INDEX = {op: index for index, op in enumerate(OPERATORS)}
_NUMERIC = set("ksdgp")
_NUMBER = re.compile(r"#[\d.e-]+")
_NO_ROWS = (NO_ROW,) * SLOTS


class Facts(NamedTuple):
    """What a line says by itself."""

    token: int
    rows: bytes
    """Of the encoders' tables, (2 + SLOTS,) int64: operator, variant, no merged lines."""
    label: bytes
    """Digest of operator and attributes, without widths and shapes; one uint64."""
    references: bytes
    """Lines back, int64; 0 is the graph input."""
    reference_count: int
    group: int
    """Its kind in `GROUPS`; one more than the last for all others."""
    kinds: int
    """Those of `KINDS` that it is of, a bit each."""
    is_free: bool
    is_weighted: bool
    is_conv: bool
    is_grouped: bool
    kernel: int
    stride: int
    reach: int
    """Positions that its window adds to a receptive field."""
    width: int
    spatial: int
    """Positions of the output map; 0 for a vector."""


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
    written = " ".join([op, *[f"{k}{v}" for k, v in named]])
    kernel, stride, dilation = (words.numbers(key) for key in "ksd")
    size = kernel[0] if kernel else 0
    is_weighted = words.channels is not None
    is_conv = op.startswith("Conv") and is_weighted
    is_window = is_conv and size > 1
    kinds = (is_window, is_weighted and not is_window, op in _POOLS, is_weighted)
    return Facts(
        token=token,
        rows=array("q", (token, TOKENS + variant, *_NO_ROWS)).tobytes(),
        label=array("Q", (zlib.crc32(written.encode()),)).tobytes(),
        references=array("q", words.references).tobytes(),
        reference_count=len(words.references),
        group=_GROUP.get(op, len(GROUPS)),
        kinds=sum([held << bit for bit, held in enumerate((*kinds, op in _ACTIVATIONS))]),
        is_free=op in FREE_OPERATORS,
        is_weighted=is_weighted,
        is_conv=is_conv,
        is_grouped=is_conv and any(key == "g" for key, _ in named),
        kernel=size,
        stride=stride[0] if stride else 1,
        reach=(size - 1) * (dilation[0] if dilation else 1),
        width=words.channels[1] if words.channels else 0,
        spatial=math.prod(words.shape[1:]) if len(words.shape) > 1 else 0,
    )


@lru_cache(maxsize=65_536)
def static_features(words: Words, parameters: int, macs: int) -> bytes:
    """The sizes of one line that its own words and cost say, each about 0..2; float32."""
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
    )
    return (np.array(values, np.float32) / 8).tobytes()


@lru_cache(maxsize=4096)
def place_features(repeats: int, sources: int, readers: int) -> bytes:
    """The features of a line that its place in the graph says; float32."""
    values = (log2(repeats - 1) / 4, min(sources, 16) / 4, min(readers, 16) / 4)
    return np.array(values, np.float32).tobytes()


def graph_features(parsed: Parsed, facts: Sequence[Facts]) -> np.ndarray:
    """The vector of a graph; the first `CORE` entries are what the prior knows."""
    lines = parsed.lines
    repeats = [line.repeats for line in lines]
    paths = _paths(lines, facts)
    convs = [(fact, count) for fact, count in zip(facts, repeats, strict=True) if fact.is_conv]
    grouped = sum([count for fact, count in convs if fact.is_grouped])
    plain = sum([count for _, count in convs]) - grouped
    widths = [fact.width for fact in facts if fact.is_weighted] or [0]
    kernels = [fact.kernel for fact, _ in convs] or [0]
    last = next((fact.spatial for fact in reversed(facts) if fact.spatial), 1)
    head = next((x.words.channels for x in reversed(lines) if x.words.op == "Linear"), None)
    counts = [0] * (len(GROUPS) + 1)
    for fact, count in zip(facts, repeats, strict=True):
        counts[fact.group] += count
    parameters, macs = log2(parsed.parameters), log2(parsed.macs)
    sizes = (
        *(paths.weighted, paths.layers, sum(repeats) - 1, parsed.activations),
        *(max(widths), min(widths), plain, grouped, max(kernels), sum(kernels) / len(kernels)),
        *(last, head[0] if head else 0, paths.field, *counts[:-1]),
    )
    return np.array([parameters, macs, macs - parameters, *map(log2, sizes)])


class _Paths(NamedTuple):
    """What paths from the input to a line are like."""

    weighted: int = 0
    """Weighted operators on the longest path; repetitions are unrolled here and below."""
    layers: int = 0
    """Operators that compute on the longest path."""
    field: float = 1.0
    """Positions that the longest chain of windows sees."""
    step: float = 1.0
    """Positions from one window to the next."""


def _paths(lines: Sequence[Line], facts: Sequence[Facts]) -> _Paths:
    """Those to the last line; `weighted` and `layers` are the most of all lines."""
    known: list[tuple[int, int, float, float]] = []
    for index, (line, fact) in enumerate(zip(lines, facts, strict=True)):
        _, count, sources, _, _ = line
        if len(sources) == 1 and sources[0] < index:
            weighted, layers, field, step = known[sources[0]]
        else:
            before = [known[source] for source in sources if source < index]
            weighted = max([paths[0] for paths in before], default=0)
            layers = max([paths[1] for paths in before], default=0)
            field, step = max([paths[2:] for paths in before], default=(1.0, 1.0))
        if fact.is_weighted:
            weighted += count
        if fact.group != _MOVES:
            layers += count
        if fact.kernel:
            field, step = _windows(fact, min(count, 64), field, step)
        known.append((weighted, layers, field, step))
    weighted = max([paths[0] for paths in known])
    layers = max([paths[1] for paths in known])
    return _Paths(weighted, layers, *known[-1][2:])


def _windows(fact: Facts, count: int, field: float, step: float) -> tuple[float, float]:
    """Receptive field and step behind a window that stands so often."""
    if fact.stride == 1:
        return min(field + count * fact.reach * step, FIELD_LIMIT), step
    for _ in range(count):
        field += fact.reach * step
        step *= fact.stride
    return min(field, FIELD_LIMIT), min(step, FIELD_LIMIT)
