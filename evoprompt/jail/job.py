"""The forked child: give rights up, call the entry function, write its bytes to one pipe, leave.

In: the open pipe, the limits, the payload. Out: one status byte and the output. The status byte is
written by the process in which the candidate ran, so it may be forged; a forger only hurts itself.
"""

import fcntl
import importlib
import os
import resource
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

from evoprompt.jail import kernel
from evoprompt.jail.confine import HIGH_DESCRIPTOR, Confinement
from evoprompt.jail.limits import Limits

DONE, NO_MEMORY, FAILED = b"D", b"M", b"F"
DETAIL_BYTES = 2000  # of the text of an exception that left the entry function
REQUEST = struct.Struct("<HQ")  # bytes of the entry's name, bytes of the payload
ANSWER = struct.Struct("<cQ")  # status, bytes of the body
_OPEN_FILES = 256
_PROCESSES = 64  # and threads, beyond those that a job is allowed
_FIRST = 3  # the descriptors that a child keeps begin here, after the standard ones

Entry = Callable[[bytes], object]


@dataclass(frozen=True)
class Setting:
    """What the zygote knows about all of its children."""

    confinement: Confinement
    threads: int
    zygote: int
    """Process id."""
    counts_processes: bool
    """Whether the limit of processes counts those of this jail only, not all of the user's."""


def resolve(name: str) -> Callable[..., object]:
    """Return the function that "module:function" names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def mapped_bytes() -> int:
    """Address space of this process, as the kernel counts it."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def run_and_exit(
    entry: Entry, payload: bytes, limits: Limits, mapped: int, pipe: int, setting: Setting
) -> None:
    """Run one job in this freshly forked process, which ends here whatever happens."""
    try:
        try:
            _limit(limits, mapped, setting)
            pipe = _enter(setting, pipe)[0]
        except BaseException as error:  # the wall: a child that cannot be confined runs nothing
            message = [FAILED, describe(error).encode()]
        else:
            message = _answer(entry, payload)
        for part in message:
            _write(pipe, part)
    finally:
        os._exit(0)


def serve_and_exit(requests: int, answers: int, setting: Setting) -> None:
    """Run job after job of trusted code until one fails or the zygote closes the pipe."""
    try:
        _limit_for_good(setting)
        requests, answers = _enter(setting, requests, answers)
        status = DONE
        while status == DONE:
            name_length, length = REQUEST.unpack(_read(requests, REQUEST.size))
            entry = resolve(_read(requests, name_length).decode())
            status, body = _answer(entry, _read(requests, length))
            _write(answers, ANSWER.pack(status, len(body)))
            _write(answers, body)
    finally:
        os._exit(0)


def _answer(entry: Entry, payload: bytes) -> list[bytes]:
    try:
        output = entry(payload)
        if not isinstance(output, bytes):
            raise TypeError(f"the entry function returned {type(output).__name__}, not bytes")
        return [DONE, output]
    except MemoryError:
        return [NO_MEMORY, b""]
    except BaseException as error:  # the wall: whatever the candidate raised is recorded
        return [FAILED, describe(error).encode("utf-8", "replace")[:DETAIL_BYTES]]


def describe(error: BaseException, limit: int = 300) -> str:
    """Return "Type: message", cut, even if the exception's own __str__ fails."""
    try:
        text = str(error)[:limit]
    except BaseException:  # the wall: __str__ of a candidate's exception is its code
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _enter(setting: Setting, *pipes: int) -> list[int]:
    """Leave the zygote's session, keep the pipes only, give up all rights; the pipes' new numbers.

    The standard descriptors are the zygote's: /dev/null.
    """
    os.setsid()
    kernel.die_with(setting.zygote)
    if setting.threads > 1 and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(setting.threads)
    # First out of the way, so that none is closed before it has its new place.
    moved = [fcntl.fcntl(pipe, fcntl.F_DUPFD, HIGH_DESCRIPTOR) for pipe in pipes]
    for number, pipe in enumerate(moved, start=_FIRST):
        os.dup2(pipe, number)
    setting.confinement.lay_on(_FIRST + len(pipes))
    return list(range(_FIRST, _FIRST + len(pipes)))


def _limit(limits: Limits, mapped: int, setting: Setting) -> None:
    """Set the resource limits; CPU gets one second more before it is a plain kill."""
    set_limit = resource.setrlimit
    set_limit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    set_limit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    if limits.memory_mb is not None:
        total = mapped + (limits.memory_mb << 20)
        set_limit(resource.RLIMIT_AS, (total, total))
    _limit_for_good(setting)


def _limit_for_good(setting: Setting) -> None:
    """The limits that are the same for every job."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if setting.counts_processes:
        count = _PROCESSES + setting.threads
        resource.setrlimit(resource.RLIMIT_NPROC, (count, count))


def _read(pipe: int, length: int) -> bytes:
    """Read exactly so many bytes; at the end of the stream this process is done."""
    parts: list[bytes] = []
    while length:
        part = os.read(pipe, min(length, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _write(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]
