"""The door: bytes or a path in, a checked ONNX model out, its data input and weights told apart.

Refused by name: what is not ONNX, truncated, over the size limit, with external data, custom
domains, local functions or control flow, or with other than one data input and one output.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from surrogate.errors import GraphError, problem

SIZE_LIMIT = 256 * 2**20  # bytes; a file with the weights of 60M parameters passes
NODE_LIMIT = 20_000
CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
OPSETS = range(7, 26)
# What exporters call the constants that they lift into initializers.
GENERATED_NAMES = ("val_", "onnx::", "const", "scalar", "_")


@dataclass(frozen=True)
class Model:
    """A checked file, taken apart."""

    nodes: list[onnx.NodeProto]
    opset: int
    ir_version: int
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
    where: str


def load(data: bytes | Path) -> Model:
    """Return the model of a file; raises `GraphError` for everything that is not one network."""
    where = str(data) if isinstance(data, Path) else "ONNX bytes"
    proto = _parse(_content(data, where), where)
    _refuse(proto, where)
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise GraphError(
            problem(f"not a valid ONNX graph ({text})", where, "a valid file", "Export it again")
        ) from error
    return _take_apart(proto, where)


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


def _parse(content: bytes, where: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise GraphError(
            problem("not ONNX, or truncated", where, "an ONNX model", "Export it again")
        ) from error
    if not proto.graph.node or not proto.opset_import:
        raise GraphError(
            problem("not an ONNX model (no graph in it)", where, "a graph", "Export it again")
        )
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
    if proto.functions:
        refuse("it has local functions", "plain operators", "Inline them (onnx.inliner)")
    if graph.sparse_initializer:
        refuse("it has sparse weights", "dense tensors", "Export it without them")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            refuse(
                f"operator {node.op_type} of the custom domain '{node.domain}'",
                "operators of the ONNX standard only",
                "Export it with standard operators",
            )
        if node.op_type in CONTROL_FLOW:
            refuse(
                f"control flow ({node.op_type})",
                "a graph that is the same for every input",
                "Export it without branches and loops on data",
            )


def _opset(proto: onnx.ModelProto, where: str) -> int:
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        found = ", ".join(map(str, versions)) or "none"
        expected = f"one standard operator set, {OPSETS.start} to {OPSETS.stop - 1}"
        raise GraphError(problem(f"operator set {found}", where, expected, "Export it again"))
    return versions[0]


def _dims(value: onnx.ValueInfoProto) -> list[int]:
    """Dimensions of a tensor; 0 where the file leaves them open."""
    return [d.dim_value if d.HasField("dim_value") else 0 for d in value.type.tensor_type.shape.dim]


def _take_apart(proto: onnx.ModelProto, where: str) -> Model:
    graph = proto.graph
    inside = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in inside]
    data = _data_input(inputs, bool(inside), where)
    if len(graph.output) != 1:
        what = f"{len(graph.output)} outputs"
        raise GraphError(problem(what, where, "one output, the logits", "Return one tensor"))
    shape = _dims(data)
    if len(shape) < 2 or 0 in shape[1:]:
        text = "x".join(str(d) if d else "?" for d in shape) or "none"
        what = f"input '{data.name}' has the shape {text}"
        expected = "a batch axis first and fixed sizes behind it"
        raise GraphError(problem(what, where, expected, "Export it with only the batch axis open"))
    weights, constants = _tensors(graph, inputs, data)
    return Model(
        nodes=list(graph.node),
        opset=_opset(proto, where),
        ir_version=proto.ir_version,
        data_name=data.name,
        data_shape=tuple(shape[1:]),
        data_type=data.type.tensor_type.elem_type,
        declared_batch=shape[0],
        output_names=[output.name for output in graph.output],
        weights=weights,
        constants=constants,
        where=where,
    )


def _data_input(
    inputs: list[onnx.ValueInfoProto], has_initializers: bool, where: str
) -> onnx.ValueInfoProto:
    """The input with an open axis; else the one called `input`; else the first."""
    open_inputs = [value for value in inputs if 0 in _dims(value)]
    rivals = inputs if has_initializers and not open_inputs else open_inputs
    count = len(rivals)
    if not inputs or count > 1:
        names = ", ".join(value.name for value in rivals)
        what = f"{count} data inputs ({names})" if count else "no data input"
        raise GraphError(problem(what, where, "exactly one", "Export a module of one tensor"))
    named = [value for value in inputs if value.name == "input"]
    return (open_inputs or named or inputs)[0]


def _tensors(
    graph: onnx.GraphProto, inputs: list[onnx.ValueInfoProto], data: onnx.ValueInfoProto
) -> tuple[dict[str, tuple[tuple[int, ...], int]], dict[str, np.ndarray]]:
    weights = {
        value.name: (tuple(_dims(value)), value.type.tensor_type.elem_type)
        for value in inputs
        if value is not data
    }
    constants = {}
    are_inside = not weights  # else the file says which tensors are trained: those that it asks for
    for tensor in graph.initializer:
        is_small = int(np.prod(tensor.dims)) <= 1 and tensor.name.startswith(GENERATED_NAMES)
        if are_inside and tensor.data_type in FLOATS and not is_small:
            weights[tensor.name] = (tuple(tensor.dims), tensor.data_type)
        else:
            constants[tensor.name] = numpy_helper.to_array(tensor)
    return weights, constants
