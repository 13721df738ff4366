"""Multiplies large matrices for ever; Python gets no signal in between."""
# ruff: noqa

EXPECT = "killed"

import torch

x = torch.randn(1500, 1500)
while True:
    x = (x @ x).clamp(-1, 1)
