"""Ends its process as if all were well."""
# ruff: noqa

EXPECT = "contained"

import os

os._exit(0)
