"""Reads address zero."""
# ruff: noqa

EXPECT = "killed"

import ctypes

ctypes.string_at(0)
