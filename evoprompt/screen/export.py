"""The way round: module -> ONNX bytes by torch's tracing exporter, where the recorder has no rule.

The only place that knows the exporter. It costs ten times the recorder and is silently wrong at
times, so the graph is run here and compared with the module at a batch size that it has not seen.
In and out as in `child`: weights are graph inputs under the names of the state dict, the batch axis
is free, BatchNorm stays visible; `surrogate.encode` brings both routes to one canonical form.
"""

import io
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from evoprompt.candidate import Reason, Stage
from evoprompt.jail.job import describe
from evoprompt.screen.failure import CandidateError
from evoprompt.screen.session import open_session

OPSET = 20  # the newest that the exporter knows; Gelu and LayerNormalization are one node
_TOLERANCE = 1e-3  # between the logits of the module and of its graph, of their largest
_EXPORTED, _COMPARED = 2, 3  # batch sizes


def warm() -> None:
    """Import in the zygote what an export needs."""
    export(nn.Linear(2, 2).eval(), torch.zeros(_EXPORTED, 2))


def fall_back(net: nn.Module, rows_BX: torch.Tensor, operation: str) -> bytes:
    """Return the exporter's graph, or reject the candidate for the operation without a rule."""
    stop_holes()
    _plain_buffers(net)
    try:
        graph = export(net, rows_BX[:_EXPORTED].clone())
        _compare(net, graph, rows_BX[:_COMPARED].clone())
    except CandidateError:
        raise
    except MemoryError:
        raise
    except BaseException as error:  # the wall: torch's, onnxruntime's and the candidate's errors
        why = " ".join(describe(error).split())[:120]
        detail = f"{operation} has no form in the graph (and torch's exporter says: {why})"
        raise CandidateError(Stage.EXPORT, Reason.UNSUPPORTED_OPERATION, detail) from None
    return graph


def export(net: nn.Module, input_BX: torch.Tensor) -> bytes:
    """Trace one forward in eval mode; raises what torch raises for what it cannot write."""
    file = io.BytesIO()
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
    return file.getvalue()


def stop_holes() -> None:
    """Replace what the exporter gets wrong by equal functions; in a process that ends soon."""
    torch.backends.mha.set_fastpath_enabled(False)
    torch.Tensor.unflatten = torch.unflatten = _unflatten  # pyright: ignore[reportAttributeAccessIssue]
    for name, plain in (
        ("adaptive_avg_pool1d", F.avg_pool1d),
        ("adaptive_avg_pool2d", F.avg_pool2d),
        ("adaptive_max_pool1d", F.max_pool1d),
        ("adaptive_max_pool2d", F.max_pool2d),
    ):
        setattr(F, name, _adaptive_pool(getattr(F, name), plain, int(name[-2])))


def _plain_buffers(net: nn.Module) -> None:
    """Make non-persistent buffers constants: they have no name in the state dict."""
    for module in net.modules():
        for name in list(module._non_persistent_buffers_set):
            value = module._buffers.pop(name, None)
            module._non_persistent_buffers_set.discard(name)
            object.__setattr__(module, name, value)


def _compare(net: nn.Module, graph: bytes, input_BX: torch.Tensor) -> None:
    """Run graph and module on a batch of another size: the exporter has silent errors."""
    logits_BK = net(input_BX.clone())
    weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    session = open_session(graph)
    names = [door.name for door in session.get_inputs()[1:]]
    strange = [name for name in names if name not in weights]
    if strange:
        detail = f"weights that the state dict does not name: {', '.join(strange)}"
        raise CandidateError(Stage.EXPORT, Reason.INVALID_GRAPH, detail)
    feeds = {name: weights[name] for name in names}
    found = session.run(None, {**feeds, "input": input_BX.numpy()})[0]
    difference = float((logits_BK - torch.as_tensor(found)).abs().max())
    if not difference <= _TOLERANCE * max(1.0, float(logits_BK.abs().max())):
        raise ValueError(f"its graph differs from the module by {difference:.3g}")


def _unflatten(value: torch.Tensor, dim: int, sizes: tuple[int, ...]) -> torch.Tensor:
    """The same as `Tensor.unflatten`, behind which the exporter takes the batch for a constant."""
    axis = dim % value.dim()
    return value.reshape(*value.shape[:axis], *sizes, *value.shape[axis + 1 :])


def _adaptive_pool(
    original: Callable[..., torch.Tensor], plain: Callable[..., torch.Tensor], dims: int
) -> Callable[..., torch.Tensor]:
    """Plain pooling where the sizes divide: behind reshape(-1, ...) the exporter forgets sizes."""

    def pool(input: torch.Tensor, output_size: Any, *rest: Any, **named: Any) -> torch.Tensor:
        wanted = output_size if isinstance(output_size, tuple | list) else [output_size] * dims
        sizes = [int(size) for size in input.shape[-dims:]]
        wanted = [size if want is None else want for want, size in zip(wanted, sizes, strict=True)]
        is_global = all(want == 1 for want in wanted)
        divides = all(
            want > 0 and size % want == 0 for want, size in zip(wanted, sizes, strict=True)
        )
        if rest or named or is_global or not divides:
            return original(input, output_size, *rest, **named)
        return plain(input, [size // want for want, size in zip(wanted, sizes, strict=True)])

    return pool
