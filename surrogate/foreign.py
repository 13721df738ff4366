"""Brings what optimisers leave behind into standard operators, before a file is checked.

In: a model as a tool wrote it; out: a model of ONNX's own operators, or a `GraphError` that names
the operator. onnxruntime's fused operators (levels BASIC and EXTENDED) are taken apart again. Where
a BatchNorm was folded into a Conv, what the tool leaves in names and metadata says so:
`folded_norms` finds it, and the graph gets a `BatchNorm folded` behind a Conv without bias, scale
and shift counted as in the network before the fold. Not promised: to know a fold without a trace,
and whether the Conv had a bias of its own.
"""

import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from surrogate.errors import GraphError, problem

STANDARD = ("", "ai.onnx")
FOLDING_RULE = "FuseBatchNormInto"  # torch's dynamo exporter, optimize=True, in the metadata
FOLDING_PREFIX = "ConvBnFusion_"  # onnxruntime, any level
TRACED_PREFIX = "onnx::Conv_"  # torch's TorchScript exporter: weight and bias are both made
FIRST_WITH_LAYER_NORM = 17
UNMARKED = {"SimplifiedLayerNormalization"}
"""Operators of onnxruntime that stand in ONNX's own domain."""
RELU_LIKE = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}


def folded_norms(proto: onnx.ModelProto) -> frozenset[str]:
    """Outputs of the layers into which a BatchNorm was folded, as far as the file shows it."""
    return frozenset(
        node.output[0]
        for node in proto.graph.node
        if node.op_type in ("Conv", "ConvTranspose", "Gemm")
        and len(node.input) == 3
        and _is_folded(node)
    )


def _is_folded(node: onnx.NodeProto) -> bool:
    _, weight, bias = node.input
    if weight.startswith(FOLDING_PREFIX) or bias.startswith(FOLDING_PREFIX):
        return True
    if weight.startswith(TRACED_PREFIX) and bias.startswith(TRACED_PREFIX):
        return True
    return any(
        entry.key.endswith("rule_name") and FOLDING_RULE in entry.value
        for entry in node.metadata_props
    )


