"""Fills the disk: 64 MB of bytes, a sparse file, shared memory."""
# ruff: noqa

EXPECT = "refused"

import os


def write(path):
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
            file.flush()


def try_bytes():
    write("@CANARY@/large")


def try_sparse():
    descriptor = os.open("@CANARY@/sparse", os.O_CREAT | os.O_RDWR)
    os.ftruncate(descriptor, 1 << 40)


def try_shared_memory():
    write("/dev/shm/evoprompt-hostile")


def try_allocate():
    os.posix_fallocate(os.open("@CANARY@/secret.txt", os.O_RDWR), 0, 1 << 20)


def try_shared_memory_module():
    from multiprocessing import shared_memory

    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    block.unlink()
