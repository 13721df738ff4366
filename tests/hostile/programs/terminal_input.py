"""Types into the terminal that started the search."""
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


def try_type_0():
    return call(29 if IS_ARM else 16, 0, 0x5412, b"x")


def try_type_1():
    return call(29 if IS_ARM else 16, 1, 0x5412, b"x")


def try_type_2():
    return call(29 if IS_ARM else 16, 2, 0x5412, b"x")


def try_take():
    return call(29 if IS_ARM else 16, 0, 0x540E, 1)


def try_select():
    return call(29 if IS_ARM else 16, 0, 0x541C, b"x")
