"""Rules for other resolutions: upsampling, pixel shuffle."""

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.tape import Tape, rule


@rule(F.pixel_shuffle, torch.pixel_shuffle)
def pixel_shuffle(tape: Tape, out: Tensor, x: Tensor, upscale_factor: int) -> None:
    """Channels become positions, rows and columns of a block outermost."""
    tape.expect(x.dim() == 4, "pixel_shuffle without a batch axis")
    tape.emit(out, "DepthToSpace", [x], blocksize=int(upscale_factor), mode="CRD")
