"""Signals the zygote, its group and everyone."""
# ruff: noqa

EXPECT = "refused"

import os, signal


def try_kill_parent():
    os.kill(os.getppid(), signal.SIGKILL)


def try_stop_parent():
    os.kill(os.getppid(), signal.SIGSTOP)


def try_group():
    os.killpg(os.getpgid(os.getppid()), 0)


def try_everyone():
    os.kill(-1, 0)


def try_first_process():
    os.kill(1, 0)


def try_itself():
    os.kill(os.getpid(), signal.SIGTERM)
