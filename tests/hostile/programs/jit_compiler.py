"""Compiles code of its own with torch: C++ extensions, inductor, TorchScript."""
# ruff: noqa

EXPECT = "contained"

import torch


def try_extension():
    from torch.utils.cpp_extension import load_inline

    return load_inline("hostile", "int f() { return 1; }", functions=["f"])


def try_inductor():
    return torch.compile(lambda x: x + 1)(torch.ones(3))


def try_library():
    return torch.ops.load_library("@CANARY@/secret.txt")
