"""Module -> ONNX bytes by torch's tracing exporter, with its known holes stopped.

The only place that knows the exporter; a recorder of our own takes its place later. Weights are
graph inputs under the names of the state dict, the batch axis is free, BatchNorm stays visible.
Not promised: that the graph computes what the module does; the caller compares them.
"""

import io
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

OPSET = 20  # the newest that the exporter knows; Gelu and LayerNormalization are one node


def stop_holes() -> None:
    """Replace what the exporter gets wrong by equal functions; once, in the zygote."""
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX form
    torch.Tensor.unflatten = torch.unflatten = _unflatten  # pyright: ignore[reportAttributeAccessIssue]
    for name, plain in (
        ("adaptive_avg_pool1d", F.avg_pool1d),
        ("adaptive_avg_pool2d", F.avg_pool2d),
        ("adaptive_max_pool1d", F.max_pool1d),
        ("adaptive_max_pool2d", F.max_pool2d),
    ):
        setattr(F, name, _adaptive_pool(getattr(F, name), plain, int(name[-2])))


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
