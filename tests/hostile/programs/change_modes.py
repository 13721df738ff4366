"""Changes owners, modes, times and attributes of a file."""
# ruff: noqa

EXPECT = "refused"

import os

PATH = "@CANARY@/secret.txt"


def try_chmod():
    os.chmod(PATH, 0o777)


def try_chown():
    os.chown(PATH, os.getuid(), os.getgid())


def try_lchown():
    os.lchown(PATH, os.getuid(), os.getgid())


def try_utime():
    os.utime(PATH, (1, 1))


def try_attribute():
    os.setxattr(PATH, "user.hostile", b"1")


def try_fchmodat():
    os.chmod("secret.txt", 0o777, dir_fd=os.open("@CANARY@", os.O_PATH))
