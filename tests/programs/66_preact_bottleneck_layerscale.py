# in_shape (1, 40)
from __future__ import annotations

import torch
from torch import nn


class LayerScale(nn.Module):
    def __init__(self, dim: int, init: float = 0.1) -> None:
        super().__init__()
        self.gamma = nn.Parameter(init * torch.ones(dim, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class PreActBottleneck(nn.Module):
    def __init__(self, dim: int, squeeze: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm1d(dim), nn.ReLU(), nn.Conv1d(dim, squeeze, 1),
            nn.BatchNorm1d(squeeze), nn.ReLU(), nn.Conv1d(squeeze, squeeze, 3, padding=1),
            nn.BatchNorm1d(squeeze), nn.ReLU(), nn.Conv1d(squeeze, dim, 1),
            LayerScale(dim),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class Net(nn.Module):
    def __init__(self, in_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(in_shape[0], 24, 5, stride=2, padding=2)
        self.stages = nn.ModuleList()
        for _ in range(3):
            self.stages.append(PreActBottleneck(24, 8))
        self.norm = nn.BatchNorm1d(24)
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.fc(torch.relu(self.norm(x)).mean(dim=-1))
