"""Answers without end instead of with weights."""
# ruff: noqa

EXPECT = "train_contained"

import os


def flood():
    while True:
        os.write(3, bytes(1 << 20))


import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            flood()
        return self.head(x)
