"""Replaces operations of torch for those who come later."""
# ruff: noqa

EXPECT = "contained"

import torch
import torch.nn.functional as F

F.linear = lambda x, w, b=None: x[:, :3] + w[0, 0]
torch.matmul = torch.Tensor.matmul = lambda *a, **k: None
torch.manual_seed = lambda *a: None
torch.randn = torch.zeros
torch.set_default_dtype(torch.float64)
