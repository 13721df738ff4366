"""A text as numbers: one row per line for the encoder, one vector per graph for the regression.

Everything is derived from the parsed text. Sizes enter as logarithms to the base 2, so that a
doubled width is the same step everywhere.
"""

import math
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from surrogate.parse import Line, Parsed, Words, parse

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
LINE_FEATURES = 16
_INDEX = {op: index for index, op in enumerate(OPERATORS)}
_NUMERIC = set("ksdgp")
GROUPS = {
    "linear": {"Linear", "Gemm"},
    "recurrent": {"GRU", "LSTM", "RNN"},
    "product": {"MatMul", "Softmax", "Einsum"},
    "batchnorm": {"BatchNorm"},
    "other norm": {"GroupNorm", "LayerNorm", "InstanceNorm"},
    "relu": {"Relu", "LeakyRelu"},
    "smooth": {"Gelu", "Swish", "Elu", "Mish", "Selu", "Softplus", "HardSwish"},
    "gate": {"Sigmoid", "Tanh", "HardSigmoid", "Mul"},
    "add": {"Add", "Sub"},
    "concat": {"Concat"},
    "maxpool": {"MaxPool", "ReduceMax"},
    "mean": {"AveragePool", "ReduceMean"},
    "dropout": {"Dropout"},
    "move": {"View", "Transpose", "Slice", "Select", "Gather", "Expand", "Pad"},
}
CORE = 4  # the first graph features: what the prior knows


def log2(value: float) -> float:
    """Logarithm to the base 2 of one more than a size."""
    return math.log2(1 + max(0.0, value))


@lru_cache(maxsize=65_536)
def token(words: Words) -> tuple[int, int]:
    """Operator and variant as numbers; unseen ones share hashed buckets."""
    index = _INDEX.get(words.op)
    if index is None:
        index = len(OPERATORS) + zlib.crc32(words.op.encode()) % HASHED_OPERATORS
    rest = " ".join(f"{k}{v}" for k, v in words.attributes if k not in _NUMERIC)
    rest = re.sub(r"#[\d.e-]+", "#", rest)
    return index, 1 + zlib.crc32(rest.encode()) % (VARIANTS - 1) if rest else 0


def line_features(line: Line) -> list[float]:
    """The sizes of one line, each about 0..2."""
    words = line.words
    channels = words.channels or (0, words.shape[0])
    kernel, stride, dilation = (words.numbers(key) for key in "ksd")
    spatial = math.prod(words.shape[1:])
    values = (
        log2(channels[0]),
        log2(channels[1]),
        log2(spatial),
        log2(words.shape[-1]),
        log2(line.elements),
        log2(line.parameters) / 2,
        log2(line.macs) / 3,
        log2(line.repeats),
        4.0 * (kernel[0] if kernel else 0) / 4,
        2.0 * len(kernel),
        2.0 * (stride[0] if stride else 0),
        log2(dilation[0] if dilation else 0),
        log2((words.numbers("g") or (0,))[0]),
        2.0 * len(line.sources),
        2.0 * len(words.weight_sizes),
        2.0 * words.shared_count,
    )
    return [value / 8 for value in values]


def longest_path(parsed: Parsed, is_counted: Sequence[bool]) -> int:
    """Counted lines on the longest path, repetitions unrolled along it."""
    lengths: list[int] = []
    for index, line in enumerate(parsed.lines):
        before = max((lengths[i] for i in line.sources if i < index), default=0)
        lengths.append(before + (line.repeats if is_counted[index] else 0))
    return max(lengths)


def depth(parsed: Parsed) -> int:
    """Weighted operators on the longest path."""
    return longest_path(parsed, [line.words.channels is not None for line in parsed.lines])


def graph_features(parsed: Parsed) -> np.ndarray:
    """The vector of a graph; the first `CORE` entries are what the prior knows."""
    lines = parsed.lines
    parameters, macs = log2(parsed.parameters), log2(parsed.macs)
    convs = [line for line in lines if line.words.op.startswith("Conv") and line.words.channels]
    widths = [line.words.channels[1] for line in lines if line.words.channels] or [0]
    grouped = sum(line.repeats for line in convs if line.words.get("g"))
    kernels = [line.words.numbers("k")[0] for line in convs] or [0]
    last = next((x for x in reversed(lines) if len(x.words.shape) > 1), lines[0])
    head = next((x for x in reversed(lines) if x.words.op == "Linear"), None)
    path = [line.words.op not in GROUPS["move"] for line in lines]
    values = [
        parameters,
        macs,
        macs - parameters,
        log2(depth(parsed)),
        log2(longest_path(parsed, path)),
        log2(parsed.node_count),
        log2(parsed.activations),
        log2(max(widths)),
        log2(min(widths)),
        log2(sum(line.repeats for line in convs) - grouped),
        log2(grouped),
        log2(max(kernels)),
        log2(sum(kernels) / len(kernels)),
        log2(math.prod(last.words.shape[1:])),
        log2(head.words.channels[0] if head and head.words.channels else 0),
        _receptive_field(lines),
    ]
    for operators in GROUPS.values():
        values.append(log2(sum(line.repeats for line in lines if line.words.op in operators)))
    return np.array(values)


def _receptive_field(lines: Sequence[Line]) -> float:
    """Log of the input positions that the last map sees, along the longest chain of windows."""
    fields: list[tuple[float, float]] = []
    for index, line in enumerate(lines):
        field, step = max((fields[i] for i in line.sources if i < index), default=(1.0, 1.0))
        kernel, stride, dilation = (line.words.numbers(key) for key in "ksd")
        for _ in range(min(line.repeats, 64) if kernel else 0):
            field += (kernel[0] - 1) * (dilation[0] if dilation else 1) * step
            step *= stride[0] if stride else 1
        fields.append((min(field, 1e6), min(step, 1e6)))
    return log2(fields[-1][0])


@lru_cache(maxsize=20_000)
def features_of(text: str) -> np.ndarray:
    """`graph_features` of a text, kept for the next time."""
    return graph_features(parse(text))
