"""A graph in onnxruntime, on one thread, as it is: for graphs that run a few times only."""

import onnxruntime


def open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """Load a graph without optimising it, which would cost more than a few runs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
