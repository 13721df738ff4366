"""Answers with a header of 100,000 brackets."""
# ruff: noqa

EXPECT = "forged"

import os

os.write(3, b"D" + b"[" * 100_000 + b"\n")
os._exit(0)
