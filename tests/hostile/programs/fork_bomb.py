"""Forks as often as it can, at most twenty times."""
# ruff: noqa

EXPECT = "refused"

import os, time


def try_bomb():
    for _ in range(20):
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
