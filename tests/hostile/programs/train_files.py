"""Reads the task's labels, the cache and the run folder while it trains."""
# ruff: noqa

EXPECT = "train_refused"

import os


def try_validation_labels():
    return open("@DATA@/validation_y.npy", "rb").read()


def try_test_labels():
    return open("@DATA@/test_y.npy", "rb").read()


def try_list():
    return os.listdir("@DATA@")


def try_npz():
    return open("@NPZ@", "rb").read()


def try_cache():
    return os.listdir("@CACHE@")


def try_write():
    open("@CANARY@/new.txt", "w").write("hostile")


import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            run_attempts()
        return self.head(x)
