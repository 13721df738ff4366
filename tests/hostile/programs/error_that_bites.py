"""Raises an error whose message is a program."""
# ruff: noqa

EXPECT = "contained"


class Bite(Exception):
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __str__


raise Bite
