"""Reads the system's files: users, host name, mounts, cron tables."""
# ruff: noqa

EXPECT = "refused"

import os


def try_passwd():
    return open("/etc/passwd").read()


def try_hostname():
    return open("/etc/hostname").read()


def try_shadow():
    return open("/etc/shadow").read()


def try_list_etc():
    return os.listdir("/etc")


def try_list_root():
    return os.listdir("/")


def try_list_tmp():
    return os.listdir("/tmp")


def try_var_log():
    return os.listdir("/var/log")
