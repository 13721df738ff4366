"""Writes forbidden names in other letters that Python reads as the same."""
# ruff: noqa

EXPECT = "refused"

import ｏs as found

text = eval("__imp\x6frt__('o' 's')")
assert text is found


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
