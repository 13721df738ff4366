"""Puts code into torch and site-packages, for those who import them next."""
# ruff: noqa

EXPECT = "refused"

import os
import torch

FOLDER = os.path.dirname(os.path.dirname(torch.__file__))


def try_new_file_without_a_name():
    return os.open(FOLDER, os.O_TMPFILE | os.O_RDWR)


def try_torch():
    return open(torch.__file__, "r+b")


def try_library():
    return open(os.__file__, "r+b")


def try_compiled():
    return open(torch.__cached__, "r+b")
