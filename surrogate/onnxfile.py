"""The door: bytes, a path or a model in; a checked ONNX model out, data and weights told apart.

Refused by name: what is not ONNX, truncated, over the size limit, with external data, custom
domains, local functions or control flow, or with other than one data input and one output.
Weights are the inputs beside the data, or, in a file that has none, its float initializers; an
initializer whose name begins with a dot (no weight of a module can) is a constant.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto, helper, numpy_helper

from surrogate.errors import BadShapeError, GraphError, problem
from surrogate.foreign import folded_norms, standard

SIZE_LIMIT = 256 * 2**20  # bytes; a file with the weights of 60M parameters passes
NODE_LIMIT = 20_000
ELEMENT_LIMIT = 2**48  # of one tensor; more has no meaning, and sums of sizes would overflow
RANK_LIMIT = 64  # axes of one tensor
ATTRIBUTE_LIMIT = 8192  # bytes of a node's attributes, but for constants
CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
OPSETS = range(7, 26)
# What exporters call the constants that they lift into initializers.
GENERATED_NAMES = ("val_", "onnx::", "const", "scalar", "ortshared_", "_")
LIFTED_CONSTANT = re.compile(r"(.*/)?Constant(_\d+)?_output_\d+")
_CACHED_BYTES = 1024  # attributes of more are read anew each time


class TensorType(NamedTuple):
    """Element type and sizes; 0 is a size that is left open, None sizes are not known at all."""

    element_type: int
    sizes: tuple[int, ...] | None


class Call(NamedTuple):
    """One node of the file."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]
    """Shared between equal nodes: never changed."""
    proto: onnx.NodeProto


@dataclass(frozen=True)
class Model:
    """A checked file, taken apart."""

    proto: onnx.ModelProto
    calls: list[Call]
    opset: int
    data_name: str
    data_shape: tuple[int, ...]
    """Without the batch axis."""
    data_type: int
    declared_batch: int
    """The batch size that the file fixes, or 0."""
    output_names: list[str]
    weights: dict[str, tuple[tuple[int, ...], int]]
    """Name to shape and element type."""
    constants: dict[str, np.ndarray]
    folded: frozenset[str]
    """Outputs of layers into which a tool has folded a BatchNorm."""
    where: str


def load(data: bytes | Path | onnx.ModelProto) -> Model:
    """Return the model of a file; raises `GraphError` for everything that is not one network."""
    where = str(data) if isinstance(data, Path) else "ONNX bytes"
    if isinstance(data, onnx.ModelProto):
        where, proto = "ONNX model", data
        content = _written(proto, where)
    else:
        content = _content(data, where)
        proto = _parse(content, where)
    if not proto.graph.node or not proto.opset_import:
        raise GraphError(
            problem("not an ONNX model (no graph in it)", where, "a graph", "Export it again")
        )
    _refuse(proto, where)
    plain = standard(proto, where)
    content = content if plain is proto else _written(plain, where)
    return _checked(plain, content, where)


def _checked(proto: onnx.ModelProto, content: bytes, where: str) -> Model:
    calls = [_call(node, where) for node in proto.graph.node]
    try:
        onnx.checker.check_model(content)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())[:200]
        raise GraphError(
            problem(f"not a valid ONNX graph ({text})", where, "a valid file", "Export it again")
        ) from error
    return _take_apart(proto, calls, where)


def _content(data: bytes | Path, where: str) -> bytes:
    if isinstance(data, bytes):
        size = len(data)
    else:
        try:
            size = data.stat().st_size
        except OSError as error:
            message = problem("no such file", where, "an ONNX file", "Check the path")
            raise GraphError(message) from error
    if size > SIZE_LIMIT:
        raise GraphError(
            problem(
                f"{size / 2**20:.0f} MiB",
                where,
                f"at most {SIZE_LIMIT // 2**20} MiB",
                "Export the graph without weights (export_params=False)",
            )
        )
    try:
        return data if isinstance(data, bytes) else data.read_bytes()
    except OSError as error:
        message = problem(f"not readable ({error.strerror})", where, "a file", "Check the path")
        raise GraphError(message) from error


