"""Reaches os by a format string that walks attributes."""
# ruff: noqa

EXPECT = "refused"

import torch


class Taker(dict):
    def __format__(self, spec):
        return ""


text = "{0.nn.Module.__init__.__globals__}".format(torch)
assert "torch" in text
found = (
    torch.nn.Module.__init__.__globals__["torch"].sys.modules["os"]
    if hasattr(torch, "sys")
    else __import__("os")
)


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
