"""Reaches os by a chain of getattr with names put together."""
# ruff: noqa

EXPECT = "refused"

import torch

found = getattr(getattr(torch, "_" + "utils"), "s" + "ys").modules["o" + "s"]


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
