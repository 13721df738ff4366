"""Allocates bytes without end."""
# ruff: noqa

EXPECT = "killed"

kept = []
while True:
    kept.append(bytearray(1 << 24))
