"""The list of allowed system calls as a BPF program that the kernel runs before each call.

In: what kind of job it is. Out: the program, or None on a processor whose numbers are not known.
A call that is not on the list fails with EPERM; a call of another architecture kills. Not filtered:
memory that is both written and run, because torch's kernels (oneDNN) are compiled while they run.
"""

import ctypes
import platform
import struct

from evoprompt.jail import kernel
from evoprompt.jail.syscalls import ARGUMENTS, CLONE, CLONE3, GPU, PLAIN, THREAD_FLAGS, THREADS

_COLUMNS = {"x86_64": 0, "aarch64": 1}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_PR_SET_SECCOMP, _PR_GET_SECCOMP, _MODE_FILTER = 22, 21, 2
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_HIGH = 4  # bytes from the lower to the upper half of an argument, little endian


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """A filter program, laid out in memory once for all children."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        self._buffer = ctypes.create_string_buffer(code, len(code))
        address = ctypes.cast(self._buffer, ctypes.c_void_p)
        self._program = _Program(len(code) // 8, address)

    def install(self) -> None:
        """Lay the filter on this process, for good; needs no_new_privs."""
        kernel.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(self._program))


def is_known() -> bool:
    """Whether this kernel filters system calls and this processor's are known."""
    is_filtering = kernel.LIBC.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    return is_filtering and platform.machine() in _COLUMNS


def build(threads: bool, gpu: bool, machine: str | None = None) -> Filter | None:
    """Return the filter for a job that may start threads, or use a GPU, or neither."""
    machine = machine or platform.machine()
    if machine not in _COLUMNS:
        return None
    column = _COLUMNS[machine]
    tables = PLAIN | (THREADS if threads or gpu else {}) | (GPU if gpu else {})
    numbers = [row[column] for row in tables.values()]
    code = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        # glibc falls back to clone, whose flags a filter can read.
        *_refuse(CLONE3["clone3"][column], _ENOSYS),
    ]
    if threads or gpu:
        code += _only(CLONE["clone"][column], *THREAD_FLAGS)
    for both, (argument, values) in ARGUMENTS.values():
        code += _only(both[column], argument, values)
    return Filter(b"".join([*code, *_allow([number for number in numbers if number is not None])]))


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; the jumps count the instructions that are left out."""
    return struct.pack("HBBI", code, if_true, if_false, value)


def _refuse(number: int, error: int) -> list[bytes]:
    return [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | error)]


def _only(number: int, argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Allow a call if both halves of one argument are right; fall through for other calls."""
    at = _ARGUMENTS_AT + 8 * argument
    count = len(values)
    body = [
        _step(_LOAD, at + _HIGH),
        _step(_EQUAL, 0, 0, count + 1),
        _step(_LOAD, at),
        *[_step(_EQUAL, value, count - place, 0) for place, value in enumerate(values)],
        _step(_RETURN, _ERRNO | _EPERM),
        _step(_RETURN, _ALLOW),
    ]
    return [_step(_EQUAL, number, 0, len(body)), *body]


def _allow(numbers: list[int]) -> list[bytes]:
    """Allow these calls and refuse the rest; neighbours are compared as one range."""
    ranges = _ranges(sorted(numbers))
    sizes = [1 if low == high else 2 for low, high in ranges]
    code: list[bytes] = []
    for (low, high), size in zip(ranges, sizes, strict=True):
        left = sum(sizes) - len(code) - size  # instructions after this range, before the verdicts
        if size == 1:
            code.append(_step(_EQUAL, low, left + 1, 0))
        else:
            code.append(_step(_AT_LEAST, low, 0, left + 1))
            code.append(_step(_ABOVE, high, 0, left + 1))
    return [*code, _step(_RETURN, _ERRNO | _EPERM), _step(_RETURN, _ALLOW)]


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
