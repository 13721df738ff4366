"""Reads and writes the zygote through /proc."""
# ruff: noqa

EXPECT = "refused"

import os

FOLDER = f"/proc/{os.getppid()}"


def try_memory():
    return open(FOLDER + "/mem", "r+b")


def try_maps():
    return open(FOLDER + "/maps").read()


def try_environment():
    return open(FOLDER + "/environ").read()


def try_descriptors():
    return os.listdir(FOLDER + "/fd")


def try_socket():
    return os.open(FOLDER + "/fd/3", os.O_RDWR)


def try_root():
    return os.listdir(FOLDER + "/root")


def try_parent_of_parent():
    parent = open(FOLDER + "/stat").read().split()[3]
    return open(f"/proc/{parent}/environ").read()
