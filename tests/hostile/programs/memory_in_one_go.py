"""Asks for a tensor of 40 TB and a list of as much."""
# ruff: noqa

EXPECT = "refused"

import torch


def try_tensor():
    return torch.empty(10**13)


def try_bytes():
    return bytes(10**13)


def try_list():
    return [0] * 10**12
