"""Sleeps in small pieces and works a little in between."""
# ruff: noqa

EXPECT = "killed"

import time

while True:
    time.sleep(0.01)
    sum(range(20000))
