"""Reads one secret file in every way that Python, numpy and torch know."""
# ruff: noqa

EXPECT = "refused"

import io, mmap, os, pathlib
import numpy as np
import torch

PATH = "@CANARY@/secret.txt"


def try_open():
    return open(PATH).read()


def try_os_open():
    return os.read(os.open(PATH, os.O_RDONLY), 99)


def try_write_only_open():
    return os.open(PATH, os.O_WRONLY | os.O_APPEND)


def try_pathlib():
    return pathlib.Path(PATH).read_bytes()


def try_fileio():
    return io.FileIO(PATH).read()


def try_directory_descriptor():
    return os.open("@CANARY@", os.O_RDONLY | os.O_DIRECTORY)


def try_numpy():
    return np.fromfile(PATH, dtype=np.uint8)


def try_memmap():
    return np.memmap(PATH, mode="r")


def try_torch_from_file():
    return torch.from_file(PATH, size=4, dtype=torch.uint8)


def try_torch_storage():
    return torch.UntypedStorage.from_file(PATH, False, 4)


def try_torch_load():
    torch.load(PATH, weights_only=False)
