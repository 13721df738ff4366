"""Allocates without end while it trains."""
# ruff: noqa

EXPECT = "train_contained"

import torch

kept = []


def fill():
    while True:
        kept.append(torch.ones(1 << 22))


import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            fill()
        return self.head(x)
