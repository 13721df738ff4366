"""Run a command as an ordinary user, in a copy of the file tree that this user may walk.

Started by root with a user id and a command. Where the interpreter or the checkout lies in a folder
that is closed to others, as root's home is, that folder is covered by an empty one, for this
process and its children only, in which the needed part is mounted. No right stays with the user.
"""

import ctypes
import os
import sys
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_MOUNTS = 0x00020000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_OPEN_TO_OTHERS = 0o005


def main(user: int, command: list[str]) -> None:
    """Become the user and the command."""
    _check(_LIBC.unshare(_NEW_MOUNTS))
    _check(_LIBC.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None))
    for needed in {Path(sys.base_prefix), Path(sys.prefix), Path.cwd()}:
        _open_the_way(needed.resolve())
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(command[0], command)


def _open_the_way(needed: Path) -> None:
    """Cover the first folder on the way that is closed to others."""
    for folder in reversed(needed.parents):
        if folder.stat().st_mode & _OPEN_TO_OTHERS != _OPEN_TO_OTHERS:
            handle = os.open(needed, os.O_PATH)
            options = b"mode=755"
            _check(_LIBC.mount(b"none", bytes(folder), b"tmpfs", 0, options))
            needed.mkdir(parents=True)
            there = f"/proc/self/fd/{handle}".encode()
            _check(_LIBC.mount(there, bytes(needed), None, _BIND | _RECURSIVE, None))
            os.close(handle)
            return


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
