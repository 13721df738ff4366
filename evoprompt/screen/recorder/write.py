"""Merged nodes -> an ONNX model: weights are inputs under their own names, the batch axis is free.

The protobuf messages are filled by hand: `onnx.helper` checks and guesses at a cost that is larger
than that of the whole recording.
"""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    numpy_helper,
)
from torch import Tensor

from evoprompt.screen.recorder.merge import Count, Fill, Rows, Size, Sizes
from evoprompt.screen.recorder.tape import Held, Ints, Literal, Node

OPSET = 21
_IR_VERSION = 10
INPUT, OUTPUT, BATCH = "input", "logits", "batch"
ELEMENT_TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float64: TensorProto.DOUBLE,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
    torch.int64: TensorProto.INT64,
    torch.int32: TensorProto.INT32,
    torch.int16: TensorProto.INT16,
    torch.int8: TensorProto.INT8,
    torch.uint8: TensorProto.UINT8,
    torch.bool: TensorProto.BOOL,
}
"""Torch's types that the graph can hold."""
_attributes: dict[Any, AttributeProto] = {}


class Writer:
    """Fills one graph."""

    def __init__(self) -> None:
        self.graph = GraphProto(name="net")
        self._constants: dict[Any, str] = {}
        self._sizes: dict[Sizes, str] = {}

    def add(self, node: Node) -> None:
        """Write one merged node and what its operands need."""
        inputs = [
            operand if type(operand) is str else self._name(operand, node)
            for operand in node.inputs
        ]
        self._write(node.op, inputs, node.outputs, node.attributes)

    def add_door(self, doors: Any, name: str, dtype: torch.dtype, sizes: Iterable[Size]) -> None:
        """Write an input or output."""
        value: ValueInfoProto = doors.add(name=name)
        tensor = value.type.tensor_type
        tensor.elem_type = ELEMENT_TYPES[dtype]
        tensor.shape.SetInParent()  # a number has a shape too, of no axes
        dims = tensor.shape.dim
        for size in sizes:
            if size.scale:
                dims.add(dim_param=BATCH if size == (1, 0) else f"{BATCH}_{size[0]}_{size[1]}")
            else:
                dims.add(dim_value=size.offset)

    def add_weight(self, name: str, weight: Tensor) -> None:
        """Write an input of a fixed shape."""
        self.graph.input.add(name=name, type=_fixed_type(weight.dtype, weight.shape))

    def model(self) -> ModelProto:
        """Return the finished model."""
        model = ModelProto(ir_version=_IR_VERSION, graph=self.graph)
        model.opset_import.add(domain="", version=OPSET)
        return model

    def _write(
        self, op: str, names: list[str], outputs: list[str], attributes: dict[str, Any]
    ) -> None:
        proto = self.graph.node.add(op_type=op, input=names, output=outputs)
        for name, value in attributes.items():
            proto.attribute.append(_attribute(name, value))

    def _name(self, operand: Any, node: Node) -> str:
        """Return the name of an operand that is no value of the graph."""
        if isinstance(operand, Ints):
            return self._constant(("ints", operand), np.array(operand, np.int64))
        if isinstance(operand, Literal):
            key = ("literal", repr(operand.value), operand.dtype)
            return self._constant(key, torch.tensor(operand.value, dtype=operand.dtype))
        if isinstance(operand, Held):
            return self._constant(id(operand), operand.tensor)
        if isinstance(operand, Fill):
            return self._fill(operand)
        if isinstance(operand, Rows):
            source = self._constant(id(operand), operand.tensor)
            return self._call("Tile", [source, self._vector(operand.times)])
        if isinstance(operand, Count):
            return self._count(operand)
        return self._shape(operand) if node.op == "Reshape" else self._vector(operand)

    def _constant(self, key: Any, value: Tensor | np.ndarray) -> str:
        name = self._constants.get(key)
        if name is None:
            name = self._constants[key] = f".c{len(self._constants)}"
            array = value if isinstance(value, np.ndarray) else _array(value)
            self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _fill(self, fill: Fill) -> str:
        sizes = self._vector(fill.sizes)
        name = f".f{len(self.graph.node)}"
        proto = self.graph.node.add(op_type="ConstantOfShape", input=[sizes], output=[name])
        proto.attribute.add(
            name="value", type=AttributeProto.TENSOR, t=numpy_helper.from_array(_array(fill.tensor))
        )
        return name

    def _count(self, count: Count) -> str:
        [length] = [size for size in count.sizes if size.scale]
        limit = self._call("Squeeze", [self._one(length)])
        ends = [self._constant(("end", n), np.array(n, np.int64)) for n in (0, 1)]
        name = self._call("Range", [ends[0], limit, ends[1]])
        return self._call("Reshape", [name, self._shape(count.sizes)])

    def _call(self, op: str, names: list[str], **attributes: Any) -> str:
        name = f".s{len(self.graph.node)}"
        self._write(op, names, [name], attributes)
        return name

    def _shape(self, sizes: Sizes) -> str:
        """The target of a Reshape: one size may be left open."""
        growing = [index for index, size in enumerate(sizes) if size.scale]
        if len(growing) == 1:
            target = [size.offset for size in sizes]
            target[growing[0]] = -1
            return self._constant(("ints", Ints(target)), np.array(target, np.int64))
        return self._vector(sizes)

    def _vector(self, sizes: Sizes) -> str:
        """Numbers of which some grow with the batch, computed in the graph."""
        name = self._sizes.get(sizes)
        if name is None:
            parts = [self._one(size) for size in sizes]
            name = parts[0] if len(parts) == 1 else self._call("Concat", parts, axis=0)
            self._sizes[sizes] = name
        return name

    def _one(self, size: Size) -> str:
        name = self._sizes.get((size,))
        if name is not None:
            return name
        if not size.scale:
            return self._constant(("ints", (size.offset,)), np.array([size.offset], np.int64))
        if size == (1, 0):
            name = self._call("Shape", [INPUT], start=0, end=1)
        else:
            name = self._one(Size(1, 0))
            for op, number, neutral in (("Mul", size.scale, 1), ("Add", size.offset, 0)):
                if number != neutral:
                    name = self._call(op, [name, self._one(Size(0, number))])
        self._sizes[(size,)] = name
        return name


@functools.lru_cache(maxsize=4096)
def _fixed_type(dtype: torch.dtype, shape: torch.Size) -> TypeProto:
    known = TypeProto()
    known.tensor_type.elem_type = ELEMENT_TYPES[dtype]
    known.tensor_type.shape.SetInParent()
    for size in shape:
        known.tensor_type.shape.dim.add(dim_value=size)
    return known


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _attribute(name: str, value: Any) -> AttributeProto:
    key = (name, tuple(value) if isinstance(value, list) else value, type(value))
    known = _attributes.get(key)
    if known is None:
        known = AttributeProto(name=name)
        if isinstance(value, str):
            known.type, known.s = AttributeProto.STRING, value.encode()
        elif isinstance(value, float):
            known.type, known.f = AttributeProto.FLOAT, value
        elif isinstance(value, int):
            known.type, known.i = AttributeProto.INT, value
        elif all(isinstance(number, int) for number in value):
            known.type = AttributeProto.INTS
            known.ints.extend(value)
        else:
            known.type = AttributeProto.STRINGS
            known.strings.extend(text.encode() for text in value)
        if len(_attributes) < 4096:
            _attributes[key] = known
    return known
