"""Reaches a secret file through links, dots and /proc/self/root."""
# ruff: noqa

EXPECT = "refused"

import os


def try_link():
    os.symlink("@CANARY@/secret.txt", "@CANARY@/innocent")


def try_dots():
    return open("/dev/../@CANARY@/secret.txt").read()


def try_link_of_another():
    return open("@CANARY@/link-to-secret").read()


def try_root():
    return open("/proc/self/root@CANARY@/secret.txt").read()


def try_working_folder():
    os.chdir("@CANARY@")
    return open("secret.txt").read()
