"""Runs a recorded graph in onnxruntime with the module's own weights and compares with torch.

Shared by the battery and the zoo. The tolerance is absolute, scaled by the largest number of the
answer if that is above one; whole numbers and flags must be equal.
"""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

TOLERANCE = 1e-4
Inputs = Callable[[int], tuple[Tensor, ...]]


def check_graph(net: nn.Module, model: onnx.ModelProto, inputs: Inputs, *batches: int) -> None:
    """Assert that the graph is valid and gives torch's answer at these batch sizes."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # As the screen runs graphs. With its optimizations onnxruntime 1.31 makes a zero Pad before a
    # MaxPool one of minus infinity, and cannot move a Transpose through a cubic Resize.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    doors = [door.name for door in session.get_inputs()]
    own = dict(_tensors(net))
    given = [name for name in doors if name == "input" or name.startswith("input_")]
    weights = {name: own[name].numpy() for name in doors if name not in given}
    for batch in batches:
        tensors = inputs(batch)
        with torch.no_grad():
            expected = net(*tensors)
        feeds = {name: tensor.numpy() for name, tensor in zip(given, tensors, strict=False)}
        [answer] = session.run(["logits"], {**weights, **feeds})
        _check_equal(expected, np.asarray(answer), batch)


def _tensors(net: nn.Module):
    """The state dict, with tensors that share memory under each of their names."""
    for name, tensor in net.state_dict(keep_vars=True).items():
        yield name, tensor.detach()


def _check_equal(expected: Tensor, answer: np.ndarray, batch: int) -> None:
    wanted = expected.numpy()
    assert answer.shape == wanted.shape, f"{answer.shape} for {wanted.shape} at batch size {batch}"
    assert answer.dtype == wanted.dtype
    if not np.issubdtype(wanted.dtype, np.floating):
        assert np.array_equal(answer, wanted), f"other whole numbers at batch size {batch}"
        return
    assert np.array_equal(np.isnan(answer), np.isnan(wanted)), f"NaN at batch size {batch}"
    answer, wanted = np.nan_to_num(answer), np.nan_to_num(wanted)
    scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    difference = float(np.abs(answer.astype(np.float64) - wanted).max(initial=0.0))
    assert difference <= TOLERANCE * scale, f"{difference:.2g} of {scale:.2g} at batch size {batch}"
