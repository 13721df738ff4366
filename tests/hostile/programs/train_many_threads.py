"""Starts 500 threads while it trains."""
# ruff: noqa

EXPECT = "train_contained"

import threading, time

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            [
                threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
                for _ in range(500)
            ]
        return self.head(x)
