"""In the jail: run a candidate's source, build it, call it once, record its graph.

In: JSON with the source, the task's shape and the parameter limit. Out: one JSON line (empty, or
why the candidate fails) and, if it does not, ONNX bytes whose weights are inputs under the names
of the module's own state dict. This process runs hostile code: nothing that it says is believed;
`check` derives every figure from the bytes.
"""

import json
import math
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from evoprompt.candidate import Reason, Stage
from evoprompt.jail.job import describe
from evoprompt.screen.export import export, stop_holes
from evoprompt.screen.failure import CandidateError, open_session
from evoprompt.screen.rules import quote

_FILE = "<candidate>"
_TOLERANCE = 1e-3  # between the logits of the module and of its graph, of their largest
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


def warm() -> None:
    """Import and trace once in the zygote, so that its children find everything ready."""
    torch.set_num_threads(1)
    stop_holes()
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
        return error.report()
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
        net.eval()
        graph = _attempt(
            source, Stage.EXPORT, Reason.UNSUPPORTED_OPERATION, lambda: export(net, input_BX)
        )
        _compare(source, net, graph, torch.randn(3, *in_shape))
        return graph


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
    text = " ".join(describe(error, 1000).split())
    if "Cannot insert a Tensor that requires grad as a constant" in text:
        text = "weights that are no part of the module: put the layers of a list in nn.ModuleList"
    for noise in (" Please feel free to request", " [Caused by"):
        text = text.partition(noise)[0]
    return quote(source.split("\n"), number) + text[:300]


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


def _compare(source: str, net: nn.Module, graph: bytes, input_BX: torch.Tensor) -> None:
    """Run graph and module on a batch of another size: exporters have silent errors."""

    def run() -> torch.Tensor:
        return net(input_BX)

    logits_BK = _attempt(source, Stage.FORWARD, Reason.BATCH_DEPENDENT, run)
    weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    try:
        session = open_session(graph)
        names = [door.name for door in session.get_inputs()[1:]]
        _check_names(names, weights)
        feeds = {name: weights[name] for name in names}
        found = session.run(None, {**feeds, "input": input_BX.numpy()})[0]
        difference = float((logits_BK - torch.as_tensor(found)).abs().max())
    except CandidateError:
        raise
    except Exception as error:  # onnxruntime raises classes of a private module
        detail = " ".join(describe(error).split())
        raise CandidateError(Stage.EXPORT, Reason.BATCH_DEPENDENT, detail) from None
    if not difference <= _TOLERANCE * max(1.0, float(logits_BK.abs().max())):
        detail = f"the recorded graph differs from the module by {difference:.3g}"
        if not torch.equal(logits_BK, run()):
            detail = "forward gives other logits when it is called again in eval mode"
        raise CandidateError(Stage.EXPORT, Reason.UNSUPPORTED_OPERATION, detail)


def _check_names(names: list[str], weights: Mapping[str, object]) -> None:
    """A trained state dict is put into the graph by name later: every name has to be there."""
    strange = [name for name in names if name not in weights]
    if strange:
        detail = f"weights that the state dict does not name: {', '.join(strange)}"
        if {"input", "logits"} & set(weights):
            detail = "a parameter of Net may not be called input or logits"
        raise CandidateError(Stage.EXPORT, Reason.INVALID_GRAPH, detail)
