"""Loads pickles that start programs and open files."""
# ruff: noqa

EXPECT = "refused"

import io, os, pickle
import torch


class Command:
    def __reduce__(self):
        return os.fork, ()


class Reader:
    def __reduce__(self):
        return open, ("@CANARY@/secret.txt",)


def try_command():
    pickle.loads(pickle.dumps(Command()))


def try_reader():
    return pickle.loads(pickle.dumps(Reader()))


def try_torch_load():
    buffer = io.BytesIO(pickle.dumps(Reader()))
    return torch.load(buffer, weights_only=False)
