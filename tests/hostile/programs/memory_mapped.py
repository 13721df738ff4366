"""Maps memory without end and touches all of it."""
# ruff: noqa

EXPECT = "refused"

import mmap


def try_map():
    kept = []
    for _ in range(1024):
        block = mmap.mmap(-1, 1 << 24)
        block.write(b"x" * (1 << 24))
        kept.append(block)
