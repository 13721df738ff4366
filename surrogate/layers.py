"""Spelling rules for what computes: convolutions, pooling, norms, products, recurrences.

A rule takes a node as an exporter wrote it and returns it in canonical words, or the value that
makes it superfluous. The plain case (stride 1, `same` padding, zero initial states) is left out.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from surrogate.errors import BadShapeError
from surrogate.ir import Constant, Node, Operand, Ref, Weight
from surrogate.spelling import (
    Raw,
    data_input,
    int_tuple,
    keep_attributes,
    keep_epsilon,
    operand_at,
    positive,
)

WINDOWED = ("Conv", "ConvTranspose", "AveragePool", "MaxPool", "LpPool")
REDUCTIONS = (
    *("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2"),
    *("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"),
)
NORMS = {"BatchNormalization": "BatchNorm", "InstanceNormalization": "InstanceNorm"}


def _window(node: Node, raw: Raw) -> Node:
    """Convolutions and pooling: only what differs from the plain case is kept."""
    rank = len(data_input(node).shape) - 2
    weight = operand_at(node, 1)
    kernel = int_tuple(raw.get("kernel_shape"))
    if kernel is None:
        assert isinstance(weight, Weight | Ref | Constant)
        kernel = tuple(int(d if isinstance(d, int) else d.offset) for d in weight.shape[2:])
    stride = int_tuple(raw.get("strides")) or (1,) * rank
    dilation = int_tuple(raw.get("dilations")) or (1,) * rank
    pads = int_tuple(raw.get("pads")) or (0,) * (2 * rank)
    if raw.get("auto_pad", "NOTSET") != "NOTSET":
        pads = _automatic(node, str(raw["auto_pad"]), kernel, stride, dilation) or pads
    is_pool = node.op.endswith("Pool")
    if is_pool and _takes_all(node, kernel, pads):
        if node.op == "AveragePool":
            return _global_pool(node, raw)
        stride = kernel
    same = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True)) * 2
    plain = (0,) * (2 * rank) if is_pool else same
    node.attributes |= {"k": kernel}
    optional = {"s": (stride, (1,) * rank), "d": (dilation, (1,) * rank), "p": (pads, plain)}
    for key, (value, default) in optional.items():
        if value != default:
            node.attributes[key] = value
    groups = int(raw.get("group", 1))  # type: ignore[call-overload]
    if groups != 1:
        node.attributes["g"] = groups
    if node.op == "LpPool" and raw.get("p", 2) != 2:
        node.attributes["power"] = int(raw["p"])  # type: ignore[call-overload]
    _keep_unusual(node, raw, any(pads))
    if not is_pool:
        node.attributes["c"] = (data_input(node).shape[1].offset, node.shape[1].offset)
        node.inputs = [operand for operand in node.inputs if operand is not None]
    return node


def _automatic(
    node: Node,
    how: str,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...] | None:
    """The padding that the file leaves to be computed."""
    if how == "VALID":
        return None
    if node.op == "ConvTranspose":
        node.attributes["auto_pad"] = how  # the output shape says the rest
        return None
    before, after = data_input(node).shape[2:], node.shape[2:]
    totals = [
        max(0, (b.offset - 1) * s + (k - 1) * d + 1 - a.offset)
        for a, b, k, s, d in zip(before, after, kernel, stride, dilation, strict=True)
    ]
    less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return tuple(less + more if how == "SAME_UPPER" else more + less)


def _keep_unusual(node: Node, raw: Raw, is_padded: bool) -> None:
    for key in ("ceil_mode", "count_include_pad", "output_padding", "storage_order"):
        value = raw.get(key)
        if value is None or value == 0 or value == "NOTSET":
            continue
        is_set = value if isinstance(value, str) else any(int_tuple(value) or ())
        if is_set and (is_padded or key != "count_include_pad"):
            node.attributes[key] = value  # type: ignore[assignment]


def _takes_all(node: Node, kernel: tuple[int, ...], pads: tuple[int, ...]) -> bool:
    """Whether one window covers all positions."""
    extent = tuple(dim.offset for dim in data_input(node).shape[2:])
    return kernel == extent and not any(pads) and all(dim == (0, 1) for dim in node.shape[2:])


def _norm(node: Node, raw: Raw) -> Node:
    """Running statistics are buffers: neither parameters nor structure."""
    node.op = NORMS[node.op]
    node.inputs, node.shapes, node.types = node.inputs[:3], node.shapes[:1], node.types[:1]
    keep_epsilon(node, raw)
    return node


def _layer_norm(node: Node, raw: Raw) -> Node:
    rank = len(data_input(node).shape)
    axis = int(raw.get("axis", -1))  # type: ignore[call-overload]
    node.op, node.shapes, node.types = "LayerNorm", node.shapes[:1], node.types[:1]
    node.attributes = {"a": positive((axis,), rank)}
    node.inputs = [node.inputs[0], *_without_plain(node.inputs[1:])]
    keep_epsilon(node, raw)
    return node


def _without_plain(pair: list[Operand]) -> list[Operand]:
    """Scale and shift; a shift of zeros is none, and then a scale of ones too."""
    scalars = [o.scalar if isinstance(o, Constant) else None for o in pair]
    if scalars[1:] == [0.0]:
        pair, scalars = pair[:1], scalars[:1]
    return [] if scalars == [1.0] else pair


def _clip(node: Node, raw: Raw) -> Node:
    """With one bound only it is a maximum or a minimum."""
    keep_attributes(node, raw)
    source, *bounds = [*node.inputs, None, None][:3]
    given = [bound for bound in bounds if bound is not None]
    if not node.attributes and len(given) == 1:
        node.op, node.inputs = "Max" if bounds[0] is not None else "Min", [source, *given]
    return node


def _group_norm(node: Node, raw: Raw) -> Node:
    groups, channels = int(raw["num_groups"]), node.shape[1].offset  # type: ignore[call-overload]
    is_whole = groups > 0 and channels % groups == 0
    if not is_whole or any(_elements(o) != channels for o in node.inputs[1:3]):
        raise BadShapeError(f"{channels} channels in {groups} groups")
    node.op = "GroupNorm"
    node.attributes = {"g": groups}
    node.inputs = [node.inputs[0], *_affine(node.inputs[1:], (1,) * (len(node.shape) - 2))]
    keep_epsilon(node, raw)
    return node


def _affine(pair: list[Operand], ones: tuple[int, ...]) -> list[Operand]:
    """Scale and shift as tracing exporters shape them; a scale of 1 and a shift of 0 are none."""
    scalars = tuple(o.scalar if isinstance(o, Constant) else None for o in pair)
    if scalars == (1.0, 0.0):
        return []
    return [replace(o, shape=o.shape + ones) if isinstance(o, Weight) else o for o in pair]


def _neutral(node: Node, _: Raw) -> Node | Ref:
    """Adding nothing, multiplying by one: such as the start of Python's `sum`."""
    number = 0.0 if node.op in ("Add", "Sub") else 1.0
    left, right = node.inputs
    pairs = [(left, right)] if node.op in ("Sub", "Div") else [(left, right), (right, left)]
    for data, constant in pairs:
        is_one = isinstance(constant, Constant) and constant.scalar == number
        if is_one and isinstance(data, Ref) and data.shape == node.shape:
            return data
    return node


