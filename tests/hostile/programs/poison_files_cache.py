"""Puts forged text where tracebacks read the source of trusted code."""
# ruff: noqa

EXPECT = "contained"

import linecache, sys

for name, module in list(sys.modules.items()):
    path = getattr(module, "__file__", None)
    if path:
        linecache.cache[path] = (1, None, ["forged"], path)
raise ValueError("looks elsewhere")
