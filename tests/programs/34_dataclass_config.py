# in_shape (1, 8, 8)
from dataclasses import dataclass, field
import torch
import torch.nn as nn


@dataclass
class StageConfig:
    width: int
    depth: int
    stride: int = 1


@dataclass
class ModelConfig:
    stages: list = field(default_factory=lambda: [StageConfig(12, 1), StageConfig(24, 2, 2)])
    activation: str = "silu"


ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


class Net(nn.Module):
    def __init__(self, in_shape, num_classes, config=None):
        super().__init__()
        config = config or ModelConfig()
        act = ACTIVATIONS[config.activation]
        blocks, c = [], in_shape[0]
        for stage in config.stages:
            for i in range(stage.depth):
                s = stage.stride if i == 0 else 1
                blocks.append(nn.Sequential(nn.Conv2d(c, stage.width, 3, s, 1), nn.GroupNorm(4, stage.width), act()))
                c = stage.width
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(c, num_classes)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x.flatten(2).mean(-1))
