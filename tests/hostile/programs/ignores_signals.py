"""Ignores every signal that it may and counts for ever."""
# ruff: noqa

EXPECT = "killed"

import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        continue
while True:
    pass
