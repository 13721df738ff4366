"""Writes into the memory of Python's own small numbers and of torch's code."""
# ruff: noqa

EXPECT = "contained"

import ctypes

address = id(1)
ctypes.c_long.from_address(address + 24).value = 2
assert 1 + 1 == 2
