"""Becomes another program, which would have no Python limits."""
# ruff: noqa

EXPECT = "refused"

import os, sys


def try_exec():
    os.execv("/bin/sh", ["sh", "-c", "true"])


def try_interpreter():
    os.execv(sys.executable, [sys.executable, "-c", ""])


def try_dynamic_linker():
    os.execv("/lib64/ld-linux-x86-64.so.2", ["ld", "/bin/true"])


def try_descriptor():
    os.execve(os.open("/dev/null", os.O_RDONLY), ["x"], {})
