"""The forked child: give rights up, call the entry function, write its bytes to one pipe, leave.

In: the open pipe, the limits, the payload. Out: one status byte and the output. The status byte is
written by the process in which the candidate ran, so it may be forged; a forger only hurts itself.
"""

import importlib
import os
import resource
import sys
from collections.abc import Callable

from evoprompt.jail import confine
from evoprompt.jail.limits import Limits

DONE, NO_MEMORY, FAILED = b"D", b"M", b"F"
DETAIL_BYTES = 2000  # of the text of an exception that left the entry function
_OPEN_FILES = 256


def resolve(name: str) -> Callable[..., object]:
    """Return the function that "module:function" names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def run_and_exit(
    entry: str,
    payload: bytes,
    limits: Limits,
    pipe: int,
    zygote: int,
    threads: int,
    rules: confine.Confinement | None,
) -> None:
    """Run one job in this freshly forked process, which ends here whatever happens."""
    try:
        message = _message(entry, payload, limits, pipe, zygote, threads, rules)
        view = memoryview(message)
        while view:
            view = view[os.write(pipe, view) :]
    finally:
        os._exit(0)


def _message(
    entry: str,
    payload: bytes,
    limits: Limits,
    pipe: int,
    zygote: int,
    threads: int,
    rules: confine.Confinement | None,
) -> bytes:
    try:
        _take_only(pipe, zygote, rules)
        _limit(limits)
        if rules is not None:
            confine.confine(rules)
        if threads > 1 and "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        output = resolve(entry)(payload)
        if not isinstance(output, bytes):
            raise TypeError(f"{entry} returned {type(output).__name__}, not bytes")
        return DONE + output
    except MemoryError:
        return NO_MEMORY
    except BaseException as error:  # the wall: whatever the candidate raised is recorded
        return FAILED + describe(error).encode("utf-8", "replace")[:DETAIL_BYTES]


def describe(error: BaseException, limit: int = 300) -> str:
    """Return "Type: message", cut, even if the exception's own __str__ fails."""
    try:
        text = str(error)[:limit]
    except BaseException:  # the wall: __str__ of a candidate's exception is its code
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _take_only(pipe: int, zygote: int, rules: confine.Confinement | None) -> None:
    """Leave the zygote's session and close every descriptor but the pipe and the rules'."""
    os.setsid()
    confine.die_with(zygote)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    kept = {pipe} if rules is None or rules.landlock is None else {pipe, rules.landlock}
    for number in _open_descriptors():
        if number > 2 and number not in kept:
            _close(number)


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _close(number: int) -> None:
    try:
        os.close(number)
    except OSError:
        return


def _limit(limits: Limits) -> None:
    """Set the resource limits; CPU gets one second more before it is a plain kill."""
    set_limit = resource.setrlimit
    set_limit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    set_limit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    set_limit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    set_limit(resource.RLIMIT_CORE, (0, 0))
    if limits.memory_mb is not None:
        total = _mapped_bytes() + (limits.memory_mb << 20)
        set_limit(resource.RLIMIT_AS, (total, total))


def _mapped_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
