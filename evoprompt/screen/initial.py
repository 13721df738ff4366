"""Initial weights for networks that are only looked at: copied from a table, not drawn.

What the weights are makes no difference to a graph, and drawing millions of them takes time.
Replaced are torch's usual initialisations that are symmetric around zero; they keep
their scale. For the process that records only: a training draws its own.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import init

_COUNT = 1 << 20


class Table:
    """A million standard normal numbers, read on and on in a circle."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.numbers = torch.randn(_COUNT, generator=generator)
        self.place = 0

    def fill(self, tensor: Tensor, scale: float) -> Tensor:
        """Write `scale` times the next numbers into a tensor of ordinary floats."""
        with torch.no_grad():
            rest = tensor.detach().view(-1)
            while rest.numel():
                count = min(rest.numel(), _COUNT - self.place)
                numbers = self.numbers[self.place : self.place + count]
                torch.mul(numbers, scale, out=rest[:count])
                self.place = (self.place + count) % _COUNT
                rest = rest[count:]
        return tensor


def install() -> None:
    """Replace torch's initialisations in this process, for good."""
    table = Table()

    def by_fan(name: str) -> None:
        original = getattr(init, name)

        def fill(tensor: Tensor, *rest: Any, **named: Any) -> Tensor:
            if not _is_ordinary(tensor) or tensor.dim() < 2:
                return original(tensor, *rest, **named)  # which also says what is wrong
            return table.fill(tensor, 1 / math.sqrt(3 * tensor[0].numel()))

        setattr(init, name, fill)

    def by_spread(name: str, default: tuple[float, float]) -> None:
        original = getattr(init, name)

        def fill(tensor: Tensor, *rest: Any, **named: Any) -> Tensor:
            low, high = (*rest[:2], *default[len(rest) :])
            is_plain = len(rest) <= 2 and not named and _is_ordinary(tensor)
            is_symmetric = low == -high if name == "uniform_" else low == 0
            if not (is_plain and is_symmetric and high > 0):
                return original(tensor, *rest, **named)
            return table.fill(tensor, high / math.sqrt(3) if name == "uniform_" else high)

        setattr(init, name, fill)

    for name in ("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"):
        by_fan(name)
    for name, default in (
        ("uniform_", (0.0, 1.0)),
        ("normal_", (0.0, 1.0)),
        ("trunc_normal_", (0.0, 1.0)),
    ):
        by_spread(name, default)


def _is_ordinary(tensor: Tensor) -> bool:
    is_float = isinstance(tensor, Tensor) and tensor.dtype == torch.float32
    return is_float and tensor.device.type == "cpu" and tensor.is_contiguous()
