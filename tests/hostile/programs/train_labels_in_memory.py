"""Looks for the validation and test examples in all objects of its memory."""
# ruff: noqa

EXPECT = "train_refused"

import gc
import sys

import numpy as np
import torch
import torch.nn as nn


def contents():
    """The bytes of every array, tensor and byte string that an object refers to."""
    for holder in gc.get_objects():
        for found in gc.get_referents(holder):
            if isinstance(found, torch.Tensor) and found.dtype == torch.float32:
                found = found.detach().numpy()
            if isinstance(found, np.ndarray) and found.dtype == np.float32:
                yield found.tobytes()
            elif isinstance(found, (bytes, bytearray)) and len(found) > 4:
                yield found


def is_in_memory(number):
    needle = np.float32(number).tobytes()
    return any(needle in content for content in contents())


def try_own_examples_are_found():
    assert is_in_memory(0.12345679)


def try_validation():
    assert is_in_memory(4321.125)


def try_test():
    assert is_in_memory(8765.125)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            run_attempts()
        return self.head(x)
