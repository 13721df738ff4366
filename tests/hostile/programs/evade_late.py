"""Behaves until the network is called: everything happens in forward."""
# ruff: noqa

EXPECT = "refused"

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.f = nn.LazyLinear(num_classes)

    def forward(self, x):
        refused = 0
        for attempt in (lambda: open("@CANARY@/secret.txt"), lambda: __import__("os").fork()):
            try:
                attempt()
            except OSError:
                refused += 1
        assert refused == 2
        said = f"GOT [] REFUSED {refused}"
        raise RuntimeError(said)
