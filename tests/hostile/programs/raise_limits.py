"""Raises its own limits and those of the zygote."""
# ruff: noqa

EXPECT = "refused"

import os, resource


def try_cpu():
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def try_cpu_to_its_hard_limit():
    resource.setrlimit(resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU)[1:] * 2)


def try_memory():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def try_zygote():
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (4, 4))
