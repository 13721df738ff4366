"""Walks the nodes of an ONNX file once and sorts every value into data, weight or constant.

What computes on constants or shapes alone is folded away; what computes on weights alone becomes a
`Weight` that remembers its sources; the rest becomes a `Node`. Shapes come from ONNX's own rules,
at two batch sizes at once, so that a dimension that grows with the batch is told from a fixed one.
"""

import math
from functools import lru_cache

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper, shape_inference

from surrogate.errors import GraphError, problem
from surrogate.fold import fold
from surrogate.ir import BATCH, Constant, Dim, Node, Operand, Ref, Shape, Weight, digest
from surrogate.onnxfile import Model

PROBES = (11, 13)  # two batch sizes; primes, so that a half or a quarter of them shows
DATA_LIMIT = 1024  # elements of a constant that shape rules may look at
LAYOUT = {
    *("Slice", "Split", "Concat", "Gather", "Transpose", "Reshape", "Flatten"),
    *("Squeeze", "Unsqueeze", "Cast", "Expand"),
}
Sizes = tuple[tuple[int, ...], tuple[int, ...]]
"""Shape at each probe."""


class Tracer:
    """The values seen so far, by their names in the file."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.operands: dict[str, Operand] = {}
        self.types: dict[str, int] = {}
        self.opset_import = [helper.make_opsetid("", model.opset)]
        shape = (BATCH, *(Dim(0, d) for d in model.data_shape))
        self.source = Node("Input", {}, [], (shape,), (model.data_type,))
        self._put(model.data_name, Ref(self.source), model.data_type)
        for name, (dims, element_type) in model.weights.items():
            self._put(name, Weight((name,), dims), element_type)
        for name, array in model.constants.items():
            self._put(name, _constant(array, array), _type_of(array))

    def run(self) -> list[Ref]:
        """Walk all nodes; returns the outputs of the graph."""
        for proto in self.model.nodes:
            self._visit(proto)
        outputs = [self.operands.get(name) for name in self.model.output_names]
        found = [output for output in outputs if isinstance(output, Ref)]
        if any(output.shape[:1] != (BATCH,) for output in found):
            raise self._error("the output does not begin with the batch", "one row per example")
        if len(found) != len(outputs):
            raise self._error("the output does not depend on the input", "a network of the input")
        return found

    def _put(self, name: str, operand: Operand, element_type: int) -> None:
        self.operands[name] = operand
        self.types[name] = element_type

    def _error(self, what: str, expected: str) -> GraphError:
        return GraphError(problem(what, self.model.where, expected, "Change the network"))

    def _visit(self, proto: onnx.NodeProto) -> None:
        attributes = {a.name: _attribute(a) for a in proto.attribute}
        if proto.op_type == "Constant":
            array = _constant_value(attributes)
            self._put(proto.output[0], _constant(array, array), _type_of(array))
            return
        inputs = [self.operands.get(name) if name else None for name in proto.input]
        inputs = self._open_batch(proto.op_type, inputs)
        if proto.op_type == "CastLike":
            proto, inputs = self._cast_like(proto, attributes, inputs)
        has_data = any(isinstance(operand, Ref) for operand in inputs)
        if proto.op_type in ("Shape", "Size"):
            self._shape_of(proto, attributes, inputs[0])
        elif has_data or not inputs:
            self._node(proto, attributes, inputs)
        else:
            has_weight = any(isinstance(operand, Weight) for operand in inputs)
            if has_weight or not self._fold(proto, attributes, inputs):
                self._derived(proto, attributes, inputs)

    def _cast_like(
        self, proto: onnx.NodeProto, attributes: dict[str, object], inputs: list[Operand]
    ) -> tuple[onnx.NodeProto, list[Operand]]:
        """The same as a Cast to the type of the second operand."""
        attributes["to"] = self.types[proto.input[1]]
        cast = helper.make_node("Cast", [proto.input[0]], list(proto.output))
        cast.attribute.append(helper.make_attribute("to", self.types[proto.input[1]]))
        return cast, inputs[:1]

    def _open_batch(self, op: str, inputs: list[Operand]) -> list[Operand]:
        """In a file traced at one fixed batch size, let the constant targets of Reshape grow."""
        declared = self.model.declared_batch
        if op not in ("Reshape", "Expand") or not declared or len(inputs) < 2:
            return inputs
        data, target = inputs[0], inputs[1]
        if not isinstance(data, Ref) or not isinstance(target, Constant) or target.data is None:
            return inputs
        values = target.data[0]
        if data.shape[:1] != (BATCH,) or values.size == 0 or values[0] != declared:
            return inputs
        grown = [np.concatenate([[probe], values[1:]]).astype(values.dtype) for probe in PROBES]
        return [data, _constant(grown[0], grown[1]), *inputs[2:]]

    def _shape_of(
        self, proto: onnx.NodeProto, attributes: dict[str, object], operand: Operand
    ) -> None:
        arrays = []
        for sizes in _sizes(operand):
            start, end = attributes.get("start", 0), attributes.get("end", len(sizes))
            values = sizes[start:end]  # type: ignore[misc]
            is_size = proto.op_type == "Size"
            arrays.append(np.array(np.prod(sizes) if is_size else values, np.int64))
        first, second = arrays
        self._put(proto.output[0], _constant(first, second), int(onnx.TensorProto.INT64))

    def _fold(
        self, proto: onnx.NodeProto, attributes: dict[str, object], inputs: list[Operand]
    ) -> bool:
        """Compute on constants; False if it is not possible."""
        constants = [operand for operand in inputs if isinstance(operand, Constant)]
        if any(constant.data is None for constant in constants):
            return False
        is_static = all(constant.is_static for constant in constants)
        results = []
        for probe in range(1 if is_static else 2):
            arrays = [c.data[probe] if isinstance(c, Constant) and c.data else None for c in inputs]
            try:
                results.append(fold(proto.op_type, attributes, arrays))
            except (ValueError, IndexError, TypeError, KeyError, OverflowError) as error:
                what = f"{proto.op_type} on constants fails ({error})"
                raise self._error(what, "operands that fit") from error
        if any(result is None for result in results):
            return False
        for name, first, second in zip(proto.output, results[0], results[-1], strict=False):
            self._put(name, _constant(first, second), _type_of(first))
        return True

    def _node(
        self, proto: onnx.NodeProto, attributes: dict[str, object], inputs: list[Operand]
    ) -> None:
        """An operator on data."""
        types, sizes = self._infer(proto, inputs)
        if proto.op_type == "Reshape":
            self._check_reshape(inputs[0], sizes[0])
        shapes = tuple(
            self._shape(*pair, proto.op_type) if name else ()
            for name, pair in zip(proto.output, sizes, strict=True)
        )
        node = Node(proto.op_type, {}, list(inputs), shapes, tuple(types), attributes)
        for index, name in enumerate(proto.output):
            if name:
                self._put(name, Ref(node, index), types[index])

    def _check_reshape(self, operand: Operand, sizes: Sizes) -> None:
        """ONNX lets a Reshape pass whose elements do not fit; a baked batch size shows here."""
        for before, after, probe in zip(_sizes(operand), sizes, PROBES, strict=True):
            if math.prod(before) != math.prod(after):
                what = f"Reshape from {before} to {after} at batch {probe}"
                raise self._error(what, "a graph that holds at every batch size")

    def _derived(
        self, proto: onnx.NodeProto, attributes: dict[str, object], inputs: list[Operand]
    ) -> None:
        """An operator on weights, or on constants that are too large to compute."""
        types, sizes = self._laid_out(proto, attributes, inputs) or self._infer(proto, inputs)
        for index, name in enumerate(proto.output):
            if not name:
                continue
            shape = self._shape(*sizes[index], proto.op_type)
            made_by = _expression(proto.op_type, attributes, inputs, index)
            if not any(isinstance(operand, Weight) for operand in inputs):
                operand: Operand = Constant(None, shape, made_by)
            elif proto.op_type == "Identity":
                # torch's exporter shares tensors whose values are equal through an Identity;
                # tensors that the module itself shares keep one name and need none.
                operand = Weight((name,), sizes[index][0])
                self.model.weights[name] = (sizes[index][0], types[index])
            else:
                operand = self._derived_weight(proto.op_type, inputs, sizes[index][0], made_by)
            self._put(name, operand, types[index])

    def _laid_out(
        self, proto: onnx.NodeProto, attributes: dict[str, object], inputs: list[Operand]
    ) -> tuple[list[int], list[Sizes]] | None:
        """What `_infer` says, faster: a small weight is moved about as an array without content."""
        if proto.op_type not in LAYOUT - {"Cast"} or not all(_is_static(o) for o in inputs):
            return None
        arrays: list[np.ndarray | None] = []
        for operand in inputs:
            if isinstance(operand, Weight):
                arrays.append(np.broadcast_to(np.uint8(0), operand.shape))
            else:
                known = operand.data if isinstance(operand, Constant) else None
                arrays.append(known[0] if known else None)
        if any(a is None and o is not None for a, o in zip(arrays, inputs, strict=True)):
            return None
        try:
            outputs = fold(proto.op_type, attributes, arrays)
        except (ValueError, IndexError, TypeError, KeyError, OverflowError):
            return None  # `_infer` says what is wrong
        if outputs is None or len(outputs) != len(proto.output):
            return None
        return [self.types[proto.input[0]]] * len(outputs), [(o.shape, o.shape) for o in outputs]

    def _derived_weight(
        self, op: str, inputs: list[Operand], shape: tuple[int, ...], made_by: str
    ) -> Weight:
        weights = [operand for operand in inputs if isinstance(operand, Weight)]
        sources = tuple(dict.fromkeys(name for weight in weights for name in weight.sources))
        total = sum(int(np.prod(self.model.weights[name][0])) for name in sources)
        is_layout = op in LAYOUT and all(weight.is_layout for weight in weights)
        is_whole = is_layout and int(np.prod(shape)) == total
        return Weight(sources, shape, "" if is_whole else made_by, made_by, is_layout)

    def _infer(self, proto: onnx.NodeProto, inputs: list[Operand]) -> tuple[list[int], list[Sizes]]:
        """Element type and shapes (at both probes) of every output, by ONNX's own rules."""
        is_static = all(_is_static(operand) for operand in inputs)
        first = self._infer_at(proto, inputs, 0)
        second = first if is_static else self._infer_at(proto, inputs, 1)
        types = [element_type for element_type, _ in first]
        return types, [(a, b) for (_, a), (_, b) in zip(first, second, strict=True)]

    def _infer_at(
        self, proto: onnx.NodeProto, inputs: list[Operand], probe: int
    ) -> list[tuple[int, tuple[int, ...]]]:
        input_types, input_data = {}, {}
        for name, operand in zip(proto.input, inputs, strict=True):
            if operand is None:
                continue
            sizes = _sizes(operand)[probe]
            input_types[name] = helper.make_tensor_type_proto(self.types[name], sizes)
            if isinstance(operand, Constant) and operand.data is not None:
                array = operand.data[probe]
                if array.size <= DATA_LIMIT:
                    input_data[name] = numpy_helper.from_array(array, name)
        try:
            schema = _schema(proto.op_type, self.model.opset)
            found = shape_inference.infer_node_outputs(
                schema,
                proto,
                input_types,
                input_data,
                opset_imports=self.opset_import,
                ir_version=self.model.ir_version,
            )
        except (shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            what = f"{proto.op_type}: {' '.join(str(error).split())[:200]}"
            raise self._error(what, "shapes that fit at every batch size") from error
        return [self._tensor(proto.op_type, found.get(name)) for name in proto.output]

    def _tensor(self, op: str, found: onnx.TypeProto | None) -> tuple[int, tuple[int, ...]]:
        """Element type and shape; an output that is not named has neither."""
        if found is None:
            return 0, ()
        tensor = found.tensor_type
        is_known = found.HasField("tensor_type") and tensor.HasField("shape")
        if not is_known or not all(d.HasField("dim_value") for d in tensor.shape.dim):
            raise self._error(f"the shape behind {op} depends on the data", "fixed shapes")
        return tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim)

    def _shape(self, first: tuple[int, ...], second: tuple[int, ...], op: str) -> Shape:
        """The dimensions as functions of the batch size."""
        dims = []
        for a, b in zip(first, second, strict=True):
            scale, rest = divmod(b - a, PROBES[1] - PROBES[0])
            if rest or len(first) != len(second):
                what = f"a dimension behind {op} is {a} at batch {PROBES[0]} and {b} at {PROBES[1]}"
                raise self._error(what, "dimensions in proportion to the batch")
            dims.append(Dim(scale, a - scale * PROBES[0]))
        return tuple(dims)


