"""The Linux calls that the standard library lacks, through ctypes.

In: numbers and bytes. Out: results, or OSError. Nothing here decides what is allowed.
"""

import contextlib
import ctypes
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h: three sets of 64 bits
_LAST_CAPABILITY = 63  # more than any kernel has; unknown ones are refused with EINVAL
_NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_NET = 0x04000000, 0x08000000, 0x10000000, 0x40000000


def prctl(option: int, *arguments: object) -> None:
    """Call prctl; integers are passed as unsigned long."""
    padded = [*arguments, *[0] * (4 - len(arguments))]
    values = [ctypes.c_ulong(v) if isinstance(v, int) else v for v in padded]
    if LIBC.prctl(option, *values):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def call(number: int, *arguments: object) -> int:
    """Make a system call by its number; integers are passed as long."""
    values = [ctypes.c_long(v) if isinstance(v, int) else v for v in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def advise(address: int, length: int, advice: int) -> bool:
    """Call madvise; whether the kernel followed."""
    span = ctypes.c_void_p(address), ctypes.c_size_t(length)
    return LIBC.madvise(*span, ctypes.c_int(advice)) == 0


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Keep processes of the same user from reading this process's memory through /proc."""
    prctl(_PR_SET_DUMPABLE, 0)


def die_with(parent: int) -> None:
    """Be killed when the parent process dies."""
    prctl(_PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def enter_namespaces() -> str | None:
    """Leave the network, the IPC objects and the host name of the machine; return why not, if not.

    An ordinary user needs a user namespace for that. Root does without: in one it could no longer
    read files that belong to others, the interpreter for instance.
    """
    own = _NEW_NET | _NEW_IPC | _NEW_UTS
    if LIBC.unshare(own) == 0:
        return None
    user, group = os.geteuid(), os.getegid()
    if LIBC.unshare(own | _NEW_USER):
        return os.strerror(ctypes.get_errno())
    maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in maps.items():
        # Without a map the process has no name for its own user, and all its rights all the same.
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return None


def drop_privileges() -> None:
    """Give up all capabilities, also those that root would get back, and set-uid programs."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(_LAST_CAPABILITY + 1):
        # EPERM for who has none to give up, EINVAL after the kernel's last one.
        LIBC.prctl(_PR_CAPBSET_DROP, *map(ctypes.c_ulong, (capability, 0, 0, 0)))
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    if LIBC.capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")
