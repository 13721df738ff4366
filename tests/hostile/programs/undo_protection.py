"""Takes back what was done to it: no dump, no new rights, death with its parent, the filter."""
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


def try_dumpable():
    return call(167 if IS_ARM else 157, 4, 1, 0, 0, 0)


def try_survive():
    return call(167 if IS_ARM else 157, 1, 0, 0, 0, 0)


def try_tracer():
    return call(167 if IS_ARM else 157, 0x59616D61, -1, 0, 0, 0)


def try_new_rights():
    return call(167 if IS_ARM else 157, 38, 0, 0, 0, 0)


def try_filter_off():
    return call(167 if IS_ARM else 157, 22, 0, 0, 0, 0)


def try_filter():
    return call(277 if IS_ARM else 317, 1, 0, bytes(16))


def try_keep():
    return call(167 if IS_ARM else 157, 8, 1, 0, 0, 0)


def try_secure_bits():
    return call(167 if IS_ARM else 157, 28, 0, 0, 0, 0)


def try_ambient():
    return call(167 if IS_ARM else 157, 47, 2, 0, 0, 0)


def try_name_of_memory():
    return call(167 if IS_ARM else 157, 35, 1, 0, 0, 0)


def try_rules():
    return call(444, 0, 0, 1)


def try_restrict():
    return call(446, 3, 0)


def try_personality():
    return call(92 if IS_ARM else 135, 0x0040000)


def try_adopt():
    return call(167 if IS_ARM else 157, 36, 1, 0, 0, 0)
