"""Mounts, changes its root and enters new namespaces."""
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


def try_mount():
    return call(40 if IS_ARM else 165, b"none", b"@CANARY@", b"tmpfs", 0, 0)


def try_unmount():
    return call(39 if IS_ARM else 166, b"/nowhere", 0)


def try_chroot():
    return call(51 if IS_ARM else 161, b"@CANARY@")


def try_pivot():
    return call(41 if IS_ARM else 155, b"/nowhere", b"/nowhere")


def try_unshare_user():
    return call(97 if IS_ARM else 272, 0x10000000)


def try_unshare_mounts():
    return call(97 if IS_ARM else 272, 0x20000)


def try_unshare_network():
    return call(97 if IS_ARM else 272, 0x40000000)


def try_enter():
    return call(268 if IS_ARM else 308, 0, 0)


def try_open_tree():
    return call(428, -100, b"/", 0)


def try_file_system():
    return call(430, b"tmpfs", 0)


def try_handle():
    return call(265 if IS_ARM else 304, -100, bytes(16), 0)
