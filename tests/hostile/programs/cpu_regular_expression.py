"""Runs a regular expression that takes longer than the sun will shine."""
# ruff: noqa

EXPECT = "killed"

import re

re.match(r"(a+)+$", "a" * 60 + "b")
