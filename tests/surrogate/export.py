"""Exports torch modules to ONNX bytes exactly as the screen does, for the tests of the surrogate."""

import io
import warnings

import torch
from torch import nn


def export(
    module: nn.Module,
    in_shape: tuple[int, ...] = (1, 40),
    batch_size: int = 2,
    weights_inside: bool = False,
    opset: int = 17,
) -> bytes:
    """Return the ONNX file of `module` in eval mode; weights become graph inputs by default."""
    module = module.eval()
    example = torch.zeros(batch_size, *in_shape)
    with torch.no_grad():
        module(example)  # materialises lazy layers
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            buffer,
            dynamo=False,
            export_params=weights_inside,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=opset,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )
    return buffer.getvalue()
