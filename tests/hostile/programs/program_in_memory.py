"""Writes a program into memory and runs it from there."""
# ruff: noqa

EXPECT = "refused"

import os


def try_memory_file():
    descriptor = os.memfd_create("x")
    os.write(descriptor, b"#!/bin/sh\ntrue\n")
    os.execve(descriptor, ["x"], {})
