"""Reads its own /proc: memory, environment, descriptors, root folder."""
# ruff: noqa

EXPECT = "refused"

import os


def try_memory():
    return open("/proc/self/mem", "r+b")


def try_maps():
    return open("/proc/self/maps").read()


def try_environment():
    return open("/proc/self/environ").read()


def try_arguments():
    return open("/proc/self/cmdline").read()


def try_descriptors():
    return os.listdir("/proc/self/fd")


def try_root():
    return os.listdir("/proc/self/root")


def try_threads():
    return os.listdir("/proc/thread-self")


def try_score():
    open("/proc/self/oom_score_adj", "w").write("-1000")
