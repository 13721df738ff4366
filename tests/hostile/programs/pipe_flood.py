"""Writes into its result pipe without end."""
# ruff: noqa

EXPECT = "killed"

import os

while True:
    os.write(3, b"D" * 65536)
