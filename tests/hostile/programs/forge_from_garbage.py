"""Finds the payload, the pipe and the limits in memory and changes them."""
# ruff: noqa

EXPECT = "contained"

import gc, sys

for found in gc.get_objects():
    if type(found).__name__ in ("Limits", "Setting", "Confinement", "Filter"):
        for key in list(getattr(found, "__dict__", {})):
            object.__setattr__(found, key, None)
    if isinstance(found, dict) and "source" in found and "in_shape" in found:
        found["source"] = "forged"
