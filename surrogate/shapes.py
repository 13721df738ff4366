"""Shapes of all values at two batch sizes, by ONNX's own rules.

In: a `Model`; out: element type and shape for the values whose shape the file alone decides. The
rules run over the whole graph, strict and with type checks, at every batch size of `PROBES`; what
they leave open is inferred node by node, from constants that the tracer knows (`Inference.node`).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper, shape_inference

from surrogate.errors import BadShapeError, BatchError, BatchShapeError, problem
from surrogate.ir import Constant, Dim, Operand, Shape, Weight
from surrogate.onnxfile import Call, Model, is_real, tensor_type

PROBES = (1, 3)  # the batch sizes at which every graph is checked
STEP = PROBES[1] - PROBES[0]
KEEPING = {"GroupNormalization", "MeanVarianceNormalization"}
"""Operators without a shape rule in ONNX; the output is like the first operand."""
DATA_LIMIT = 1024  # elements of a constant that shape rules may look at
Sizes = tuple[int, ...]


class Known(NamedTuple):
    """What is known of a value before any data flows."""

    element_type: int
    shape: Shape


def infer(model: Model) -> dict[str, Known]:
    """Return what the whole graph tells; raises `GraphError` for shapes or types that clash."""
    if model.declared_batch:
        return {}  # its constants hold that size: only the tracer, node by node, can open it
    lean = _lean(model)
    data = next(value for value in lean.graph.input if value.name == model.data_name)
    size = data.type.tensor_type.shape.dim[0]
    # Constants travel by themselves; only a size that is computed has to be followed.
    has_sizes = any(call.op in ("Shape", "Size") for call in model.calls)
    found = []
    for batch in PROBES:
        size.dim_value = batch
        try:
            inferred = shape_inference.infer_shapes(
                lean, check_type=True, strict_mode=True, data_prop=has_sizes
            )
        except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
            what = f"shapes do not fit at batch size {batch}: {_text(error)}"
            expected = "a graph that holds at every batch size"
            raise BatchError(problem(what, model.where, expected, "Change the network")) from error
        graph = inferred.graph
        found.append(
            {v.name: v.type.SerializeToString() for v in (*graph.value_info, *graph.output)}
        )
    return _paired(*found, where=model.where)


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _lean(model: Model) -> onnx.ModelProto:
    """The graph without claimed shapes, and with the types of large tensors in their place."""
    lean = onnx.ModelProto()
    if _is_light(model):
        lean.CopyFrom(model.proto)
        lean.graph.ClearField("value_info")
    else:
        _copy_light(model, lean)
    graph = lean.graph
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    if any(call.op in KEEPING for call in model.calls):
        for node in graph.node:
            if node.op_type in KEEPING:
                node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output[:1]))
    return lean


def _is_light(model: Model) -> bool:
    small = (array.size <= DATA_LIMIT for array in model.constants.values())
    count = len(model.constants)
    return count == len(model.proto.graph.initializer) and all(small)


def _copy_light(model: Model, lean: onnx.ModelProto) -> None:
    """Copy a graph, but for the contents of its weights and large constants."""
    source, graph = model.proto.graph, lean.graph
    lean.ir_version = model.proto.ir_version
    lean.opset_import.MergeFrom(model.proto.opset_import)
    graph.name = source.name
    graph.node.MergeFrom(source.node)
    graph.output.MergeFrom(source.output)
    inside = {tensor.name for tensor in source.initializer}
    graph.input.extend(value for value in source.input if value.name not in inside)
    for tensor in source.initializer:
        if tensor.name in model.constants and math.prod(tensor.dims) <= DATA_LIMIT:
            graph.initializer.append(tensor)
        else:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(value)


def _paired(first: dict[str, bytes], second: dict[str, bytes], where: str) -> dict[str, Known]:
    found = {}
    for name, content in first.items():
        try:
            known = _known(content, second.get(name, b""))
        except BadShapeError as error:
            expected = "shapes in proportion to the batch"
            message = problem(f"value '{name[:80]}': {error}", where, expected, "Change it")
            raise BatchError(message) from error
        if known is not None:
            found[name] = known
    return found


@lru_cache(maxsize=16_384)
def _known(first: bytes, second: bytes) -> Known | None:
    """Two inferred types as one; None if something is open."""
    one, other = tensor_type(first), tensor_type(second)
    if not one.element_type or one.sizes is None or other.sizes is None:
        return None
    if 0 in one.sizes or 0 in other.sizes:
        return None
    return Known(one.element_type, join(one.sizes, other.sizes))


def join(first: Sizes, second: Sizes) -> Shape:
    """The dimensions as functions of the batch size; raises `BadShapeError`."""
    if len(first) != len(second):
        raise BatchShapeError(
            f"{len(first)} axes at batch {PROBES[0]}, {len(second)} at {PROBES[1]}"
        )
    dims = []
    for a, b in zip(first, second, strict=True):
        scale, rest = divmod(b - a, STEP)
        if rest or scale < 0:
            raise BatchShapeError(f"a dimension is {a} at batch {PROBES[0]} and {b} at {PROBES[1]}")
        dims.append(Dim(scale, a - scale * PROBES[0]))
    for sizes in (first, second):
        if not is_real(sizes):
            raise BadShapeError(f"the shape {'x'.join(map(str, sizes))}")
    return tuple(dims)


class Inference:
    """The rules for one node at a time, given what its operands are."""

    def __init__(self, model: Model) -> None:
        self.opset = model.opset
        self.ir_version = model.proto.ir_version
        self.opset_import = [helper.make_opsetid("", model.opset)]

    def node(
        self, call: Call, inputs: list[Operand], types: dict[str, int]
    ) -> list[tuple[int, Sizes, Sizes]]:
        """Element type and both shapes of every output; raises `BadShapeError`."""
        is_static = all(is_fixed(operand) for operand in inputs)
        first = self._at(call, inputs, types, 0)
        second = first if is_static else self._at(call, inputs, types, 1)
        return [(kind, a, b) for (kind, a), (_, b) in zip(first, second, strict=True)]

    def _at(
        self, call: Call, inputs: list[Operand], types: dict[str, int], probe: int
    ) -> list[tuple[int, Sizes]]:
        if call.op in KEEPING:
            return [(types[call.inputs[0]], sizes_of(inputs[0])[probe])]
        input_types, input_data = {}, {}
        for name, operand in zip(call.inputs, inputs, strict=True):
            if operand is None:
                continue
            input_types[name] = helper.make_tensor_type_proto(types[name], sizes_of(operand)[probe])
            if isinstance(operand, Constant) and operand.data is not None:
                array = operand.data[probe]
                if array.size <= DATA_LIMIT:
                    input_data[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        try:
            found = shape_inference.infer_node_outputs(
                _schema(call.op, self.opset),
                call.proto,
                input_types,
                input_data,
                opset_imports=self.opset_import,
                ir_version=self.ir_version,
            )
        except (
            shape_inference.InferenceError,
            onnx.checker.ValidationError,
            defs.SchemaError,
            RuntimeError,
        ) as error:
            raise BatchShapeError(f"{_text(error)[:200]} at batch size {PROBES[probe]}") from error
        return [_sizes_in(found.get(name)) for name in call.outputs]


def _sizes_in(found: onnx.TypeProto | None) -> tuple[int, Sizes]:
    """Element type and shape; an output that is not named has neither."""
    if found is None:
        return 0, ()
    tensor = found.tensor_type
    is_known = found.HasField("tensor_type") and tensor.HasField("shape")
    if not is_known or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        raise BadShapeError("it depends on the data")
    return tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim)


@lru_cache(maxsize=1024)
def _schema(op: str, opset: int) -> defs.OpSchema:
    return defs.get_schema(op, opset, "")


def sizes_of(operand: Operand) -> tuple[Sizes, Sizes]:
    """The shape at each probe."""
    if isinstance(operand, Constant) and operand.data is not None:
        return operand.data[0].shape, operand.data[1].shape
    if isinstance(operand, Weight):
        return operand.shape, operand.shape
    assert operand is not None
    first, second = (tuple(dim.at(probe) for dim in operand.shape) for probe in PROBES)
    return first, second


def is_fixed(operand: Operand) -> bool:
    """Whether an operand has the same shape, and as a constant the same content, at any batch."""
    if isinstance(operand, Constant) and operand.data is not None:
        return operand.is_static
    if operand is None or isinstance(operand, Weight):
        return True
    return all(dim.scale == 0 for dim in operand.shape)
