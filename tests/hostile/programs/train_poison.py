"""Replaces the optimiser, the loss and the writer of weights for later trainings."""
# ruff: noqa

EXPECT = "train_contained"

import sys
import torch


def poison():
    torch.optim.AdamW.step = lambda self, *a: None
    torch.nn.functional.cross_entropy = lambda *a, **k: torch.zeros((), requires_grad=True)
    sys.modules["safetensors.torch"].save = lambda *a: b"forged"
    for name, module in list(sys.modules.items()):
        if name.startswith("evoprompt.train"):
            module.__dict__.clear()


import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            poison()
        return self.head(x)
