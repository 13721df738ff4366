"""Walks from torch to modules that torch itself has imported."""
# ruff: noqa

EXPECT = "refused"

import torch
import torch.nn.functional as F

names = F.__builtins__ if isinstance(F.__builtins__, dict) else vars(F.__builtins__)
assert names["eval"]
found = torch.serialization.os
assert found is names["__import__"]("os")


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
