"""Starts other programs in every way that Python has."""
# ruff: noqa

EXPECT = "refused"
CONTROL = True

import os, subprocess


def try_system():
    assert os.system("true") == 0


def try_subprocess():
    return subprocess.run(["true"])


def try_spawn():
    return os.posix_spawn("/bin/true", ["true"], {})


def try_popen():
    assert os.popen("echo hostile").read()
