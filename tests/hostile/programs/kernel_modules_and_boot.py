"""Loads kernel modules, another kernel, and restarts the machine (with a wrong key)."""
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


def try_module():
    return call(105 if IS_ARM else 175, 0, 0, b"")


def try_module_file():
    return call(273 if IS_ARM else 313, 0, b"", 0)


def try_remove_module():
    return call(106 if IS_ARM else 176, b"no-such-module", 0)


def try_kexec():
    return call(104 if IS_ARM else 246, 0, 0, 0, 0)


def try_reboot():
    return call(142 if IS_ARM else 169, 1, 2, 3, 0)


def try_swap():
    return call(225 if IS_ARM else 168, b"/nowhere")


def try_log():
    return call(116 if IS_ARM else 103, 10, 0, 0)


def try_accounting():
    return call(89 if IS_ARM else 163, b"/nowhere")


def try_host_name():
    return call(161 if IS_ARM else 170, b"", 0)
