"""Makes forbidden calls under their x32 numbers."""
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


def try_nothing():
    return call(435, 0, 0)


if not IS_ARM:

    def try_fork():
        return call(1073741881)


if not IS_ARM:

    def try_socket():
        return call(1073741865, 1, 1, 0)


if not IS_ARM:

    def try_kill():
        return call(1073741886, os.getppid(), 0)


if not IS_ARM:

    def try_getpid():
        return call(1073741863)
