"""In the jail: run a candidate's source, build it, record its graph.

In: JSON with the source, the task's shape and the parameter limit. Out: one JSON line (empty, or
why the candidate fails) and, if it does not, ONNX bytes whose weights are inputs under the names
of the module's own state dict. This process runs hostile code: nothing that it says is believed;
`check` derives every figure from the bytes.
"""

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
from evoprompt.screen import export, initial
from evoprompt.screen.failure import CandidateError
from evoprompt.screen.recorder import (
    BATCHES,
    BatchDependentError,
    UnsupportedError,
)
from evoprompt.screen.recorder import (
    record as record_graph,
)
from evoprompt.screen.rules import quote

_FILE = "<candidate>"
_DOORS = frozenset({"input", "logits"})
_ROW_TOLERANCE = 1e-3  # between an example's logits alone and in a batch, of their largest
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
    warnings.simplefilter("ignore")
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX form
    torch.backends.mkldnn.set_flags(_enabled=False)  # it compiles a kernel for every new shape
    initial.install()
    job = {"source": _WARM, "in_shape": [1, 12], "num_classes": 3, "max_parameters": 10**6}
    for _ in range(2):  # the second time nothing is left to be made
        if not record(json.dumps(job).encode()).startswith(b"{}"):
            raise RuntimeError("the recorder rejects a plain network")
    export.warm()


def record(payload: bytes) -> bytes:
    """Return a line of JSON and the ONNX bytes; the entry function of the recording job."""
    job = json.loads(payload)
    try:
        graph = _record(job)
    except CandidateError as error:
        return error.report()
    return b"{}\n" + graph


def _record(job: dict[str, Any]) -> bytes:
    source, in_shape = job["source"], tuple(job["in_shape"])
    torch.default_generator.manual_seed(0)  # torch.manual_seed asks every kind of device as well
    net = _build(source, in_shape, job["num_classes"])
    _check_doors(net)
    rows_BX = torch.randn(max(BATCHES), *in_shape)
    with torch.no_grad():
        _fill_lazy_layers(source, net, rows_BX, job["num_classes"])
        count = sum(parameter.numel() for parameter in net.parameters())
        if count > job["max_parameters"]:
            detail = f"{count} parameters, at most {job['max_parameters']}"
            raise CandidateError(Stage.BUILD, Reason.TOO_LARGE, detail)
        return _graph(source, net, rows_BX, job["num_classes"])


def _fill_lazy_layers(source: str, net: nn.Module, rows_BX: torch.Tensor, num_classes: int) -> None:
    """Call the net once if its weights wait for that."""
    if not _empty_weights(net):
        return
    clone = rows_BX.clone()
    logits = attempt(source, Stage.FORWARD, Reason.FORWARD_ERROR, lambda: net(clone))
    _check_logits(logits, len(rows_BX), num_classes)
    unused = _empty_weights(net)
    if unused:
        detail = f"a lazy layer that forward never calls: {unused[0].rpartition('.')[0]}"
        raise CandidateError(Stage.FORWARD, Reason.FORWARD_ERROR, detail)


def _empty_weights(net: nn.Module) -> list[str]:
    lazy = nn.UninitializedParameter
    return [name for name, weight in net.named_parameters() if isinstance(weight, lazy)]


def _graph(source: str, net: nn.Module, rows_BX: torch.Tensor, num_classes: int) -> bytes:
    """Record; where the recorder has no rule, take torch's exporter, or give the rule's name."""
    inputs: dict[int, torch.Tensor] = {}
    answers: dict[int, torch.Tensor] = {}

    def rows(batch: int) -> tuple[torch.Tensor, ...]:
        inputs[batch] = rows_BX[-batch:].clone()
        return (inputs[batch],)

    def look(logits_BK: Any, batch: int) -> None:
        _check_logits(logits_BK, batch, num_classes)
        answers[batch] = logits_BK

    try:
        model = _blamed(source, lambda: record_graph(net, rows, look).model)
    except UnsupportedError as error:
        if any(tensor._version for tensor in inputs.values()):
            detail = "forward writes into its input x in place; work on a copy (x = x + ..., clone)"
            raise CandidateError(Stage.FORWARD, Reason.CHANGES_INPUT, detail) from None
        if not error.may_be_exported:
            raise CandidateError(
                Stage.EXPORT, Reason.UNSUPPORTED_OPERATION, f"no graph holds this: {error}"
            ) from None
        return export.fall_back(net, rows_BX, str(error))
    _check_rows([answers[batch] for batch in BATCHES])
    return model.SerializeToString()