def _gemm(node: Node, raw: Raw) -> Node:
    weight = node.inputs[1]
    is_plain = raw.get("alpha", 1.0) == raw.get("beta", 1.0) == 1.0 and not raw.get("transA", 0)
    bias = operand_at(node, 2)
    if is_plain and isinstance(weight, Weight) and isinstance(bias, Weight | None):
        return _linear(node, weight, bias)
    keep_attributes(node, raw)
    return node


def _matmul(node: Node, _: Raw) -> Node:
    left, weight = node.inputs
    if isinstance(left, Ref) and isinstance(weight, Weight) and len(weight.shape) == 2:
        return _linear(node, weight, None)
    return node


def _linear(node: Node, weight: Weight, bias: Weight | None) -> Node:
    """One layout of the weight whoever wrote it: torch's, which turns with the rank of the data."""
    source = data_input(node)
    fan_in, width = source.shape[-1].offset, node.shape[-1].offset
    sizes = (width, fan_in) if len(node.shape) == 2 else (fan_in, width)
    node.op, node.attributes = "Linear", {"c": (fan_in, width)}
    node.inputs = [source, _laid_out(weight, sizes)]
    if bias:
        node.inputs.append(_laid_out(bias, (width,)))
    return node


def _laid_out(weight: Weight, sizes: tuple[int, ...]) -> Weight:
    """A whole weight of so many numbers, in this shape."""
    if weight.shape == sizes or not weight.is_whole:
        return weight
    is_full = math.prod(weight.shape) == math.prod(sizes)
    return replace(weight, shape=sizes) if is_full else weight


