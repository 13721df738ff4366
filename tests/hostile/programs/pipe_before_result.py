"""Writes a result of its own and then lets the true one follow."""
# ruff: noqa

EXPECT = "forged"

import os

os.write(3, b"D{}\nforged")
