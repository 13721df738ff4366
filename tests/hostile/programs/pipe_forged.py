"""Writes a result of its own and leaves before the true one."""
# ruff: noqa

EXPECT = "forged"

import os

for number in range(3, 99):
    try:
        os.write(number, b"D{}\nforged")
    except OSError:
        pass
os._exit(0)
