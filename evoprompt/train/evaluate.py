"""Measure: the recorded graph with the trained weights, in onnxruntime, by trusted code.

In: the ONNX graph whose weights are graph inputs, the safetensors that training sent back, and
inputs. Out: logits, and from them which examples are right. onnxruntime runs in a jailed process of
its own, one for each measurement: a crash there is a rejected candidate and nothing more, and it
never sees a label. Weights are data: safetensors only, and they must fit the graph exactly. A graph
that reads an example's company in its batch is rejected: it could learn from the examples it is
measured on.
"""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np

from evoprompt.candidate import Reason, Rejected, Stage, rejected
from evoprompt.jail import JailPool, Limits, Outcome
from evoprompt.train.message import BadMessageError, pack, unpack

if TYPE_CHECKING:
    import onnx
    import onnxruntime

BATCH_SIZE = 500
CHECKED_COUNT = 64  # examples that are run again, beside others
CHECKED_BATCH_SIZE = 7
ROW_TOLERANCE = 1e-3  # between an example's logits in two batches, of the largest logit
CHANGED_SHARE = 1 / 16  # rounding and argmax may tip over for a few examples
SECONDS_LIMIT = 120.0
MEMORY_MB = 4096
INPUT_NAME = "input"
_IGNORED = "num_batches_tracked"  # BatchNorm's counter: in every state dict, in no graph
_ENTRY = "evoprompt.train.evaluate:run_graph"
_KILLED = {
    "wall": Reason.TIME_LIMIT,
    "cpu": Reason.TIME_LIMIT,
    "memory": Reason.MEMORY_LIMIT,
    "output": Reason.TRAIN_ERROR,
    "crash": Reason.CRASHED,
}


def wanted_weights(graph: bytes) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """The weights that a recorded graph takes as inputs: name -> dtype and shape."""
    import onnx

    return {
        value.name: _dtype_and_shape(value)
        for value in _weight_inputs(onnx.ModelProto.FromString(graph))
    }


def _weight_inputs(model: "onnx.ModelProto") -> list["onnx.ValueInfoProto"]:
    given = {tensor.name for tensor in model.graph.initializer}
    return [
        value for value in model.graph.input if value.name != INPUT_NAME and value.name not in given
    ]


def _dtype_and_shape(value: "onnx.ValueInfoProto") -> tuple[np.dtype, tuple[int, ...]]:
    import onnx

    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return np.dtype(dtype), tuple(axis.dim_value for axis in tensor.shape.dim)


def put_weights(graph: bytes, weights: Mapping[str, np.ndarray]) -> bytes | Rejected:
    """Return the graph with the weights inside, or BAD_WEIGHTS with the first difference.

    Names, dtypes and shapes must be those of the graph's inputs; only `input` stays an input.
    """
    import onnx

    model = onnx.ModelProto.FromString(graph)
    inputs = _weight_inputs(model)
    for value in inputs:
        wrong = _difference(value.name, _dtype_and_shape(value), weights.get(value.name))
        if wrong:
            return rejected(Stage.TRAIN, Reason.BAD_WEIGHTS, wrong)
    names = {value.name for value in inputs}
    extra = sorted(name for name in weights if name not in names and not name.endswith(_IGNORED))
    if extra:
        wrong = f"'{extra[0]}' is not in the graph"
        return rejected(Stage.TRAIN, Reason.BAD_WEIGHTS, wrong)
    kept = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for name in sorted(names):
        array = np.ascontiguousarray(weights[name]).reshape(weights[name].shape)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model.SerializeToString(deterministic=True)


def _difference(
    name: str, wanted: tuple[np.dtype, tuple[int, ...]], weight: np.ndarray | None
) -> str:
    """What is wrong with a weight, or nothing."""
    dtype, shape = wanted
    if weight is None:
        return f"'{name}' is missing"
    if weight.shape != shape:
        return f"'{name}' has shape {weight.shape}, the graph {shape}"
    if weight.dtype != dtype:
        return f"'{name}' is {weight.dtype}, the graph's is {dtype}"
    return ""


def read_weights(data: bytes) -> dict[str, np.ndarray] | Rejected:
    """Parse safetensors; whatever else it is, a pickle above all, is BAD_WEIGHTS."""
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        what = "a pickle or zip archive" if data[:1] == b"\x80" or data[:2] == b"PK" else str(error)
        return rejected(Stage.TRAIN, Reason.BAD_WEIGHTS, f"not safetensors: {what}")


def warm() -> None:
    """Called once in the zygote: the imports that a measurement needs, and no session."""
    import onnx
    import onnxruntime
    import safetensors.numpy

    onnxruntime.set_default_logger_severity(4)
    assert onnx.__name__
    assert safetensors.numpy.__name__


