"""Trusted code on hostile bytes: is this the graph of one network, and what are its figures?

In: ONNX bytes as a candidate's process submitted them, the task's shape and the limits. Out: one
JSON line (why it is rejected, or its figures) and the cleaned ONNX bytes. It runs in a jail too,
for the sake of its limits: a small file can ask onnxruntime for much memory and time. Not
promised: that the graph is what the candidate's code does in training; the graph is the candidate.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from evoprompt.candidate import Reason, Stage
from evoprompt.jail.job import describe
from evoprompt.screen.failure import CandidateError, open_session

GRAPH_BYTES = 4 << 20
INPUT, OUTPUT = "input", "logits"
_BATCHES = (1, 3)  # the graph was recorded with 2
_ROW_TOLERANCE = 1e-3  # between an example's logits alone and in a batch, of their largest
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RANDOM = frozenset(
    {
        "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
        "Bernoulli", "Multinomial",
    }
)  # fmt: skip


def check(payload: bytes) -> bytes:
    """Return a line of JSON and the cleaned ONNX bytes; the entry function of the checking job.

    The payload is a line of JSON (in_shape, num_classes, max_parameters, max_macs) and the bytes.
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
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise _fail(Reason.INVALID_GRAPH, describe(error)) from None
    clean = _clean(model)
    figures = _derive(clean, job)
    if isinstance(figures, CandidateError) and figures.reason is Reason.TOO_LARGE:
        raise figures
    for batch in _BATCHES:
        _check_shape(model, batch, job["num_classes"])
    _check_values(clean, model, tuple(job["in_shape"]), job["num_classes"])
    if isinstance(figures, CandidateError):  # whose batch axis is broken, fails above by name
        raise figures
    return figures, clean


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


def _clean(model: onnx.ModelProto) -> bytes:
    """Return the bytes without what is not the network: claimed shapes, comments, metadata."""
    graph = model.graph
    for field in ("value_info", "quantization_annotation", "metadata_props"):
        graph.ClearField(field)  # pyright: ignore[reportArgumentType]
    for field in ("producer_name", "producer_version", "domain", "doc_string", "metadata_props"):
        model.ClearField(field)  # pyright: ignore[reportArgumentType]
    graph.name, graph.doc_string = "net", ""
    for node in graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    return model.SerializeToString(deterministic=True)


def _derive(clean: bytes, job: dict[str, Any]) -> dict[str, Any] | CandidateError:
    """Return parameters, MACs, depth, hash and text, or why there are none."""
    from surrogate import encode

    try:
        graph = encode.read(clean)
    except encode.GraphError as error:
        return _fail(Reason.UNSUPPORTED_OPERATION, error)
    for what, limit in (("parameters", job["max_parameters"]), ("macs", job["max_macs"])):
        value = getattr(graph, what)
        if value > limit:
            return _fail(Reason.TOO_LARGE, f"{value} {what}, at most {limit}")
    return {
        "graph": graph.hash,
        "parameters": int(graph.parameters),
        "macs": int(graph.macs),
        "depth": int(graph.depth),
        "node_count": int(graph.node_count),
        "text": graph.text,
    }


def _check_shape(model: onnx.ModelProto, batch: int, num_classes: int) -> None:
    """Infer all shapes at one batch size; the output's must be (batch, num_classes)."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    fixed.graph.output[0].type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise _fail(Reason.BATCH_DEPENDENT, f"at batch size {batch}: {describe(error)}") from None
    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    shape = [dim.dim_value for dim in dims]
    # 0 is a size that inference leaves open; the run below decides it.
    if dims and any(
        size not in (0, want) for size, want in zip(shape, (batch, num_classes), strict=False)
    ):
        raise _fail(Reason.BATCH_DEPENDENT, f"at batch size {batch} the output is {shape}")


def _check_values(
    clean: bytes, model: onnx.ModelProto, in_shape: tuple[int, ...], num_classes: int
) -> None:
    """Run at two batch sizes: right shapes, finite, and an example's logits its own affair."""
    try:
        session = open_session(clean)
    except Exception as error:  # onnxruntime raises classes of a private module
        raise _fail(Reason.UNSUPPORTED_OPERATION, describe(error)) from None
    rng = np.random.default_rng(0)
    feeds = _weights(model, rng)
    input_BX = rng.standard_normal((max(_BATCHES), *in_shape), dtype=np.float32)
    outputs = []
    for batch in _BATCHES:
        try:
            logits_BK = np.asarray(session.run(None, {**feeds, INPUT: input_BX[-batch:]})[0])
        except Exception as error:  # onnxruntime raises classes of a private module
            detail = f"at batch size {batch}: {describe(error)}"
            raise _fail(Reason.BATCH_DEPENDENT, detail) from None
        if logits_BK.shape != (batch, num_classes):
            detail = f"at batch size {batch} the output is {list(logits_BK.shape)}"
            raise _fail(Reason.BATCH_DEPENDENT, detail)
        if not np.isfinite(logits_BK).all():
            raise _fail(Reason.NOT_FINITE, f"NaN or infinity at batch size {batch}")
        outputs.append(logits_BK)
    scale = max(1e-6, float(np.abs(outputs[0]).max()))
    difference = float(np.abs(outputs[1][-1] - outputs[0][-1]).max())
    if difference > _ROW_TOLERANCE * scale:
        detail = f"an example's logits change by {difference:.3g} with the others in its batch"
        raise _fail(Reason.BATCH_DEPENDENT, detail)


def _weights(model: onnx.ModelProto, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Positive weights whose sums keep the scale: roots and logarithms of them are finite."""
    feeds = {}
    for value in model.graph.input[1:]:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if np.issubdtype(kind, np.floating):
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else 10
            feeds[value.name] = (rng.uniform(0.5, 1.5, shape) / fan_in).astype(kind)
        else:  # a mask or an index
            feeds[value.name] = np.zeros(shape, kind) if kind != np.bool_ else np.ones(shape, kind)
    return feeds


def warm() -> None:
    """Load what the check needs once in the zygote."""
    from surrogate import encode

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
    job = {"in_shape": [4], "num_classes": 4, "max_parameters": 1, "max_macs": 1}
    report = check(json.dumps(job).encode() + b"\n" + model.SerializeToString())
    if b'"reason"' in report:
        raise RuntimeError(f"{encode.__name__} or onnxruntime rejects a plain graph: {report!r}")
