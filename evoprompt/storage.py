"""Writing files so that a kill at any moment leaves the old file or the new one, never half of one.

Standard library only, so that every room may use it. It does not lock: the ledger does.
"""

import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path

from evoprompt.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name, flush to the disk, rename.

    Raises:
        StorageError: The disk is full or not writable; the old file, if any, is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """Turn an operating-system error about a file into one that says what to do."""
    what = "cannot write" if error.errno in _FULL else "error while writing"
    return StorageError(
        f"{what} {path}: {error.strerror or error}. Expected a writable disk with free space. "
        "Free some space or choose another folder; nothing that was recorded is lost, "
        "and `evoprompt resume` goes on from there."
    )


def file_hash(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
