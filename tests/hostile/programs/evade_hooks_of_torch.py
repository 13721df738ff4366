"""Hides in module hooks, __torch_function__ and autograd functions."""
# ruff: noqa

EXPECT = "contained"

import torch
import torch.nn as nn


class Spy(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        try:
            open("@CANARY@/secret.txt")
            raise SystemExit("GOT a file")
        except PermissionError:
            return super().__torch_function__(function, types, args, kwargs or {})


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.f = nn.Linear(4, num_classes)
        self.f.register_forward_pre_hook(lambda module, args: (args[0].as_subclass(Spy),))

    def forward(self, x):
        return self.f(x)
