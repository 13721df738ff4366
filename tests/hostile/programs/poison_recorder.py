"""Replaces every function of the screen, the jail and the recorder."""
# ruff: noqa

EXPECT = "contained"

import sys

for name, module in list(sys.modules.items()):
    if name.startswith("evoprompt"):
        for key, value in list(vars(module).items()):
            if callable(value):
                try:
                    setattr(module, key, lambda *a, **k: b"{}\nforged")
                except (AttributeError, TypeError):
                    continue
