"""Watching one child from the zygote: its bytes, its clock, its end.

In: the child's descriptors and limits. Out: what it wrote and which limit it broke. A child may be
blocked, by its own will or by a lock that was held at the fork; that is seen by its CPU clock.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from evoprompt.jail.limits import Limits

STILL = "still"
_LOOK_SECONDS = 1.0  # between two looks at a child's CPU clock
_STILL_CPU_SECONDS = 0.001
_GIVE_UP_SECONDS = 5.0  # for killing what a job left behind


class ParentGoneError(Exception):
    """The process that drives this zygote is gone."""


@dataclass(frozen=True)
class Child:
    """One forked process as the zygote holds it."""

    process: int
    handle: int
    """A pidfd: readable once the process has ended."""
    answers: int
    """The pipe that it writes to."""
    requests: int | None = None
    """The pipe that it reads jobs from, if it serves more than one."""


def cpu_seconds(process: int) -> float:
    """CPU time of a child with all its threads; 0 once it is gone."""
    try:
        return time.clock_gettime((~process << 3) | 2)  # CPUCLOCK_SCHED of that process
    except OSError:
        return 0.0


def watch(
    child: Child,
    control: int,
    limits: Limits,
    may_wait: bool,
    request: bytes = b"",
    is_whole: Callable[[bytearray], bool] = lambda data: False,
) -> tuple[bytearray, str | None]:
    """Send the request, collect the answer until it is whole, or the child gone or over a limit.

    A child that sleeps and uses no CPU for a second (a quarter of a shorter limit) has hung:
    nothing that a job needs waits for the outside, except for a GPU, hence `may_wait`.
    """
    data = bytearray()
    talk = _Talk(child, control, request, data, limits.output_bytes + 64)  # a header comes first
    pulse = _Pulse(child.process, limits.seconds)
    while True:
        wait = pulse.seconds_to_wait()
        if wait <= 0:
            return data, "wall"
        is_quiet, is_gone = talk.wait(wait)
        if is_quiet and not may_wait and pulse.is_still():
            return data, STILL
        if len(data) > talk.most:
            return data, "output"
        if is_gone or is_whole(data):
            return data, None


class _Talk:
    """The descriptors of one job: what is still to be sent, and what came back."""

    def __init__(
        self, child: Child, control: int, request: bytes, data: bytearray, most: int
    ) -> None:
        self.most = most
        self._child, self._control, self._data = child, control, data
        self._to_send = memoryview(request)
        self._poll = select.poll()
        for descriptor in (child.answers, child.handle, control):
            self._poll.register(descriptor, select.POLLIN)
        if child.requests is not None and request:
            self._poll.register(child.requests, select.POLLOUT)

    def wait(self, seconds: float) -> tuple[bool, bool]:
        """Pass on what is ready within that time: whether nothing was, whether the child ended."""
        child = self._child
        ready = {number for number, _ in self._poll.poll(seconds * 1000)}
        if self._control in ready:  # nothing is sent during a job: it was closed
            raise ParentGoneError
        if child.requests is not None and child.requests in ready:
            self._to_send = _send(child.requests, self._to_send)
            if not self._to_send:
                self._poll.unregister(child.requests)
        is_gone = child.handle in ready
        if (child.answers in ready or is_gone) and not _drain(child.answers, self._data, self.most):
            with contextlib.suppress(KeyError):  # the second time after the end of the stream
                self._poll.unregister(child.answers)
        return not ready, is_gone


class _Pulse:
    """The wall clock of a job, and its CPU clock at the last look."""

    def __init__(self, process: int, seconds: float) -> None:
        self._process = process
        self._end = time.monotonic() + seconds
        self._interval = min(_LOOK_SECONDS, seconds / 4)
        self._last_cpu = -1.0

    def seconds_to_wait(self) -> float:
        return min(self._end - time.monotonic(), self._interval)

    def is_still(self) -> bool:
        """Whether the child slept since the last look; false at the first."""
        now = cpu_seconds(self._process)
        was, self._last_cpu = self._last_cpu, now
        return was >= 0 and now - was < _STILL_CPU_SECONDS and _is_sleeping(self._process)


def _is_sleeping(process: int) -> bool:
    """Whether it waits for an event: neither ready to run nor waiting for a disk."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"S"
    except OSError:
        return False


def _send(pipe: int, data: memoryview) -> memoryview:
    try:
        return data[os.write(pipe, data) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]


def _drain(pipe: int, data: bytearray, limit: int) -> bool:
    """Read what is there; False at the end of the stream."""
    while len(data) <= limit:
        try:
            block = os.read(pipe, 1 << 18)
        except BlockingIOError:
            return True
        if not block:
            return False
        data += block
    return True


def end(child: Child) -> tuple[int, float]:
    """Kill the child with all that it started; its status and CPU seconds."""
    _kill_group(child.process)
    _, status, usage = os.wait4(child.process, 0)
    _kill_rest()
    for descriptor in (child.handle, child.answers, child.requests):
        if descriptor is not None:
            os.close(descriptor)
    return status, usage.ru_utime + usage.ru_stime


def _kill_group(child: int) -> None:
    for kill in (os.killpg, os.kill):  # before its setsid the child has no group of its own
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _kill_rest() -> None:
    """Kill what left the child's group: orphans come to this process, which adopts them."""
    give_up = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < give_up:
        try:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            return
        for process in _children():
            _kill_group(process)
        time.sleep(0.001)
    os._exit(1)  # whoever drives this zygote starts a new one


def _children() -> list[int]:
    """The direct children of this process."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.append(int(name))
    return found
