"""Forks, in the plain ways of Python."""
# ruff: noqa

EXPECT = "refused"
CONTROL = True

import os


def try_fork():
    if os.fork() == 0:
        os._exit(0)


def try_forkpty():
    if os.forkpty()[0] == 0:
        os._exit(0)


def try_pool():
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=print)
    process.start()