def _blamed(source: str, action: Callable[[], _Result]) -> _Result:
    """Record; what the candidate's own code raises becomes a rejection."""
    try:
        return action()
    except (UnsupportedError, CandidateError):
        raise
    except BatchDependentError as error:
        cause = f": {blame(error.__cause__, source)}" if error.__cause__ else ""
        detail = f"{error}{cause}"
        raise CandidateError(Stage.FORWARD, Reason.BATCH_DEPENDENT, detail) from None
    except BaseException as error:  # the wall: whatever the candidate raises is recorded
        raise _failure(error, source, Stage.FORWARD, Reason.FORWARD_ERROR) from None


def attempt(source: str, stage: Stage, reason: Reason, action: Callable[[], _Result]) -> _Result:
    """Do something that runs the candidate's code; turn what it raises into a rejection."""
    try:
        return action()
    except BaseException as error:  # the wall: whatever the candidate raises is recorded
        raise _failure(error, source, stage, reason) from None


def _failure(error: BaseException, source: str, stage: Stage, reason: Reason) -> Exception:
    if _is_out_of_memory(error):
        return MemoryError()
    return CandidateError(stage, reason, blame(error, source))


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

    net = attempt(source, Stage.BUILD, Reason.BUILD_ERROR, build)
    if not isinstance(net, nn.Module):
        detail = f"Net(in_shape, num_classes).eval() is a {type(net).__name__}, not an nn.Module"
        raise CandidateError(Stage.BUILD, Reason.BUILD_ERROR, detail)
    return net


def _check_doors(net: nn.Module) -> None:
    """A trained state dict is put into the graph by name later: no weight may be called a door."""
    if _DOORS & (net._parameters.keys() | net._buffers.keys()):
        detail = "a parameter of Net may not be called input or logits"
        raise CandidateError(Stage.EXPORT, Reason.INVALID_GRAPH, detail)


def _check_logits(logits_BK: object, batch: int, num_classes: int) -> None:
    wanted = f"expected a float32 tensor of shape (batch, {num_classes})"
    if not isinstance(logits_BK, torch.Tensor):
        detail = f"forward returned a {type(logits_BK).__name__}; {wanted}"
        raise CandidateError(Stage.FORWARD, Reason.WRONG_OUTPUT, detail)
    shape = tuple(logits_BK.shape)
    kind = str(logits_BK.dtype).removeprefix("torch.")
    if shape == (batch, num_classes) and kind != "float32":
        detail = f"forward returned {kind}; {wanted}"
        raise CandidateError(Stage.FORWARD, Reason.WRONG_OUTPUT, detail)
    if shape != (batch, num_classes):
        detail = f"forward returned {kind} of shape {shape} for a batch of {batch}; {wanted}"
        is_of_batch = shape[1:] == (num_classes,) or batch != BATCHES[0]
        reason = Reason.BATCH_DEPENDENT if is_of_batch else Reason.WRONG_OUTPUT
        raise CandidateError(Stage.FORWARD, reason, detail)
    if logits_BK.device.type != "cpu":
        detail = f"forward returned a tensor on {logits_BK.device.type}; {wanted} on the CPU"
        raise CandidateError(Stage.FORWARD, Reason.WRONG_OUTPUT, detail)
    if not math.isfinite(float(logits_BK.abs().sum())):
        detail = "forward returned NaN or infinity for a standard normal input"
        raise CandidateError(Stage.FORWARD, Reason.NOT_FINITE, detail)


def _check_rows(answers: list[torch.Tensor]) -> None:
    """The last example's logits must not depend on what else is in its batch."""
    ours_K, theirs_K = (logits_BK[-1] for logits_BK in answers)
    scale = max(1e-6, float(theirs_K.abs().max()))
    difference = float((ours_K - theirs_K).abs().max())
    if difference > _ROW_TOLERANCE * scale:
        detail = (
            f"an example's logits change by {difference:.3g} with the others in its batch, "
            "or from one call to the next"
        )
        raise CandidateError(Stage.FORWARD, Reason.BATCH_DEPENDENT, detail)
