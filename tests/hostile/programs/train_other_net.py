"""Trains a larger network than it showed: only the recorded one is measured."""
# ruff: noqa

EXPECT = "train_measured"

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            return self.head(x) * 3 + x.sum() * 0
        return self.head(x)
