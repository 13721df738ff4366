"""Allocates tensors without end, inside torch."""
# ruff: noqa

EXPECT = "contained"

import torch

kept = []
while True:
    kept.append(torch.ones(1 << 22))
