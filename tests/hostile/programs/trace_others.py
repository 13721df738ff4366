"""Reads and writes the memory of the zygote by debugger calls."""
# ruff: noqa

EXPECT = "refused"

import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    """Raise only if the call is refused; a wrong argument would mean that it was let through."""
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *values)
    if result < 0 and ctypes.get_errno() in (1, 13, 38):
        raise PermissionError(os.strerror(ctypes.get_errno()))
    return result, ctypes.get_errno()


IS_ARM = os.uname().machine == "aarch64"


def try_attach():
    return call(117 if IS_ARM else 101, 16, os.getppid(), 0, 0)


def try_seize():
    return call(117 if IS_ARM else 101, 0x4206, os.getppid(), 0, 0)


def try_trace_me():
    return call(117 if IS_ARM else 101, 0, 0, 0, 0)


def try_read():
    return call(270 if IS_ARM else 310, os.getppid(), bytes(16), 1, bytes(16), 1, 0)


def try_write():
    return call(271 if IS_ARM else 311, os.getppid(), bytes(16), 1, bytes(16), 1, 0)


def try_take_descriptor():
    return call(438, 3, 3, 0)


def try_compare():
    return call(272 if IS_ARM else 312, os.getppid(), os.getpid(), 0, 0, 0)
