"""Lines as numbers, and a whole graph as one vector of numbers.

Everything is derived from the parsed text. Sizes enter as logarithms to the base 2, so that a
doubled width is the same step everywhere. What a line says by itself is worked out once per
distinct line.
Axes: L lines.
"""

import math
import re
import zlib
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
LINE_FEATURES = 17
DYNAMIC = 3  # features of a line that its place in the graph says: repeats, sources, readers
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
CORE = 4  # the first graph features: what the prior knows
GRAPH_FEATURES = 19 + len(GROUPS)
FIELD_LIMIT = 1e6  # positions of a receptive field
_MOVES = len(GROUPS) - 1
_GROUP = {op: number for number, group in enumerate(GROUPS) for op in group}
_INDEX = {op: index for index, op in enumerate(OPERATORS)}
_NUMERIC = set("ksdgp")


class Facts(NamedTuple):
    """What a line says by itself."""

    token: int
    variant: int
    label: int
    """Digest of operator and attributes, without widths and shapes."""
    group: int
    """Its kind in `GROUPS`; one more than the last for all others."""
    is_free: bool
    is_weighted: bool
    is_conv: bool
    is_grouped: bool
    kernel: int
    stride: int
    dilation: int
    width: int
    spatial: int
    """Positions of the output map; 0 for a vector."""


def log2(value: float) -> float:
    """Logarithm to the base 2 of one more than a size."""
    return math.log2(1 + max(0.0, value))


@lru_cache(maxsize=65_536)
def facts_of(words: Words) -> Facts:
    """The facts of a line; unseen operators and attributes share hashed buckets."""
    op, flags = words.op, dict(words.attributes)
    token = _INDEX.get(op)
    if token is None:
        token = len(OPERATORS) + zlib.crc32(op.encode()) % HASHED_OPERATORS
    rest = " ".join(f"{k}{v}" for k, v in words.attributes if k not in _NUMERIC and k != "folded")
    rest = re.sub(r"#[\d.e-]+", "#", rest)
    written = " ".join([op, *(f"{k}{v}" for k, v in words.attributes if k != "folded")])
    kernel, stride, dilation = (words.numbers(key) for key in "ksd")
    is_conv = op.startswith("Conv") and words.channels is not None
    return Facts(
        token=token,
        variant=1 + zlib.crc32(rest.encode()) % (VARIANTS - 1) if rest else 0,
        label=zlib.crc32(written.encode()),
        group=_GROUP.get(op, len(GROUPS)),
        is_free=op in FREE_OPERATORS,
        is_weighted=words.channels is not None,
        is_conv=is_conv,
        is_grouped=is_conv and "g" in flags,
        kernel=kernel[0] if kernel else 0,
        stride=stride[0] if stride else 1,
        dilation=dilation[0] if dilation else 1,
        width=words.channels[1] if words.channels else 0,
        spatial=math.prod(words.shape[1:]) if len(words.shape) > 1 else 0,
    )


@lru_cache(maxsize=65_536)
def static_features(words: Words, parameters: int, macs: int) -> np.ndarray:
    """The sizes of one line that its own words and cost say, each about 0..2."""
    channels = words.channels or (0, words.shape[0])
    kernel, stride, dilation = (words.numbers(key) for key in "ksd")
    values = (
        log2(channels[0]),
        log2(channels[1]),
        log2(math.prod(words.shape[1:])),
        log2(words.shape[-1]),
        log2(math.prod(words.shape)),
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
    return np.array(values, np.float32) / 8


def graph_features(parsed: Parsed, facts: Sequence[Facts]) -> np.ndarray:
    """The vector of a graph; the first `CORE` entries are what the prior knows."""
    lines = parsed.lines
    repeats = [line.repeats for line in lines]
    parameters = sum(line.parameters * line.repeats for line in lines)
    macs = sum(line.macs * line.repeats for line in lines)
    activations = sum(line.elements * line.repeats for line in lines)
    weighted, layers, field = _paths(lines, facts)
    shortest, wide, branches = _further_paths(lines, facts)
    convs = [(fact, count) for fact, count in zip(facts, repeats, strict=True) if fact.is_conv]
    grouped = sum(count for fact, count in convs if fact.is_grouped)
    plain = sum(count for _, count in convs) - grouped
    widths = [fact.width for fact in facts if fact.is_weighted] or [0]
    kernels = [fact.kernel for fact, _ in convs] or [0]
    last = next((fact.spatial for fact in reversed(facts) if fact.spatial), 1)
    head = next((x.words.channels for x in reversed(lines) if x.words.op == "Linear"), None)
    counts = [0] * (len(GROUPS) + 1)
    for fact, count in zip(facts, repeats, strict=True):
        counts[fact.group] += count
    parameters, macs = log2(parameters), log2(macs)
    sizes = (
        *(weighted, layers, sum(repeats) - 1, activations, max(widths), min(widths)),
        *(plain, grouped, max(kernels), sum(kernels) / len(kernels), last, head[0] if head else 0),
        *(field, *counts[:-1]),
    )
    deep = (log2(shortest), log2(wide), branches)
    return np.array([parameters, macs, macs - parameters, *map(log2, sizes), *deep])


def _further_paths(lines: Sequence[Line], facts: Sequence[Facts]) -> tuple[int, int, float]:
    """Weighted operators on the shortest path; wide windows on the longest; log of all paths.

    A repeated join multiplies the paths in every repetition.
    """
    shortest, wide, paths = [0] * len(lines), [0] * len(lines), [0.0] * len(lines)
    for index, (line, fact) in enumerate(zip(lines, facts, strict=True)):
        before = [source for source in line.sources if source < index]
        if not before:
            continue
        shortest[index] = min([shortest[source] for source in before])
        wide[index] = max([wide[source] for source in before])
        most = max([paths[source] for source in before])
        if len(before) > 1:
            joined = math.log2(sum([2.0 ** (paths[source] - most) for source in before]))
            most += line.repeats * joined
        paths[index] = most
        if fact.is_weighted:
            shortest[index] += line.repeats
            wide[index] += line.repeats * (fact.kernel > 2)
    return shortest[-1], wide[-1], paths[-1]


def _paths(lines: Sequence[Line], facts: Sequence[Facts]) -> tuple[int, int, float]:
    """Weighted operators and operators that compute on the longest path; receptive field.

    Repetitions are unrolled along the path; the field is that of the longest chain of windows.
    """
    weighted, layers = [0] * len(lines), [0] * len(lines)
    fields = [(1.0, 1.0)] * len(lines)
    for index, (line, fact) in enumerate(zip(lines, facts, strict=True)):
        before = [source for source in line.sources if source < index]
        deep = max([weighted[source] for source in before], default=0)
        long = max([layers[source] for source in before], default=0)
        field, step = max([fields[source] for source in before], default=(1.0, 1.0))
        for _ in range(min(line.repeats, 64) if fact.kernel else 0):
            field += (fact.kernel - 1) * fact.dilation * step
            step *= fact.stride
        weighted[index] = deep + (line.repeats if fact.is_weighted else 0)
        layers[index] = long + (line.repeats if fact.group != _MOVES else 0)
        fields[index] = (min(field, FIELD_LIMIT), min(step, FIELD_LIMIT))
    return max(weighted), max(layers), fields[-1][0]
