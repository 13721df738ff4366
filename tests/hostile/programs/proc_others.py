"""Reads what /proc and /sys tell of the machine and of other processes."""
# ruff: noqa

EXPECT = "refused"

import os


def try_list():
    return os.listdir("/proc")


def try_first_process():
    return open("/proc/1/cmdline").read()


def try_processor():
    return open("/proc/cpuinfo").read()


def try_connections():
    return open("/proc/net/tcp").read()


def try_symbols():
    return open("/proc/kallsyms").read()


def try_network_cards():
    return os.listdir("/sys/class/net")


def try_groups():
    return os.listdir("/sys/fs/cgroup")


def try_trigger():
    return open("/proc/sysrq-trigger", "w")
