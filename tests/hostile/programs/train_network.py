"""Sends what it learned to a server while it trains."""
# ruff: noqa

EXPECT = "train_refused"

import socket


def try_tcp():
    socket.create_connection(("127.0.0.1", int("@TCP@")), timeout=1).send(b"hostile")


def try_udp():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hostile", ("127.0.0.1", int("@UDP@")))


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
