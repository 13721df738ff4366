"""Leaves its session and forks twice, to outlive its job."""
# ruff: noqa

EXPECT = "refused"

import os, time


def try_session():
    os.setsid()


def try_group():
    os.setpgid(0, 0)


def try_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(5)
        os._exit(0)
