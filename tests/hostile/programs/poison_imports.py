"""Empties and fills the table of modules, the path and the import hooks."""
# ruff: noqa

EXPECT = "contained"

import sys


class Hook:
    def find_spec(self, *a, **k):
        raise SystemExit


sys.meta_path.insert(0, Hook())
sys.path[:] = ["@CANARY@"]
sys.modules["json"] = None
sys.modules.clear()
