"""Raises an error with a message of 100 MB."""
# ruff: noqa

EXPECT = "contained"

raise ValueError("x" * 100_000_000)
