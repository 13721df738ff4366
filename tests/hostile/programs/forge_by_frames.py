"""Walks up the frames and changes the job: limits, shapes and the recorder."""
# ruff: noqa

EXPECT = "contained"

import sys

frame = sys._getframe()
while frame is not None:
    for value in list(frame.f_locals.values()):
        if isinstance(value, dict) and "max_parameters" in value:
            value["max_parameters"] = 10**12
            value["num_classes"] = 7
    for name, value in list(frame.f_globals.items()):
        if callable(value) and name.startswith("_check"):
            frame.f_globals[name] = lambda *a, **k: None
    frame = frame.f_back
