"""Looks for keys in the environment, in Python's copy and in C's."""
# ruff: noqa

EXPECT = "refused"

import ctypes, os, sys


def try_secret():
    assert "@SECRET@" in os.environ


def try_any_value():
    assert [value for value in os.environ.values() if "sk-" in value]


def try_home():
    return os.environ["HOME"]


def try_c_environment():
    names = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found, place = [], 0
    while names[place]:
        found.append(names[place])
        place += 1
    assert any(b"@SECRET@" in line for line in found)


def try_arguments():
    assert any("sk-" in word for word in sys.orig_argv)
