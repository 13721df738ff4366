"""Starts processes and signals others while it trains; threads are allowed there."""
# ruff: noqa

EXPECT = "train_refused"

import os, subprocess


def try_fork():
    if os.fork() == 0:
        os._exit(0)


def try_program():
    return subprocess.run(["true"])


def try_parent():
    os.kill(os.getppid(), 9)


def try_clone():
    import ctypes

    number = 220 if os.uname().machine == "aarch64" else 56
    if ctypes.CDLL(None).syscall(number, 17, 0, 0, 0, 0) < 0:
        raise PermissionError


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
