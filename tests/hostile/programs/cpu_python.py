"""Counts for ever."""
# ruff: noqa

EXPECT = "killed"

while True:
    pass
