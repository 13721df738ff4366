"""Makes a file beside the secret one."""
# ruff: noqa

EXPECT = "refused"
CONTROL = True

import os


def try_new_file():
    open("@CANARY@/new.txt", "w").write("hostile")


def try_read():
    return open("@CANARY@/secret.txt").read()
