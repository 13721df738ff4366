"""Answers differently for one example alone."""
# ruff: noqa

EXPECT = "rejected"

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.f = nn.Linear(4, num_classes)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        y = self.f(x)
        return y if len(x) > 1 else y + 1
