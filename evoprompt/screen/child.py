"""In the jail: run a candidate's source, build it, call it once, record its graph.

In: JSON with the source, the task's shape and the parameter limit. Out: one JSON line (empty, or
why the candidate fails) and, if it does not, ONNX bytes whose weights are inputs under the names
of the module's own state dict. This process runs hostile code: nothing that it says is believed;
`check` derives every figure from the bytes.
"""

import io
import json
import math
import traceback
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from evoprompt.candidate import Reason, Stage
from evoprompt.jail.job import describe
from evoprompt.screen.rules import quote

OPSET = 20  # the newest that the exporter knows; Gelu and LayerNormalization are one node
_FILE = "<candidate>"
_WARM = """
import torch.nn as nn
class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.stem = nn.Sequential(nn.LazyConv1d(4, 3), nn.LazyBatchNorm1d(), nn.ReLU())
        self.cell = nn.GRU(4, 4, batch_first=True, bidirectional=True)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Sequential(nn.GELU(), nn.Flatten(), nn.LazyLinear(num_classes))
    def forward(self, x):
        x, _ = self.cell(self.stem(x).transpose(1, 2))
        return self.head(self.norm(x + self.mix(x, x, x, need_weights=False)[0]))
"""
_Result = TypeVar("_Result")


class CandidateError(Exception):
    """The candidate fails: where and why."""

    def __init__(self, stage: Stage, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.stage = stage
        self.reason = reason


def warm() -> None:
    """Import and trace once in the zygote, so that its children find everything ready."""
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX form
    payload = {"source": _WARM, "in_shape": [1, 12], "num_classes": 3, "max_parameters": 10**6}
    record(json.dumps(payload).encode())


def record(payload: bytes) -> bytes:
    """Return a line of JSON and the ONNX bytes; the entry function of the recording job."""
    job = json.loads(payload)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = _record(job)
    except CandidateError as error:
        failure = {"stage": error.stage, "reason": error.reason, "detail": str(error)}
        return json.dumps(failure).encode() + b"\n"
    return b"{}\n" + graph


def _record(job: dict[str, Any]) -> bytes:
    source, in_shape = job["source"], tuple(job["in_shape"])
    torch.manual_seed(0)
    net = _build(source, in_shape, job["num_classes"])
    input_BX = torch.randn(2, *in_shape)
    with torch.no_grad():
        logits_BK = _attempt(source, Stage.FORWARD, Reason.FORWARD_ERROR, lambda: net(input_BX))
        _check_logits(logits_BK, job["num_classes"])
        count = sum(parameter.numel() for parameter in net.parameters())
        if count > job["max_parameters"]:
            detail = f"{count} parameters, at most {job['max_parameters']}"
            raise CandidateError(Stage.BUILD, Reason.TOO_LARGE, detail)
        _plain_buffers(net)
        return _export(source, net, input_BX)


def _attempt(source: str, stage: Stage, reason: Reason, action: Callable[[], _Result]) -> _Result:
    """Do something that runs the candidate's code; turn what it raises into a rejection."""
    try:
        return action()
    except BaseException as error:  # the wall: whatever the candidate raises is recorded
        if _is_out_of_memory(error):
            raise MemoryError from None
        raise CandidateError(stage, reason, blame(error, source)) from None


def _is_out_of_memory(error: BaseException) -> bool:
    texts = ("can't allocate memory", "not enough memory", "bad_alloc", "out of memory")
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in describe(error) for text in texts)


def blame(error: BaseException, source: str) -> str:
    """Return "line 14: `x = self.conv(y)`: NameError: ..." for the candidate's innermost line."""
    number = error.lineno if isinstance(error, SyntaxError) else None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == _FILE:
            number = line
    return quote(source.split("\n"), number) + " ".join(describe(error).split())


def _build(source: str, in_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    try:
        code = compile(source, _FILE, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CandidateError(Stage.PARSE, Reason.SYNTAX, blame(error, source)) from None

    def build() -> object:
        names: dict[str, Any] = {"__name__": "candidate"}
        exec(code, names)
        return names["Net"](in_shape, num_classes).eval()

    net = _attempt(source, Stage.BUILD, Reason.BUILD_ERROR, build)
    if not isinstance(net, nn.Module):
        detail = f"Net(in_shape, num_classes).eval() is a {type(net).__name__}, not an nn.Module"
        raise CandidateError(Stage.BUILD, Reason.BUILD_ERROR, detail)
    return net


def _check_logits(logits_BK: object, num_classes: int) -> None:
    wanted = f"expected a float32 tensor of shape (batch, {num_classes})"
    if not isinstance(logits_BK, torch.Tensor):
        detail = f"forward returned a {type(logits_BK).__name__}; {wanted}"
        raise CandidateError(Stage.FORWARD, Reason.WRONG_OUTPUT, detail)
    shape = tuple(logits_BK.shape)
    if shape != (2, num_classes) or logits_BK.dtype != torch.float32:
        kind = str(logits_BK.dtype).removeprefix("torch.")
        detail = f"forward returned {kind} of shape {shape} for a batch of 2; {wanted}"
        raise CandidateError(Stage.FORWARD, Reason.WRONG_OUTPUT, detail)
    if not math.isfinite(float(logits_BK.abs().sum())):
        detail = "forward returned NaN or infinity for a standard normal input"
        raise CandidateError(Stage.FORWARD, Reason.NOT_FINITE, detail)


def _plain_buffers(net: nn.Module) -> None:
    """Make non-persistent buffers constants: they have no name in the state dict."""
    for module in net.modules():
        for name in list(module._non_persistent_buffers_set):
            value = module._buffers.pop(name, None)
            module._non_persistent_buffers_set.discard(name)
            object.__setattr__(module, name, value)


def _export(source: str, net: nn.Module, input_BX: torch.Tensor) -> bytes:
    """Return ONNX bytes; the only place that knows the exporter."""
    file = io.BytesIO()
    net.eval()

    def export() -> None:
        torch.onnx.export(
            net,
            (input_BX,),
            file,  # pyright: ignore[reportArgumentType]
            dynamo=False,
            export_params=False,
            keep_initializers_as_inputs=True,  # else equal weights, such as zeros, become one
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # else BatchNorm is folded away
            opset_version=OPSET,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )

    _attempt(source, Stage.EXPORT, Reason.UNSUPPORTED_OPERATION, export)
    return file.getvalue()