@lru_cache(maxsize=1024)
def _schema(op: str, opset: int) -> defs.OpSchema:
    return defs.get_schema(op, opset, "")


def _constant(first: np.ndarray, second: np.ndarray) -> Constant:
    """A constant; one array stands for both probes where they agree."""
    is_same = first is second or (first.shape == second.shape and bool((first == second).all()))
    shape = tuple(
        Dim((b - a) // (PROBES[1] - PROBES[0]), a - (b - a) // 2 * PROBES[0])
        for a, b in zip(first.shape, second.shape, strict=True)
    )
    return Constant((first, first if is_same else second), shape)


def _sizes(operand: Operand) -> Sizes:
    if isinstance(operand, Constant) and operand.data is not None:
        return operand.data[0].shape, operand.data[1].shape
    if isinstance(operand, Weight):
        return operand.shape, operand.shape
    assert operand is not None
    first, second = (tuple(dim.at(probe) for dim in operand.shape) for probe in PROBES)
    return first, second


def _is_static(operand: Operand) -> bool:
    if isinstance(operand, Constant) and operand.data is not None:
        return operand.is_static
    return not isinstance(operand, Ref | Constant) or all(dim.scale == 0 for dim in operand.shape)


def _type_of(array: np.ndarray) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _attribute(attribute: onnx.AttributeProto) -> object:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value)
    return value


def _constant_value(attributes: dict[str, object]) -> np.ndarray:
    name, value = next(iter(attributes.items()))
    kinds = {"value_int": np.int64, "value_ints": np.int64}
    return np.asarray(
        value, None if name == "value" or "string" in name else kinds.get(name, np.float32)
    )


def _expression(op: str, attributes: dict[str, object], inputs: list[Operand], index: int) -> str:
    """A digest of a computation on weights and constants, free of names."""
    parts = [op, str(index), *(f"{k}={attributes[k]!r}" for k in sorted(attributes))]
    for operand in inputs:
        if isinstance(operand, Weight):
            parts.append(f"W{operand.shape}{operand.made_by}")
        else:
            parts.append(f"C{operand.digest}" if isinstance(operand, Constant) else "-")
    return digest(";".join(parts))
