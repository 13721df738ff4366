"""One entry of the zoo: a net that nobody here wrote, shrunken, and inputs for it.

In: a `model_type` of transformers with the settings that make it small, or a module factory.
Out: a module of one tensor output with seeded random weights, and inputs for any batch size.
Promises nothing about whether a net can be recorded: the list was made before any was tried.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import nn

Inputs = Callable[[int], tuple[torch.Tensor, ...]]

_OUTPUTS = ("last_hidden_state", "logits", "prediction_outputs", "pooler_output")


class OneOutput(nn.Module):
    """Calls `net` with its inputs by name and returns its first plain tensor."""

    def __init__(self, net: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.net = net
        self.names = names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        out = self.net(**dict(zip(self.names, inputs, strict=True)))
        for name in _OUTPUTS:
            value = getattr(out, name, None)
            if isinstance(value, torch.Tensor):
                return value
        raise TypeError(f"{type(self.net).__name__} has none of the outputs {_OUTPUTS}")


@dataclass(frozen=True)
class Entry:
    """A named net: `build` makes it (eval mode, seeded), `inputs` makes B examples for it."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Inputs


@dataclass(frozen=True)
class Shrunken:
    """A model type of transformers, the settings that make it small, and which part of it."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "AutoModel"
    part: str = ""


def entry(model_type: str, shrunken: Shrunken, names: tuple[str, ...], inputs: Inputs) -> Entry:
    """An entry that builds `model_type` from a shrunken configuration with random weights."""

    def build() -> nn.Module:
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(model_type, **shrunken.settings)
        make = getattr(transformers, shrunken.architecture)
        net = make.from_config(config) if shrunken.architecture == "AutoModel" else make(config)
        net = OneOutput(getattr(net, shrunken.part) if shrunken.part else net, names).eval()
        _spread_weights(net)
        return net

    return Entry(model_type, build, inputs)


def _spread_weights(net: nn.Module) -> None:
    """Random values everywhere: zero tables, unit scales and fresh statistics hide mistakes."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn_like(parameter) * fan_in**-0.5)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for module in net.modules():
            mean, variance = (getattr(module, f"running_{it}", None) for it in ("mean", "var"))
            if mean is not None and variance is not None:
                mean.normal_(0.0, 0.1)
                variance.uniform_(0.5, 1.5)


def floats(*shape: int) -> Inputs:
    """Normal inputs of shape (B, *shape)."""

    def make(batch: int) -> tuple[torch.Tensor, ...]:
        return (torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch)),)

    return make


def tokens(length: int, vocabulary: int) -> Inputs:
    """Token numbers of shape (B, length), from 3 up: the usual special tokens stay out."""

    def make(batch: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(batch)
        return (torch.randint(3, vocabulary, (batch, length), generator=generator),)

    return make
