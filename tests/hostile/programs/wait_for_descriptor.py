"""Waits for its own result pipe."""
# ruff: noqa

EXPECT = "contained"

import os, select

select.select([3], [], [])
os.read(3, 1)
