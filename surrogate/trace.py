"""Walks the nodes of an ONNX file once and sorts every value into data, weight or constant.

What computes on constants or shapes alone is folded away; what computes on weights alone becomes a
`Weight` that remembers its sources; the rest becomes a `Node`. What is only made as large as the
batch (a class token, a first state) is an Expand that reads the input for its size. Shapes come
from `shapes`, at two batch sizes, so that a dimension that grows with the batch is told from a
fixed one.
"""

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from surrogate.composed import COMPOSED
from surrogate.cost import GATES
from surrogate.errors import BadShapeError, BatchError, BatchShapeError, GraphError, problem
from surrogate.fold import fold
from surrogate.ir import BATCH, Constant, Dim, Node, Operand, Recipe, Ref, Shape, Weight, refs
from surrogate.onnxfile import Call, Model
from surrogate.shapes import (
    PROBES,
    Inference,
    Known,
    infer,
    join,
    sizes_of,
)
from surrogate.spelling import data_input
from surrogate.weights import FAILURES, derive

SIZED = {"Expand", "Pad", "Range", "Reshape", "Resize", "Split", "Tile", "ConstantOfShape"}
"""Operators whose operands are sizes."""
SIZE_LIMIT = 2**40


class Tracer:
    """The values seen so far, by their names in the file."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.known = infer(model)
        self.inference: Inference | None = None
        self.operands: dict[str, Operand] = {}
        self.types: dict[str, int] = {}
        self.nodes: list[Node] = []
        """In the order of the file, the input first."""
        self.hollow: set[Node] = set()
        """Nodes that take no more from the input than the batch size."""
        shape = (BATCH, *(Dim(0, d) for d in model.data_shape))
        self.source = Node("Input", {}, [], (shape,), (model.data_type,))
        self.nodes.append(self.source)
        self._put(model.data_name, Ref(self.source), model.data_type)
        for name, (dims, element_type) in model.weights.items():
            self._put(name, Weight((name,), dims), element_type)
        for name, array in model.constants.items():
            self._put(name, constant(array, array), _type_of(array))

    def run(self) -> list[Ref]:
        """Walk all nodes; returns the outputs of the graph."""
        for call in self.model.calls:
            self._visit(call)
        outputs = [self.operands.get(name) for name in self.model.output_names]
        found = [output for output in outputs if isinstance(output, Ref)]
        if any(output.shape[:1] != (BATCH,) for output in found):
            what = "the output does not begin with the batch"
            raise self._error(what, "one row per example", BatchError)
        if len(found) != len(outputs) or any(output.node in self.hollow for output in found):
            raise self._error("the output does not depend on the input", "a network of the input")
        return found

    def _put(self, name: str, operand: Operand, element_type: int) -> None:
        self.operands[name] = operand
        self.types[name] = element_type

    def _error(self, what: str, expected: str, kind: type[GraphError] = GraphError) -> GraphError:
        return kind(problem(what, self.model.where, expected, "Change the network"))

    def _visit(self, call: Call) -> None:
        if call.op == "Constant":
            array = _constant_value(call.attributes)
            self._put(call.outputs[0], constant(array, array), _type_of(array))
            return
        operands = self.operands
        inputs = [operands.get(name) if name else None for name in call.inputs]
        if call.op in SIZED:
            inputs = self._open_batch(call.op, inputs)
        if call.op == "CastLike":
            call, inputs = self._cast_like(call, inputs)
        if call.op in ("Shape", "Size"):
            self._shape_of(call, inputs[0])
        elif not inputs or any(type(operand) is Ref for operand in inputs):
            self._node(call, inputs, self._shapes(call, inputs))
        else:
            has_weight = any(type(operand) is Weight for operand in inputs)
            if has_weight or not self._fold(call, inputs):
                self._derived(call, inputs)

    def _cast_like(self, call: Call, inputs: list[Operand]) -> tuple[Call, list[Operand]]:
        """The same as a Cast to the type of the second operand."""
        target = self.types[call.inputs[1]]
        proto = helper.make_node("Cast", [call.inputs[0]], list(call.outputs), to=target)
        return Call("Cast", call.inputs[:1], call.outputs, {"to": target}, proto), inputs[:1]

    def _open_batch(self, op: str, inputs: list[Operand]) -> list[Operand]:
        """Refuse absurd sizes; in a file traced at one batch size, let constant targets grow."""
        for operand in inputs[1:] if op != "ConstantOfShape" else inputs:
            if isinstance(operand, Constant) and operand.data is not None:
                array = operand.data[0]
                if array.dtype.kind in "iu" and array.size and np.abs(array).max() > SIZE_LIMIT:
                    raise self._error(f"{op} to sizes of more than {SIZE_LIMIT}", "real sizes")
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
        return [data, constant(grown[0], grown[1]), *inputs[2:]]

    def _shape_of(self, call: Call, operand: Operand) -> None:
        arrays = []
        for sizes in sizes_of(operand):
            start, end = call.attributes.get("start", 0), call.attributes.get("end", len(sizes))
            is_size = call.op == "Size"
            values = math.prod(sizes) if is_size else sizes[start:end]  # type: ignore[misc]
            arrays.append(np.array(values, np.int64))
        self._put(call.outputs[0], constant(*arrays), int(onnx.TensorProto.INT64))

    def _fold(self, call: Call, inputs: list[Operand]) -> bool:
        """Compute on constants; False if it is not possible."""
        constants = [operand for operand in inputs if isinstance(operand, Constant)]
        if any(operand.data is None for operand in constants):
            return False
        is_static = all(operand.is_static for operand in constants)
        results = []
        for probe in range(1 if is_static else 2):
            arrays = [c.data[probe] if isinstance(c, Constant) and c.data else None for c in inputs]
            try:
                results.append(fold(call.op, call.attributes, arrays))
            except FAILURES as error:
                what = f"{call.op} on constants fails ({error})"
                raise self._error(what, "operands that fit") from error
        if any(result is None for result in results):
            return False
        for name, first, second in zip(call.outputs, results[0], results[-1], strict=False):
            self._put(name, self._constant(call.op, first, second), _type_of(first))
        return True

    def _constant(self, op: str, first: np.ndarray, second: np.ndarray) -> Constant:
        try:
            return constant(first, second)
        except BadShapeError as error:
            expected = "sizes in proportion to the batch"
            raise self._error(f"{op}: {error}", expected, BatchError) from error

    def _shapes(self, call: Call, inputs: list[Operand]) -> list[Known]:
        """Element type and shape of every output; those without a name have neither."""
        known = self.known
        found = [known.get(name) if name else _UNNAMED for name in call.outputs]
        if all(found):
            return found  # type: ignore[return-value]
        if self.inference is None:
            self.inference = Inference(self.model)
        try:
            return [
                Known(kind, join(first, second)) if name else _UNNAMED
                for name, (kind, first, second) in zip(
                    call.outputs, self.inference.node(call, inputs, self.types), strict=True
                )
            ]
        except BadShapeError as error:
            kind = BatchError if isinstance(error, BatchShapeError) else GraphError
            what = f"the shape behind {call.op}: {error}"
            raise self._error(what, "fixed shapes", kind) from error

    def _node(self, call: Call, inputs: list[Operand], known: list[Known]) -> None:
        """An operator on data."""
        if call.op == "Reshape":
            self._check_reshape(inputs[0], known[0].shape)
        if call.op in GATES:
            inputs = [*inputs[:1], *map(self._apart, inputs[1:4], (1, 1, 2)), *inputs[4:]]
        types, shapes = zip(*known, strict=True)
        node = Node(call.op, {}, inputs, shapes, types, call.attributes)
        if call.op in COMPOSED:
            *parts, node = COMPOSED[call.op](data_input(node), node)
            self.nodes += parts
        self.nodes.append(node)
        if call.outputs[0] in self.model.folded:
            node = self._folded_norm(node, call)
        for index, name in enumerate(call.outputs):
            if name:
                if name not in self.known and any(dim.at(PROBES[0]) < 1 for dim in shapes[index]):
                    raise self._error(f"{call.op} gives an empty tensor", "sizes above zero")
                self.operands[name] = Ref(node, index)
                self.types[name] = types[index]
        if not inputs or (self.hollow and all(r.node in self.hollow for r in refs(node))):
            self.hollow.add(node)

    def _apart(self, operand: Operand, per_direction: int) -> Operand:
        """A recurrence's weight that a tool has joined, as of the tensors that torch has."""
        if not isinstance(operand, Weight) or operand.recipe is not None:
            return operand
        count = next(iter(operand.shape), 0) * per_direction
        total = math.prod(operand.shape)
        if count not in (2, 4) or len(operand.sources) != 1 or total % count:
            return operand
        names = tuple(f"{operand.sources[0]} {number}" for number in range(count))
        kind = self.model.weights[operand.sources[0]][1]
        self.model.weights.update(dict.fromkeys(names, ((total // count,), kind)))
        return Weight(names, operand.shape)

    def _folded_norm(self, layer: Node, call: Call) -> Node:
        """Put the norm behind the layer again: its shift is the bias, its scale as large."""
        shift = layer.inputs.pop()
        name, (size,) = f"{call.inputs[2]} scale", (layer.shape[1].offset,)
        self.model.weights[name] = ((size,), layer.types[0])
        if not isinstance(shift, Weight):
            shift = Weight((f"{call.inputs[2]} shift",), (size,))
            self.model.weights[shift.sources[0]] = ((size,), layer.types[0])
        inputs = [Ref(layer), Weight((name,), (size,)), shift]
        norm = Node("BatchNorm", {"folded": True}, inputs, layer.shapes, layer.types)
        self.nodes.append(norm)
        return norm

    def _check_reshape(self, operand: Operand, shape: Shape) -> None:
        """ONNX lets a Reshape pass whose elements do not fit; a baked batch size shows here."""
        for before, probe in zip(sizes_of(operand), PROBES, strict=True):
            after = tuple(dim.at(probe) for dim in shape)
            if math.prod(before) != math.prod(after):
                what = f"Reshape from {before} to {after} at batch size {probe}"
                expected = "a graph that holds at every batch size"
                raise self._error(what, expected, BatchError)

    def _derived(self, call: Call, inputs: list[Operand]) -> None:
        """An operator on weights, or on constants that are too large to compute."""
        known = self._shapes(call, inputs)
        is_growing = any(dim.scale for _, shape in known for dim in shape)
        if is_growing or any(_is_growing(operand) for operand in inputs):
            self._grow(call, inputs, known)
            return
        for index, (name, (kind, shape)) in enumerate(zip(call.outputs, known, strict=True)):
            if not name:
                continue
            recipe = Recipe(call.op, call.attributes, inputs, index)
            sizes = tuple(dim.offset for dim in shape)
            if not any(isinstance(operand, Weight) for operand in inputs):
                operand: Operand = Constant(None, shape, recipe)
            elif call.op == "Identity":
                # torch's exporter shares tensors whose values are equal through an Identity;
                # tensors that the module itself shares keep one name and need none.
                operand = Weight((name,), sizes)
                self.model.weights[name] = (sizes, kind)
            else:
                operand = derive(recipe, sizes, self.model.weights)
            self._put(name, operand, kind)

    def _grow(self, call: Call, inputs: list[Operand], known: list[Known]) -> None:
        """Weights or constants made as large as the batch: an Expand, then data like any other."""
        if call.op in ("Expand", "ConstantOfShape"):
            content = inputs[0]
            if call.op == "ConstantOfShape":
                value = np.asarray(call.attributes.get("value", np.float32(0)))
                content = constant(value, value)
            self._put(call.outputs[0], self._expanded(content, known[0]), known[0].element_type)
            return
        lifted: list[Operand] = list(inputs)
        for index, operand in enumerate(inputs):
            if isinstance(operand, Constant) and _is_growing(operand):
                kind = self.types[call.inputs[index]]
                lifted[index] = self._expanded(operand, Known(kind, operand.shape))
                break
        else:
            if call.op != "Tile":
                what, expected = f"{call.op} of the batch size", "a network of the input"
                raise self._error(what, expected, BatchError)
            lifted = [self._expanded(inputs[0], known[0])]  # the copies stand in the shape
        self._node(call, lifted, known)

    def _expanded(self, content: Operand, known: Known) -> Ref:
        if isinstance(content, Constant) and content.scalar is not None and content.data:
            first = content.data[0].reshape(-1)[0]
            content = constant(first, first)
        inputs = [Ref(self.source), content]
        node = Node("Expand", {}, inputs, (known.shape,), (known.element_type,))
        self.hollow.add(node)
        self.nodes.append(node)
        return Ref(node)


_UNNAMED = Known(0, ())


def _is_growing(operand: Operand) -> bool:
    return isinstance(operand, Constant) and any(dim.scale for dim in operand.shape)


def constant(first: np.ndarray, second: np.ndarray) -> Constant:
    """A constant; one array stands for both probes where they agree; raises `BadShapeError`."""
    if first is second:
        return Constant((first, first), tuple(Dim(0, size) for size in first.shape))
    is_same = first.shape == second.shape and bool((first == second).all())
    shape = join(first.shape, second.shape)
    return Constant((first, first if is_same else second), shape)


def _type_of(array: np.ndarray) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _constant_value(attributes: Mapping[str, object]) -> np.ndarray:
    name, value = next(iter(attributes.items()))
    kinds = {"value_int": np.int64, "value_ints": np.int64}
    return np.asarray(
        value, None if name == "value" or "string" in name else kinds.get(name, np.float32)
    )
