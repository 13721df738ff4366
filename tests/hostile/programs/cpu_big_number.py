"""Computes a number of many digits in one step."""
# ruff: noqa

EXPECT = "killed"

len(str(7 ** (7**9)))
