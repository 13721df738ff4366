"""Looks for keys of the user in the kernel's key rings."""
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


def try_add():
    return call(217 if IS_ARM else 248, b"user", b"x", b"y", 1, -1)


def try_request():
    return call(218 if IS_ARM else 249, b"user", b"x", 0, -1)


def try_session():
    return call(219 if IS_ARM else 250, 0, -3, 1, 0, 0)


def try_describe():
    return call(219 if IS_ARM else 250, 6, -4, 0, 0, 0)
