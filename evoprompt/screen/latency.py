"""How long a recorded graph takes for one example in onnxruntime, measured in a confined process.

In: a graph that the check has passed, and the task's shape. Out: the median of the runs at batch
size 1, on one thread, with onnxruntime's own optimisations; the weights are random constants, as
in a file that is deployed. Not promised: the latency on another machine, or beside other load.
"""

import json
import math
import statistics
import time
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from evoprompt.jail import Limits, Zygote

WARM_UP, RUNS = 5, 100
SECONDS = 2.0  # no further runs after that
_LIMITS = Limits(seconds=60.0, cpu_seconds=30, memory_mb=4096, output_bytes=1 << 16)
_INPUT = "input"


@dataclass(frozen=True)
class Latency:
    """How long one example takes."""

    milliseconds: float
    """Median."""
    runs: int


class LatencyMeter:
    """Holds the zygote in which graphs are timed; it starts with the first one.

    Args:
        unsafe: As for `Zygote`.
    """

    def __init__(self, unsafe: bool = False) -> None:
        self._zygote = Zygote([f"{__name__}:warm"], packages=["onnxruntime"], unsafe=unsafe)

    def measure(self, graph: bytes, in_shape: tuple[int, ...]) -> Latency | str:
        """Time a graph; returns why there is no figure, if there is none.

        Raises:
            JailError: The zygote does not start.
        """
        payload = json.dumps({"in_shape": list(in_shape)}).encode() + b"\n" + graph
        outcome = self._zygote.run(f"{__name__}:measure", payload, _LIMITS)
        if outcome.output is None:
            return outcome.detail
        return Latency(**json.loads(outcome.output))

    def close(self) -> None:
        """End the zygote."""
        self._zygote.close()


def measure(payload: bytes) -> bytes:
    """Return a line of JSON; the entry function of the timing job."""
    head, _, graph = payload.partition(b"\n")
    model = _with_weights(onnx.ModelProto.FromString(graph))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    shape = (1, *json.loads(head)["in_shape"])
    feeds = {_INPUT: rng.standard_normal(shape, dtype=np.float32)}
    seconds: list[float] = []
    begin = time.perf_counter()
    for run in range(WARM_UP + RUNS):
        started = time.perf_counter()
        session.run(None, feeds)
        ended = time.perf_counter()
        if run >= WARM_UP or ended - begin > SECONDS:
            seconds.append(ended - started)
        if ended - begin > SECONDS:
            break
    milliseconds = 1000 * statistics.median(seconds)
    return json.dumps({"milliseconds": milliseconds, "runs": len(seconds)}).encode()


def _with_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make every weight a constant of small random numbers."""
    rng = np.random.default_rng(0)
    doors = list(model.graph.input)
    del model.graph.input[:]
    for door in doors:
        if door.name == _INPUT:
            model.graph.input.append(door)
            continue
        tensor = door.type.tensor_type
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if np.issubdtype(kind, np.floating):
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else 10
            values = (rng.uniform(0.5, 1.5, shape) / fan_in).astype(kind)
        else:
            values = np.zeros(shape, kind)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, door.name))
    return model


def warm() -> None:
    """Run a small graph once in the zygote."""
    make = onnx.helper.make_tensor_value_info
    shape = ["batch", 4]
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", [_INPUT, "w"], ["logits"])],
        "net",
        [make(_INPUT, float32, shape), make("w", float32, [4])],
        [make("logits", float32, shape)],
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    measure(b'{"in_shape": [4]}\n' + model.SerializeToString())
