"""The containers of torch.nn, each in a small net of its own."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from tests.zoo.entry import Entry, floats


class _List(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return x


class _Dict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(
            {"narrow": nn.Conv1d(3, 4, 1), "wide": nn.Conv1d(3, 4, 5, padding=2)}
        )
        self.activations = nn.ModuleDict({"relu": nn.ReLU(), "gelu": nn.GELU()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        narrow = self.activations["relu"](self.branches["narrow"](x))
        return narrow + self.activations["gelu"](self.branches["wide"](x))


class _ParameterList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(8, 8) * 0.3) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for index, weight in enumerate(self.weights):
            x = x @ weight + self.weights[index - 1].sum(0)
        return x


class _ParameterDict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(
            {"scale": nn.Parameter(torch.randn(8)), "shift": nn.Parameter(torch.randn(8))}
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weights["scale"] + self.weights["shift"]


def _sequential() -> nn.Module:
    stages: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        body=nn.Sequential(nn.Conv2d(8, 8, 3, stride=2), nn.SiLU(), nn.AdaptiveAvgPool2d(1)),
        head=nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 5)),
    )
    return nn.Sequential(stages)


def _seeded(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return make().eval()

    return build


CONTAINERS: list[Entry] = [
    Entry("torch.nn.Sequential", _seeded(_sequential), floats(3, 16, 16)),
    Entry("torch.nn.ModuleList", _seeded(_List), floats(8)),
    Entry("torch.nn.ModuleDict", _seeded(_Dict), floats(3, 12)),
    Entry("torch.nn.ParameterList", _seeded(_ParameterList), floats(8)),
    Entry("torch.nn.ParameterDict", _seeded(_ParameterDict), floats(8)),
]
