"""How the two jailed jobs of the screen report a candidate that fails, and run its graph.

Standard library and onnxruntime; both jobs need them, and neither may import the other.
"""

import json

import onnxruntime

from evoprompt.candidate import Reason, Stage


class CandidateError(Exception):
    """The candidate fails: where and why."""

    def __init__(self, stage: Stage, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.stage = stage
        self.reason = reason

    def report(self) -> bytes:
        """Return the line of JSON that a job answers with."""
        failure = {"stage": self.stage, "reason": self.reason, "detail": str(self)[:2000]}
        return json.dumps(failure).encode() + b"\n"


def open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """Load a graph on one thread as it is: it runs twice, optimising it would cost more."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
