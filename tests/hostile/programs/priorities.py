"""Takes more of the processor: priority, scheduler, other cores, the I/O queue."""
# ruff: noqa

EXPECT = "refused"

import os


def try_nice():
    os.nice(-10)


def try_nicer():
    os.nice(1)


def try_priority():
    os.setpriority(os.PRIO_PROCESS, 0, -20)


def try_priority_of_parent():
    os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)


def try_affinity():
    os.sched_setaffinity(0, os.sched_getaffinity(0))


def try_scheduler():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
