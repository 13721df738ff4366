"""Leaves a thread behind that works on after training."""
# ruff: noqa

EXPECT = "train_contained"

import threading


def work():
    while True:
        pass


import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            threading.Thread(target=work, daemon=True).start()
        return self.head(x)
