"""Replaces built-in functions."""
# ruff: noqa

EXPECT = "contained"

import builtins

builtins.len = lambda x: 0
builtins.isinstance = lambda *a: True
builtins.float = str
builtins.compile = builtins.exec = lambda *a, **k: None