def _reduction(node: Node, raw: Raw) -> Node:
    rank = len(data_input(node).shape)
    axes = int_tuple(raw.get("axes")) or int_tuple(operand_at(node, 1)) or tuple(range(rank))
    node.attributes = {"a": positive(axes, rank)}
    node.inputs = node.inputs[:1]
    return node


def _global_pool(node: Node, _: Raw) -> Node:
    axes = tuple(range(2, len(node.shape)))
    if node.op in ("GlobalAveragePool", "AveragePool"):
        node.op, node.attributes = "ReduceMean", {"a": axes}
    else:
        extent = tuple(dim.offset for dim in data_input(node).shape[2:])
        node.op, node.attributes = "MaxPool", {"k": extent}
        if set(extent) != {1}:
            node.attributes["s"] = extent
    return node


def _elements(operand: Operand) -> int:
    if isinstance(operand, Weight):
        return math.prod(operand.shape)
    assert operand is not None
    return math.prod(dim.at(1) for dim in operand.shape)


def _recurrent(node: Node, raw: Raw) -> Node:
    """GRU, LSTM, RNN: zero initial states are the plain case."""
    source, weight = data_input(node), node.inputs[1]
    hidden = int(raw["hidden_size"])  # type: ignore[call-overload]
    node.attributes = {"c": (source.shape[-1].offset, hidden)}
    direction = str(raw.get("direction", "forward"))
    if direction != "forward":
        node.attributes[{"bidirectional": "bi"}.get(direction, "rev")] = True
    if node.op == "GRU" and not raw.get("linear_before_reset", 0):
        node.attributes["reset_first"] = True
    for key in ("activations", "clip", "layout", "input_forget"):
        if raw.get(key):
            node.attributes[key] = raw[key]  # type: ignore[assignment]
    states = [s for s in node.inputs[4:] if s is not None]
    has_states = any(not isinstance(s, Constant) or s.scalar != 0.0 for s in states)
    bias = operand_at(node, 3)
    node.inputs = [source, weight, node.inputs[2], *([bias] if bias else [])]
    node.inputs += states if has_states else []
    return node


def _dropout(node: Node, _: Raw) -> Node:
    node.inputs, node.shapes, node.types = node.inputs[:1], node.shapes[:1], node.types[:1]
    return node


def _cast(node: Node, raw: Raw) -> Node | Ref:
    source = data_input(node)
    if source.node.types[source.output] == raw["to"]:
        return source
    node.attributes = {"to": int(raw["to"])}  # type: ignore[call-overload]
    return node


def _identity(node: Node, _: Raw) -> Ref:
    return data_input(node)


RULES: dict[str, Callable[[Node, Raw], Node | Ref]] = {
    **dict.fromkeys(WINDOWED, _window),
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(NORMS, _norm),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _neutral),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    "Cast": _cast,
    "Clip": _clip,
    "Dropout": _dropout,
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "Identity": _identity,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
}
