"""Files, TCP and signals under Landlock: what is not listed cannot be opened, for good.

In: paths that may be read, paths that may be written. Out: the descriptor of a ruleset that a
child lays on itself. Not covered by Landlock: the names, sizes and times of files (stat), UDP and
other sockets, changing a file's mode; `seccomp` refuses the last two.
"""

import functools
import os
import stat
import struct
from collections.abc import Sequence

from evoprompt.jail import kernel

# linux/landlock.h: system calls, and bits of the file accesses by the version that brought them.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_HANDLED = {
    1: (1 << 13) - 1,  # execute, read, write, and making and removing every kind of file
    2: 1 << 13,  # moving files between folders
    3: _TRUNCATE,
    5: _IOCTL_DEVICE,
}
_TCP_BIND_CONNECT = 0b11  # from version 4
_SCOPE_SOCKETS_SIGNALS = 0b11  # from version 6
_LOGS_SINCE, _WITHOUT_LOG = 7, 1  # else a program could fill the system's log with refusals


@functools.cache
def version() -> int:
    """Version of Landlock that this kernel has; 0 if none."""
    try:
        return kernel.call(_CREATE, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def ruleset(readable: Sequence[str], writable: Sequence[str]) -> int:
    """Return the descriptor of the rules; paths that do not exist are left out."""
    known = version()
    handled = sum(bits for since, bits in _HANDLED.items() if since <= known)
    network = _TCP_BIND_CONNECT if known >= 4 else 0
    scope = _SCOPE_SOCKETS_SIGNALS if known >= 6 else 0
    size = 8 if known < 4 else 16 if known < 6 else 24
    attributes = struct.pack("QQQ", handled, network, scope)[:size]
    rules = kernel.call(_CREATE, attributes, size, 0)
    for path in readable:
        _add(rules, path, handled & (_READ_FILE | _READ_DIR))
    for path in writable:
        _add(rules, path, handled & (_READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEVICE))
    return rules


def restrict(rules: int) -> None:
    """Lay the rules on this process, for good; needs no_new_privs."""
    kernel.call(_RESTRICT, rules, _WITHOUT_LOG if version() >= _LOGS_SINCE else 0)


def _add(rules: int, path: str, access: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            access &= ~_READ_DIR
        kernel.call(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", access, handle), 0)
    finally:
        os.close(handle)
