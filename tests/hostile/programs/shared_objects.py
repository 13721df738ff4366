"""Makes objects that outlive a process: shared memory, semaphores, queues, timers."""
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


def try_memory():
    return call(194 if IS_ARM else 29, 0x7777, 4096, 0x3B6)


def try_semaphore():
    return call(190 if IS_ARM else 64, 0x7777, 1, 0x3B6)


def try_queue():
    return call(186 if IS_ARM else 68, 0x7777, 0x3B6)


def try_named_queue():
    return call(180 if IS_ARM else 240, b"hostile", 0x42, 0x1B6, 0)


def try_timer():
    return call(107 if IS_ARM else 222, 0, 0, bytes(8))


def try_event():
    return call(19 if IS_ARM else 290, 0, 0)


def try_lock_memory():
    return call(228 if IS_ARM else 149, 0, 0)
