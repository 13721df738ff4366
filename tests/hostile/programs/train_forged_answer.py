"""Writes an answer with an accuracy of 1 and weights that are a pickle."""
# ruff: noqa

EXPECT = "train_contained"

import json, os, pickle


class Bite:
    def __reduce__(self):
        return os.mkdir, ("@CANARY@/from-a-pickle",)


def answer():
    body = pickle.dumps(Bite())
    head = {
        "curve": [[1, 0.1]],
        "final_loss": 0.0,
        "accuracy": 1.0,
        "correct": "ff",
        "parts": [len(body)],
    }
    os.write(3, b"D" + json.dumps(head).encode() + b"\n" + body)
    os._exit(0)


import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            answer()
        return self.head(x)