def standard(proto: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """The model in ONNX's own operators; itself if it has no others."""
    is_old = _opset(proto) < FIRST_WITH_LAYER_NORM
    if not any(_is_foreign(node, is_old) for node in proto.graph.node):
        return proto
    writer = _Writer(proto)
    for node in proto.graph.node:
        is_fused = node.domain == "com.microsoft" or node.op_type in UNMARKED
        rule = RULES.get(node.op_type) if is_fused else None
        if node.domain in STANDARD and rule is None:
            writer.nodes.append(node)
        elif rule is None:
            raise _unsupported(node, where)
        else:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            try:
                rule(writer, node, attributes)
            except (LookupError, ValueError, TypeError) as error:
                raise _unsupported(node, where) from error
    return writer.model()


def _is_foreign(node: onnx.NodeProto, is_old: bool) -> bool:
    if node.domain not in STANDARD or node.op_type in UNMARKED:
        return True
    return is_old and node.op_type == "LayerNormalization"


def _opset(proto: onnx.ModelProto) -> int:
    return max([o.version for o in proto.opset_import if o.domain in STANDARD], default=0)


def _unsupported(node: onnx.NodeProto, where: str) -> GraphError:
    what = f"operator {node.op_type} of the custom domain '{node.domain}', node '{node.name[:80]}'"
    action = "Export it with standard operators"
    if node.domain == "com.microsoft.nchwc":
        action = "Save it at the level ORT_ENABLE_EXTENDED or lower, which keeps the layout"
    expected = "operators of the ONNX standard, or onnxruntime's fused ones that are known here"
    return GraphError(problem(what, where, expected, action))


class _Writer:
    """The nodes and constants of the model that is being written."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names = map(".foreign{}".format, count())
        self.opset = _opset(proto)
        graph = proto.graph
        self.ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.input}
        self.ranks |= {tensor.name: len(tensor.dims) for tensor in graph.initializer}

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Write a node; returns the name of its output."""
        name = output or next(self.names)
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def number(self, value: float) -> str:
        """A constant with one element."""
        return self.array(np.array(value, np.float32))

    def array(self, array: np.ndarray) -> str:
        """A constant."""
        name = next(self.names)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def turned(self, name: str) -> str:
        """A value with its last two axes exchanged."""
        if self.ranks.get(name, 0) < 2:  # data, whose rank is not known yet
            return self.node("Einsum", [name], equation="...ij->...ji")
        *axes, before, last = range(self.ranks[name])
        return self.node("Transpose", [name], perm=[*axes, last, before])

    def model(self) -> onnx.ModelProto:
        """The model with the nodes that were written in place of its own."""
        model = onnx.ModelProto()
        model.ir_version = self.proto.ir_version
        opset = self.opset
        if any(node.op_type == "LayerNormalization" for node in self.nodes) and opset >= 13:
            opset = max(opset, FIRST_WITH_LAYER_NORM)  # 13 to 17 differ in nothing that we read
        model.opset_import.append(helper.make_opsetid("", opset))
        graph = model.graph
        graph.name = self.proto.graph.name
        graph.node.extend(self.nodes)
        graph.initializer.extend([*self.proto.graph.initializer, *self.constants])
        graph.input.extend(self.proto.graph.input)
        graph.output.extend(self.proto.graph.output)
        return model


Attributes = dict[str, Any]
Rule = Callable[[_Writer, onnx.NodeProto, Attributes], object]


def _named(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _activated(
    writer: _Writer, value: str, output: str, name: str, numbers: Sequence[float]
) -> None:
    """The activation at the end of a fused operator."""
    if name == "Clip":
        low, high = numbers
        writer.node("Clip", [value, writer.number(low), writer.number(high)], output)
        return
    keys = RELU_LIKE.get(name, ())
    writer.node(name, [value], output, **dict(zip(keys, numbers, strict=False)))


def _fused_conv(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    activation = _named(attributes.pop("activation", b""))
    numbers = attributes.pop("activation_params", ())
    added = node.input[3] if len(node.input) > 3 else ""
    steps = bool(added) + bool(activation)
    name = "" if steps else node.output[0]
    value = writer.node("Conv", node.input[:3], name, **attributes)
    if added:
        value = writer.node("Add", [value, added], "" if activation else node.output[0])
    if activation:
        _activated(writer, value, node.output[0], activation, numbers)


def _fused_gemm(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    activation = _named(attributes.pop("activation"))
    named = [attributes.pop(f"activation_{key}", None) for key in ("alpha", "beta", "gamma")]
    value = writer.node("Gemm", node.input, **attributes)
    numbers = [number for number in named if number is not None]
    _activated(writer, value, node.output[0], activation, numbers)


def _fused_matmul(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    if attributes.get("transBatchA") or attributes.get("transBatchB"):
        raise ValueError("transposed batches")
    operands = list(node.input)
    for place, key in enumerate(("transA", "transB")):
        if attributes.get(key):
            operands[place] = writer.turned(operands[place])
    alpha = attributes.get("alpha", 1.0)
    value = writer.node("MatMul", operands, "" if alpha != 1.0 else node.output[0])
    if alpha != 1.0:
        writer.node("Mul", [value, writer.number(alpha)], node.output[0])


def _gelu(writer: _Writer, node: onnx.NodeProto, _: Attributes) -> None:
    """In parts, as a file of any operator set may hold it; with a bias first, if there is one."""
    value = node.input[0]
    if len(node.input) > 1 and node.input[1]:
        value = writer.node("Add", node.input)
    inner = writer.node("Erf", [writer.node("Div", [value, writer.number(math.sqrt(2))])])
    product = writer.node("Mul", [value, writer.node("Add", [inner, writer.number(1)])])
    writer.node("Mul", [product, writer.number(0.5)], node.output[0])


def _fast_gelu(writer: _Writer, node: onnx.NodeProto, _: Attributes) -> None:
    value = node.input[0]
    if len(node.input) > 1 and node.input[1]:
        value = writer.node("Add", node.input)
    cube = writer.node("Mul", [value, writer.node("Mul", [value, value])])
    inner = writer.node("Add", [value, writer.node("Mul", [cube, writer.number(0.044715)])])
    inner = writer.node("Mul", [inner, writer.number(math.sqrt(2 / math.pi))])
    inner = writer.node("Add", [writer.node("Tanh", [inner]), writer.number(1)])
    product = writer.node("Mul", [value, inner])
    writer.node("Mul", [product, writer.number(0.5)], node.output[0])


def _quick_gelu(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    value, alpha = node.input[0], attributes.get("alpha", 1.702)
    inner = value if alpha == 1.0 else writer.node("Mul", [value, writer.number(alpha)])
    writer.node("Mul", [value, writer.node("Sigmoid", [inner])], node.output[0])


def _skip_norm(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    """LayerNormalization of a sum; the sum itself may be the fourth output."""
    value, skip, scale, *rest = node.input
    shift, bias = [*rest, "", ""][:2]
    total = node.output[3] if len(node.output) > 3 else ""
    if any(node.output[1:3]):
        raise ValueError("mean and deviation are read")
    if bias:
        value = writer.node("Add", [value, bias])
    total = writer.node("Add", [value, skip], total)
    operands = [total, scale, shift] if shift else [total, scale]
    epsilon = attributes.get("epsilon", 1e-12)
    writer.node("LayerNormalization", operands, node.output[0], axis=-1, epsilon=epsilon)


def _skip_rms_norm(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    value, skip, scale, *rest = node.input
    if any(node.output[1:3]):
        raise ValueError("mean and deviation are read")
    if rest and rest[0]:
        value = writer.node("Add", [value, rest[0]])
    total = writer.node("Add", [value, skip], node.output[3] if len(node.output) > 3 else "")
    _rms(writer, total, scale, attributes.get("epsilon", 1e-12), node.output[0])


def _rms_norm(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    if attributes.get("axis", -1) != -1 or any(node.output[1:]):
        raise ValueError("another axis than the last, or the deviation is read")
    epsilon = attributes.get("epsilon", 1e-5)
    _rms(writer, node.input[0], node.input[1], epsilon, node.output[0])


def _rms(writer: _Writer, value: str, scale: str, epsilon: float, output: str) -> None:
    """Root-mean-square normalisation over the last axis, in parts."""
    square = writer.node("Pow", [value, writer.number(2)])
    if writer.opset >= 18:
        mean = writer.node("ReduceMean", [square, writer.array(np.array([-1]))], keepdims=1)
    else:
        mean = writer.node("ReduceMean", [square], axes=[-1], keepdims=1)
    root = writer.node("Sqrt", [writer.node("Add", [mean, writer.number(epsilon)])])
    writer.node("Mul", [writer.node("Div", [value, root]), scale], output)


def _bias_softmax(writer: _Writer, node: onnx.NodeProto, attributes: Attributes) -> None:
    axis = attributes.get("axis", 1)
    writer.node("Softmax", [writer.node("Add", node.input)], node.output[0], axis=axis)


RULES: dict[str, Rule] = {
    "FusedConv": _fused_conv,
    "FusedGemm": _fused_gemm,
    "FusedMatMul": _fused_matmul,
    "Gelu": _gelu,
    "BiasGelu": _gelu,
    "FastGelu": _fast_gelu,
    "QuickGelu": _quick_gelu,
    "SkipLayerNormalization": _skip_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms_norm,
    "SimplifiedLayerNormalization": _rms_norm,
    "BiasSoftmax": _bias_softmax,
}
