"""Asks OpenMP for threads inside an operation."""
# ruff: noqa

EXPECT = "contained"

import torch

torch.set_num_threads(8)
kept = torch.randn(600, 600) @ torch.randn(600, 600)
