"""One case of the battery: a small module, its input, and whether it is recorded or refused.

`fn` wraps a function of the input, `weighted` a function of the input and of parameters, `layer`
takes a module as it is. A case that is `refused` names a part of the message it must bring.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class Function(nn.Module):
    """A function of the input and of random parameters of given shapes."""

    def __init__(self, function: Callable[..., Any], shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.function = function
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.randn(shape) * 0.5))

    def forward(self, x: Tensor) -> Any:
        return self.function(x, *self._parameters.values())


class Around(nn.Module):
    """A layer and how it is called."""

    def __init__(self, net: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.net, self.call = net, call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.net, x)


@dataclass(frozen=True)
class Case:
    """A module factory, the shape of one example, and a part of the refusal (empty: recorded)."""

    name: str
    make: Callable[[], nn.Module]
    in_shape: tuple[int, ...]
    refused: str = ""


def fn(name: str, function: Callable[..., Any], *in_shape: int, refused: str = "") -> Case:
    """A function of the input alone."""
    return Case(name, lambda: Function(function, {}), in_shape, refused)


def weighted(
    name: str,
    function: Callable[..., Any],
    *in_shape: int,
    refused: str = "",
    **shapes: tuple[int, ...],
) -> Case:
    """A function of the input and of parameters, which come in the order of `shapes`."""
    return Case(name, lambda: Function(function, shapes), in_shape, refused)


def layer(name: str, make: Callable[[], nn.Module], *in_shape: int, refused: str = "") -> Case:
    """A module."""
    return Case(name, make, in_shape, refused)


def around(
    name: str,
    make: Callable[[], nn.Module],
    call: Callable[..., Any],
    *in_shape: int,
    refused: str = "",
) -> Case:
    """A layer that is called in its own way."""
    return Case(name, lambda: Around(make(), call), in_shape, refused)


def seeded(case: Case) -> nn.Module:
    """The module in eval mode, its lazy layers filled, nothing at its start value."""
    torch.manual_seed(0)
    net = case.make().eval()
    with torch.no_grad():
        net(example(case, 2))
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for module in net.modules():
            mean, variance = (getattr(module, f"running_{it}", None) for it in ("mean", "var"))
            if mean is not None and variance is not None:
                mean.normal_(0.0, 0.3)
                variance.uniform_(0.5, 1.5)
    return net


def example(case: Case, batch: int) -> Tensor:
    """Inputs for `batch` examples."""
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, *case.in_shape, generator=generator)
