"""Calls itself until the stack is used up."""
# ruff: noqa

EXPECT = "contained"

import sys

sys.setrecursionlimit(10**9)


def deeper(level):
    return deeper(level + 1) + 1


deeper(0)
