"""Makes folders, pipes, devices and files in memory."""
# ruff: noqa

EXPECT = "refused"

import os


def try_folder():
    os.mkdir("@CANARY@/new")


def try_pipe_file():
    os.mkfifo("@CANARY@/pipe")


def try_device():
    os.mknod("@CANARY@/device", 0o600 | 0x2000, os.makedev(1, 3))


def try_memory_file():
    return os.memfd_create("hostile")


def try_pseudo_terminal():
    return os.openpty()
