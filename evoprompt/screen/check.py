"""Trusted code on hostile bytes: is this the graph of one network, and what are its figures?

In: ONNX bytes as a candidate's process submitted them, the task and the limits. Out: one
JSON line (why it is rejected, or its figures) and the cleaned ONNX bytes. It runs confined, one
process for many graphs: nothing of a graph is executed here, and no torch is loaded. Not promised:
that the graph is what the candidate's code does in training; the graph is the candidate.
"""

import json
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from evoprompt.candidate import Reason, Stage
from evoprompt.screen.failure import CandidateError
from surrogate import encode
from surrogate.errors import BatchError

GRAPH_BYTES = 4 << 20
INPUT, OUTPUT = "input", "logits"
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RANDOM = frozenset(
    {
        "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
        "Bernoulli", "Multinomial",
    }
)  # fmt: skip


def check(payload: bytes) -> bytes:
    """Return a line of JSON and the cleaned ONNX bytes; the entry function of the checking job.

    The payload is a line of JSON (task, in_shape, num_classes, the limits max_*) and the bytes.
    """
    head, _, graph = payload.partition(b"\n")
    try:
        figures, clean = _check(graph, json.loads(head))
    except CandidateError as error:
        return error.report()
    return json.dumps(figures).encode() + b"\n" + clean


def _fail(reason: Reason, detail: object) -> CandidateError:
    return CandidateError(Stage.CHECK, reason, " ".join(str(detail).split()))


def _check(data: bytes, job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    if len(data) > GRAPH_BYTES:
        raise _fail(Reason.TOO_LARGE, f"a graph of {len(data)} bytes, at most {GRAPH_BYTES}")
    model = _parse(data)
    _refuse_operations(model)
    _check_doors(model, tuple(job["in_shape"]))
    _clean(model)
    return _derive(model, job), model.SerializeToString(deterministic=True)


def _parse(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise _fail(Reason.INVALID_GRAPH, "not an ONNX file") from None
    if not model.graph.node:
        raise _fail(Reason.INVALID_GRAPH, "a graph without operations")
    return model


def _refuse_operations(model: onnx.ModelProto) -> None:
    """Allow the standard operators only, without branches, functions, random or outside data."""
    if model.functions or model.training_info or model.graph.sparse_initializer:
        raise _fail(Reason.INVALID_GRAPH, "functions, training graphs or sparse weights")
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx"):
            raise _fail(Reason.UNSUPPORTED_OPERATION, f"operators of domain {opset.domain}")
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise _fail(Reason.UNSUPPORTED_OPERATION, f"{node.domain}.{node.op_type}")
        if node.op_type in _CONTROL_FLOW or any(
            a.HasField("g") or a.graphs for a in node.attribute
        ):
            raise _fail(Reason.UNSUPPORTED_OPERATION, f"control flow on data: {node.op_type}")
        if node.op_type in _RANDOM:
            raise _fail(Reason.UNSUPPORTED_OPERATION, f"random numbers in forward: {node.op_type}")
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise _fail(Reason.INVALID_GRAPH, "weights outside the file")


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_doors(model: onnx.ModelProto, in_shape: tuple[int, ...]) -> None:
    """One float input with a free batch axis, weights of fixed shapes, one output."""
    names = [value.name for value in model.graph.input]
    if not names or names[0] != INPUT or [v.name for v in model.graph.output] != [OUTPUT]:
        raise _fail(Reason.INVALID_GRAPH, f"expected {INPUT} and weights in, {OUTPUT} out")
    for value in model.graph.input:
        tensor = value.type.tensor_type
        sizes = [dim.dim_value for dim in tensor.shape.dim]
        wanted = [0, *in_shape] if value.name == INPUT else [max(1, size) for size in sizes]
        if sizes != wanted or (value.name == INPUT and tensor.elem_type != TensorProto.FLOAT):
            raise _fail(Reason.INVALID_GRAPH, f"input {value.name[:80]} has the shape {sizes}")
    reached = {INPUT}  # by values: a shape alone carries none
    for node in model.graph.node:
        if node.op_type not in ("Shape", "Size") and not reached.isdisjoint(node.input):
            reached.update(node.output)
    if OUTPUT not in reached:
        raise _fail(Reason.INVALID_GRAPH, "the output does not depend on the input")


def _clean(model: onnx.ModelProto) -> None:
    """Remove what is not the network: claimed shapes, comments, metadata."""
    graph = model.graph
    for field in ("value_info", "quantization_annotation", "metadata_props"):
        graph.ClearField(field)  # pyright: ignore[reportArgumentType]
    for field in ("producer_name", "producer_version", "domain", "doc_string", "metadata_props"):
        model.ClearField(field)  # pyright: ignore[reportArgumentType]
    graph.name, graph.doc_string = "net", ""
    for node in graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")


def _derive(model: onnx.ModelProto, job: dict[str, Any]) -> dict[str, Any]:
    """Return the figures; the encoder checks the graph in full, at the batch sizes 1 and 3."""
    try:
        graph = encode.read(model, job["task"])
    except BatchError as error:
        raise _fail(Reason.BATCH_DEPENDENT, error) from None
    except encode.GraphError as error:
        raise _fail(Reason.INVALID_GRAPH, error) from None
    for what, value, limit in (
        ("operators", graph.node_count, job["max_nodes"]),
        ("parameters", graph.parameters, job["max_parameters"]),
        ("macs", graph.macs, job["max_macs"]),
    ):
        if value > limit:
            raise _fail(Reason.TOO_LARGE, f"{value} {what}, at most {limit}")
    if graph.outputs[0].shape != ((1, 0), (0, job["num_classes"])):
        raise _fail(Reason.WRONG_OUTPUT, f"the output is not (batch, {job['num_classes']})")
    return {
        "graph": graph.hash,
        "parameters": graph.parameters,
        "macs": graph.macs,
        "depth": graph.depth,
        "node_count": graph.node_count,
        "activation_bytes": graph.activation_bytes,
        "text": graph.text,
    }


def warm() -> None:
    """Load what the check needs once in the zygote."""
    node = onnx.helper.make_node("Relu", [INPUT], [OUTPUT])
    shape = ["batch", 4]
    graph = onnx.helper.make_graph(
        [node],
        "net",
        [onnx.helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    job = {"task": "", "in_shape": [4], "num_classes": 4}
    limits = {"max_nodes": 1, "max_parameters": 1, "max_macs": 1}
    report = check(json.dumps(job | limits).encode() + b"\n" + model.SerializeToString())
    if b'"reason"' in report:
        raise RuntimeError(f"the checker rejects a plain graph: {report!r}")
