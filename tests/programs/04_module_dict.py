# in_shape (1, 40)
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.layers = nn.ModuleDict({
            "stem": nn.Conv1d(in_shape[0], 16, 7, padding=3),
            "act": nn.SiLU(),
            "down": nn.Conv1d(16, 24, 3, stride=2, padding=1),
            "norm": nn.BatchNorm1d(24),
            "pool": nn.AdaptiveAvgPool1d(1),
            "out": nn.Linear(24, num_classes),
        })

    def forward(self, x):
        m = self.layers
        x = m["act"](m["stem"](x))
        x = m["act"](m["norm"](m["down"](x)))
        x = m["pool"](x).squeeze(-1)
        return m["out"](x)