def run_graph(payload: bytes) -> bytes:
    """The jail's entry: graph, weights and x in, float32 logits (N, num_classes) out."""
    header, (graph, weight_bytes, x_bytes) = unpack(payload)
    weights = read_weights(weight_bytes)
    if isinstance(weights, Rejected):
        return _refused(weights)
    model = put_weights(graph, weights)
    if isinstance(model, Rejected):
        return _refused(model)
    x = np.load(io.BytesIO(x_bytes), allow_pickle=False)
    logits = _measured(model, x, header["num_classes"])
    return _refused(logits) if isinstance(logits, Rejected) else pack({}, logits.tobytes())


def _refused(why: Rejected) -> bytes:
    return pack({"reason": why.reason.value, "detail": why.detail})


def _measured(model: bytes, x: np.ndarray, num_classes: int) -> np.ndarray | Rejected:
    """Run the model on all of x, and on some examples again in other company."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # As the graph stands: onnxruntime 1.31 merges a Pad with zeros into the MaxPool behind it.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        logits = _logits(session, x, num_classes, BATCH_SIZE)
        if isinstance(logits, Rejected):
            return logits
        rows = np.random.default_rng(0).permutation(len(x))[:CHECKED_COUNT]
        again = _logits(session, x[rows], num_classes, CHECKED_BATCH_SIZE)
    except Exception as error:  # the wall: onnxruntime's errors have no common base
        return rejected(Stage.TRAIN, Reason.INVALID_GRAPH, f"onnxruntime: {error}")
    if isinstance(again, Rejected):
        return again
    changed = changed_rows(logits[rows], again)
    if changed.mean() > CHANGED_SHARE:
        detail = (
            f"the logits of {changed.sum()} of {len(rows)} examples change with the others in "
            "their batch"
        )
        return rejected(Stage.TRAIN, Reason.BATCH_DEPENDENT, detail)
    return logits


def _logits(
    session: "onnxruntime.InferenceSession", x: np.ndarray, num_classes: int, batch_size: int
) -> np.ndarray | Rejected:
    """Run the session in batches; each must give one row of logits for each example."""
    parts = []
    for start in range(0, len(x), batch_size):
        batch = x[start : start + batch_size]
        part = np.asarray(session.run(None, {INPUT_NAME: batch})[0])
        if part.shape != (len(batch), num_classes):
            detail = f"the output has shape {part.shape}, expected {(len(batch), num_classes)}"
            return rejected(Stage.TRAIN, Reason.BATCH_DEPENDENT, detail)
        parts.append(part)
    return np.concatenate(parts).astype(np.float32)


def changed_rows(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which examples got other logits beyond what float arithmetic explains, bool (N,)."""
    finite = first[np.isfinite(first)]
    tolerance = ROW_TOLERANCE * max(1e-6, float(np.abs(finite).max(initial=0.0)))
    is_same = np.isclose(first, second, rtol=0.0, atol=tolerance, equal_nan=True)
    return np.asarray(~is_same.all(axis=1))


def correct(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which examples are right, bool (N,); a row with NaN or infinity is wrong."""
    return np.isfinite(logits).all(axis=1) & (logits.argmax(axis=1) == y)


def npy(array: np.ndarray) -> bytes:
    """An array as the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def why_killed(outcome: Outcome) -> Rejected:
    """The rejection for a jailed process that ended without an answer."""
    reason = _KILLED.get(outcome.killed or "crash", Reason.CRASHED)
    return rejected(Stage.TRAIN, reason, outcome.detail)


class Evaluator:
    """A jail for onnxruntime; `close` it, or use it in a `with`. `unsafe` as in `JailPool`."""

    def __init__(self, unsafe: bool = False) -> None:
        self._pool = JailPool(1, ["evoprompt.train.evaluate:warm"], unsafe=unsafe)
        self._pool.__enter__()

    def logits(
        self, graph: bytes, weights: bytes, x: np.ndarray, num_classes: int
    ) -> np.ndarray | Rejected:
        """Logits (N, num_classes) of the graph with these safetensors on x (N, *in_shape)."""
        size = 4 * len(x) * num_classes
        limits = Limits(SECONDS_LIMIT, int(SECONDS_LIMIT), MEMORY_MB, size + (1 << 16), 0)
        payload = pack({"num_classes": num_classes}, graph, weights, npy(x))
        ((_, outcome),) = self._pool.imap([(_ENTRY, payload, limits)])
        if outcome.output is None:
            return why_killed(outcome)
        try:
            header, parts = unpack(outcome.output)
            if "reason" in header:
                return rejected(Stage.TRAIN, Reason(header["reason"]), header["detail"])
            return np.frombuffer(parts[0], np.float32).reshape(len(x), num_classes)
        except (BadMessageError, ValueError, KeyError, IndexError) as error:
            return rejected(Stage.TRAIN, Reason.CRASHED, f"no measurement came back: {error}")

    def close(self) -> None:
        """End the jail."""
        self._pool.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
