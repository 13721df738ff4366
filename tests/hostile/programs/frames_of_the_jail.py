"""Looks through the frames for keys, paths and labels."""
# ruff: noqa

EXPECT = "refused"

import sys


def frames():
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def everything():
    return " ".join(repr(dict(frame.f_locals)) for frame in frames())


def try_secret():
    assert "@EULAV_TERCES@"[::-1] in everything()


def try_run_folder():
    assert "/".join(["runs", ""]) in everything()
