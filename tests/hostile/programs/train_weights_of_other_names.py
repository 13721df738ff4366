"""Hands back weights of other names and shapes."""
# ruff: noqa

EXPECT = "train_contained"

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            return self.head(x)
        return self.head(x)

    def state_dict(self, *arguments, **options):
        return {"head.weight": torch.zeros(9, 9), "head.bias": torch.zeros(3), "x": torch.zeros(1)}
