"""Replaces what every network is made of."""
# ruff: noqa

EXPECT = "contained"

import torch.nn as nn

nn.Module.__call__ = lambda self, *a, **k: None
nn.Module.__setattr__ = lambda self, *a: None
nn.Module.state_dict = lambda self, *a, **k: {}
nn.Module.eval = lambda self: None
nn.Linear.forward = None