def _written(proto: onnx.ModelProto, where: str) -> bytes:
    try:
        return _content(proto.SerializeToString(), where)
    except (EncodeError, ValueError) as error:
        message = problem(f"not writable ({error})", where, "a model", "Make it smaller")
        raise GraphError(message) from error


def _parse(content: bytes, where: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise GraphError(
            problem("not ONNX, or truncated", where, "an ONNX model", "Export it again")
        ) from error
    return proto


def _refuse(proto: onnx.ModelProto, where: str) -> None:
    graph = proto.graph

    def refuse(what: str, expected: str, action: str) -> None:
        raise GraphError(problem(what, where, expected, action))

    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            refuse(
                f"the data of '{tensor.name}' lies in another file",
                "one self-contained file",
                "Save it without external data",
            )
    if len(graph.node) > NODE_LIMIT:
        refuse(f"{len(graph.node)} nodes", f"at most {NODE_LIMIT}", "Choose a smaller network")
    if proto.functions or proto.training_info:
        refuse("it has local functions", "plain operators", "Inline them (onnx.inliner)")
    if graph.sparse_initializer:
        refuse("it has sparse weights", "dense tensors", "Export it without them")


def _call(node: onnx.NodeProto, where: str) -> Call:
    op = node.op_type
    if op in CONTROL_FLOW:
        what, expected = f"control flow ({op})", "a graph that is the same for every input"
        action = "Export it without branches and loops on data"
        raise GraphError(problem(what, where, expected, action))
    contents = tuple([attribute.SerializeToString() for attribute in node.attribute])
    size = sum(map(len, contents))
    if size > ATTRIBUTE_LIMIT and op != "Constant":
        what, expected = f"attributes of {op} of {size} bytes", f"at most {ATTRIBUTE_LIMIT}"
        raise GraphError(problem(what, where, expected, "Change the network"))
    read = _attributes if size <= _CACHED_BYTES else _attributes.__wrapped__
    try:
        attributes = read(contents)
    except (ValueError, TypeError, KeyError) as error:
        what = f"an attribute of {op} ({' '.join(str(error).split())[:100]})"
        raise GraphError(problem(what, where, "numbers, texts, tensors", "Export it")) from error
    return Call(op, tuple(node.input), tuple(node.output), attributes, node)


def _opset(proto: onnx.ModelProto, where: str) -> int:
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        found = ", ".join(map(str, versions)) or "none"
        expected = f"one standard operator set, {OPSETS.start} to {OPSETS.stop - 1}"
        raise GraphError(problem(f"operator set {found}", where, expected, "Export it again"))
    return versions[0]


@lru_cache(maxsize=16_384)
def tensor_type(content: bytes) -> TensorType:
    """Read a serialized `TypeProto`; what is no tensor has the element type 0."""
    proto = onnx.TypeProto.FromString(content)
    tensor = proto.tensor_type
    if not proto.HasField("tensor_type"):
        return TensorType(0, ())
    if not tensor.HasField("shape"):
        return TensorType(tensor.elem_type, None)
    dims = tensor.shape.dim
    sizes = tuple([d.dim_value if d.HasField("dim_value") else 0 for d in dims])
    if not is_real(sizes):
        raise BadShapeError(f"a tensor has the shape {'x'.join(map(str, sizes))}")
    return TensorType(tensor.elem_type, sizes)


def is_real(sizes: Sequence[int]) -> bool:
    """Whether a tensor can have these sizes."""
    if len(sizes) > RANK_LIMIT or min(sizes, default=0) < 0:
        return False
    return math.prod(sizes) <= ELEMENT_LIMIT


def read_type(value: onnx.ValueInfoProto) -> TensorType:
    """The declared or inferred type of a value."""
    content = value.type.SerializeToString()
    return (tensor_type if len(content) <= _CACHED_BYTES else tensor_type.__wrapped__)(content)


def _take_apart(proto: onnx.ModelProto, calls: list[Call], where: str) -> Model:
    graph = proto.graph
    inside = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {v.name: read_type(v) for v in graph.input if v.name not in inside}
    held = [tensor for tensor in graph.initializer if _is_weight(tensor)]
    if not all(is_real(tensor.dims) for tensor in graph.initializer):
        raise BadShapeError("an initializer of absurd sizes")
    data_name = _data_input(inputs, bool(inside), bool(held), where)
    if len(graph.output) != 1:
        what = f"{len(graph.output)} outputs"
        raise GraphError(problem(what, where, "one output, the logits", "Return one tensor"))
    data = inputs.pop(data_name)
    sizes = data.sizes or ()
    if len(sizes) < 2 or 0 in sizes[1:]:
        text = "x".join(str(d) if d else "?" for d in sizes) or "none"
        what = f"input '{data_name}' has the shape {text}"
        expected = "a batch axis first and fixed sizes behind it"
        raise GraphError(problem(what, where, expected, "Export it with only the batch axis open"))
    weights = {name: (kind.sizes or (), kind.element_type) for name, kind in inputs.items()}
    weights |= {tensor.name: (tuple(tensor.dims), tensor.data_type) for tensor in held}
    return Model(
        proto=proto,
        calls=calls,
        opset=_opset(proto, where),
        data_name=data_name,
        data_shape=sizes[1:],
        data_type=data.element_type,
        declared_batch=sizes[0],
        output_names=[output.name for output in graph.output],
        weights=weights,
        constants={n: numpy_helper.to_array(t) for n, t in inside.items() if n not in weights},
        folded=folded_norms(proto),
        where=where,
    )


def _data_input(
    inputs: dict[str, TensorType], has_initializers: bool, has_weights: bool, where: str
) -> str:
    """The input with an open axis; else the one called `input`; else the first."""
    open_inputs = [name for name, kind in inputs.items() if 0 in (kind.sizes or ())]
    is_clear = len(open_inputs) == 1 or "input" in inputs or not has_initializers
    doubtful = list(inputs) if has_weights or not is_clear else open_inputs
    if not inputs or len(doubtful) > 1:
        names = ", ".join(doubtful)[:400]
        what = f"{len(doubtful)} data inputs ({names})" if doubtful else "no data input"
        raise GraphError(problem(what, where, "exactly one", "Export a module of one tensor"))
    named = [name for name in inputs if name == "input"]
    return (open_inputs or named or list(inputs))[0]


def _is_weight(tensor: TensorProto) -> bool:
    """Whether an initializer is trained, as far as its type and its name tell."""
    if tensor.data_type not in FLOATS or tensor.name.startswith("."):
        return False
    if LIFTED_CONSTANT.fullmatch(tensor.name):
        return False
    return math.prod(tensor.dims) > 1 or not tensor.name.startswith(GENERATED_NAMES)


@lru_cache(maxsize=8192)
def _attributes(contents: tuple[bytes, ...]) -> Mapping[str, object]:
    """The attributes of a node by name, from their serialized form."""
    attributes = map(onnx.AttributeProto.FromString, contents)
    return {attribute.name: _value(attribute) for attribute in attributes}


def _value(attribute: onnx.AttributeProto) -> object:
    if attribute.type == onnx.AttributeProto.TENSOR:
        if attribute.t.data_location == TensorProto.EXTERNAL:
            raise ValueError("its data lies in another file")
        return numpy_helper.to_array(attribute.t)
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple) or attribute.type in _REPEATED:
        parts = (v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value)
        return tuple(parts)
    raise ValueError("a graph or a type")


_REPEATED = {
    onnx.AttributeProto.INTS,
    onnx.AttributeProto.FLOATS,
    onnx.AttributeProto.STRINGS,
}
