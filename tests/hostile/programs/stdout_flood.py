"""Prints 100 MB on both standard streams."""
# ruff: noqa

EXPECT = "graph"

import os, sys

for _ in range(10):
    sys.stdout.write("x" * 10**7)
    os.write(2, b"y" * 10**6)
