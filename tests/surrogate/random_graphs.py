"""Random plans as ONNX graphs, and the same networks in disguise: other names, another order."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.surrogate.random_plans import (
    COMMUTATIVE,
    WEIGHTS,
    Plan,
    Size,
    Step,
    shapes,
    unread,
)


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, tuple[int, ...]] = {}
        self.constants: list[TensorProto] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def weight(self, name: str, *shape: int) -> str:
        assert self.weights.setdefault(name, shape) == shape
        return name

    def constant(self, value: object, kind: type = np.int64) -> str:
        name = f".c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name


def build(plan: Plan) -> onnx.ModelProto:
    """Return the graph of a plan; raises `MisfitError` if it has none."""
    sizes = shapes(plan)
    writer = _Writer()
    values = ["input"]
    for step in plan:
        names = [values[source] for source in step.sources]
        values.append(_write(writer, step, names, [sizes[s] for s in step.sources]))
    means = [writer.node("GlobalAveragePool", values[place]) for place in unread(plan)]
    joined = writer.node("Concat", *means, axis=1) if len(means) > 1 else means[0]
    total = sum(sizes[place][0] for place in unread(plan))
    weights = (writer.weight("head.w", 5, total), writer.weight("head.b", 5))
    head = ("Gemm", [writer.node("Flatten", joined), *weights])
    writer.nodes.append(helper.make_node(*head, ["logits"], transB=1))
    doors = [("input", ["batch", 4, 16]), *writer.weights.items()]
    graph = helper.make_graph(
        writer.nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in doors],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])],
        writer.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _write(writer: _Writer, step: Step, names: list[str], below: list[Size]) -> str:
    rule = _WRITTEN.get(step.kind)
    if rule is None:
        return writer.node(step.kind, *names, **dict(step.settings))
    return rule(writer, step, names, below[0])


def _conv(writer: _Writer, step: Step, names: list[str], size: Size) -> str:
    k, d, g, out = (step.number(key) for key in ("k", "d", "g", "out"))
    own = [
        writer.weight(f"{step.own}.w", out, size[0] // g, k),
        writer.weight(f"{step.own}.b", out),
    ]
    pads = [d * (k - 1) // 2] * 2
    return writer.node("Conv", names[0], *own, dilations=[d], group=g, pads=pads)


def _linear(writer: _Writer, step: Step, names: list[str], size: Size) -> str:
    out = step.number("out")
    product = writer.node("MatMul", names[0], writer.weight(f"{step.own}.w", size[1], out))
    return writer.node("Add", product, writer.weight(f"{step.own}.b", out))


def _norm(writer: _Writer, step: Step, names: list[str], size: Size) -> str:
    keys = ("scale", "shift", "mean", "variance")[: WEIGHTS[step.kind]]
    width = size[1] if step.kind == "LayerNormalization" else size[0]
    weights = [writer.weight(f"{step.own}.{key}", width) for key in keys]
    named = {"eps": "epsilon", "groups": "num_groups"}
    attributes = {named[key]: value for key, value in step.settings}
    return writer.node(step.kind, names[0], *weights, **attributes)


def _pool(writer: _Writer, step: Step, names: list[str], _: Size) -> str:
    window = [step.number("window")]
    return writer.node(step.kind, names[0], kernel_shape=window, strides=window)


def _scale(writer: _Writer, step: Step, names: list[str], _: Size) -> str:
    return writer.node("Mul", names[0], writer.constant(step.get("number"), np.float32))


def _slice(writer: _Writer, step: Step, names: list[str], size: Size) -> str:
    axis = step.number("axis")
    end = size[axis - 1] - step.number("last")
    places = [writer.constant([number]) for number in (step.number("start"), end, axis)]
    return writer.node("Slice", names[0], *places)


def _pad(writer: _Writer, step: Step, names: list[str], _: Size) -> str:
    return writer.node("Pad", names[0], writer.constant([0, 0, 1, 0, 0, 2]), mode=step.get("mode"))


def _turn(writer: _Writer, step: Step, names: list[str], _: Size) -> str:
    wide = writer.node("Reshape", names[0], writer.constant([-1, 4, 4, 4]))
    turned = writer.node("Transpose", wide, perm=step.get("perm"))
    return writer.node("Reshape", turned, writer.constant([0, 4, -1]))


def _fold(writer: _Writer, _: Step, names: list[str], size: Size) -> str:
    return writer.node("Reshape", names[0], writer.constant([0, 2 * size[0], size[1] // 2]))


def _attend(writer: _Writer, step: Step, names: list[str], _: Size) -> str:
    shares = writer.node("MatMul", names[0], writer.node("Transpose", names[1], perm=[0, 2, 1]))
    shares = writer.node("Softmax", shares, axis=step.get("axis"))
    return writer.node("MatMul", shares, names[1])


_WRITTEN: dict[str, Callable[[_Writer, Step, list[str], Size], str]] = {
    "Conv": _conv,
    "Linear": _linear,
    "BatchNormalization": _norm,
    "GroupNormalization": _norm,
    "LayerNormalization": _norm,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "Scale": _scale,
    "Slice": _slice,
    "Pad": _pad,
    "Turn": _turn,
    "Fold": _fold,
    "Attend": _attend,
}


def disguise(model: onnx.ModelProto, rng: Random) -> onnx.ModelProto:
    """The same network: other names, another order of nodes, inputs and commutative operands."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    graph = other.graph
    names = {"": "", "input": "input", "logits": "logits"}
    letters = list(range(10_000))
    rng.shuffle(letters)

    def new(name: str) -> str:
        if name not in names:
            names[name] = f"{'.' if name.startswith('.') else ''}n{letters[len(names)]}"
        return names[name]

    left = list(graph.node)
    known = {value.name for value in graph.input} | {t.name for t in graph.initializer} | {""}
    ordered = []
    while left:
        ready = [node for node in left if set(node.input) <= known]
        node = rng.choice(ready)
        left.remove(node)
        known |= set(node.output)
        ordered.append(node)
    for node in ordered:
        operands = [new(name) for name in node.input]
        if node.op_type in COMMUTATIVE and rng.random() < 0.5:
            operands.reverse()
        node.input[:], node.output[:] = operands, [new(name) for name in node.output]
        node.name = new(f"node {len(names)}")
    for part in (graph.input, graph.initializer):
        for value in part:
            value.name = new(value.name)
    rest = list(graph.input)[1:]
    rng.shuffle(rest)
    inputs = [graph.input[0], *rest]
    copies = [(onnx.ValueInfoProto.FromString(v.SerializeToString())) for v in inputs]
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in ordered]
    del graph.input[:], graph.node[:]
    graph.input.extend(copies)
    graph.node.extend(nodes)
    return other
