"""One confined child that serves many jobs: for trusted functions that read untrusted bytes.

In and out as `forker.Forker`, without a fork for each job, which is most of a short job's cost. A
job that breaks a limit or fails takes its child with it, and is tried once in a fresh one if the
child had served before, so that no outcome depends on what came earlier. Not promised: bytes that
take the trusted function over can answer for the jobs after them, until the child is replaced.
"""

import math
import os
import resource
import socket

from evoprompt.jail import job, watch
from evoprompt.jail.ended import Ended, judge
from evoprompt.jail.limits import Limits
from evoprompt.jail.watch import Child


class Keeper:
    """Keeps one child for up to `reuse` jobs."""

    def __init__(
        self, control: socket.socket, setting: job.Setting, may_wait: bool, reuse: int
    ) -> None:
        self.control = control
        self.setting = setting
        self.may_wait = may_wait
        self.reuse = reuse
        self._child: Child | None = None
        self._served = 0
        self._mapped = 0
        self._known: set[str] = set()

    def run(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        """Run one job; once more in a fresh child if it failed in a used one, or hung."""
        is_fresh = self._served == 0
        ended = self._run_once(entry, payload, limits)
        is_in_doubt = not is_fresh and ended.killed in {"memory", "crash"}
        if is_in_doubt or ended.is_still:
            ended = self._run_once(entry, payload, limits)
        return ended

    def close(self) -> None:
        """End the child that is kept."""
        if self._child is not None:
            self._end(self._child)

    def _run_once(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        if entry not in self._known:  # a child that is confined cannot import it
            job.resolve(entry)
            self._known.add(entry)
            self.close()
        child = self._child or self._start()
        self._served += 1
        self._limit(child, limits)
        name = entry.encode()
        request = b"".join((job.REQUEST.pack(len(name), len(payload)), name, payload))
        data, killed, is_over = bytearray(), None, True
        try:
            data, killed = watch.watch(
                child, self.control.fileno(), limits, self.may_wait, request, _is_whole
            )
            is_over = killed is not None or not _is_answer(data) or self._served >= self.reuse
        finally:
            status, cpu = self._end(child) if is_over else (0, 0.0)
        if killed is None and _is_whole(data):
            kind = data[:1] if len(data) == _length(data) else b""
            return judge(bytes(kind), data[job.ANSWER.size :], None, 0, cpu, limits)
        return judge(b"", bytearray(), killed, status, cpu, limits)

    def _start(self) -> Child:
        self._mapped = job.mapped_bytes()
        requests, send = os.pipe()
        receive, answers = os.pipe()
        process = os.fork()
        if process == 0:
            job.serve_and_exit(requests, answers, self.setting)
        os.close(requests)
        os.close(answers)
        for descriptor in (send, receive):
            os.set_blocking(descriptor, False)
        self._child = Child(process, os.pidfd_open(process), receive, send)
        return self._child

    def _end(self, child: Child) -> tuple[int, float]:
        self._child, self._served = None, 0
        return watch.end(child)

    def _limit(self, child: Child, limits: Limits) -> None:
        """Move the limits on for the next job; the clock of a child that serves goes on."""
        cpu = math.ceil(watch.cpu_seconds(child.process)) + limits.cpu_seconds
        memory = resource.RLIM_INFINITY
        if limits.memory_mb is not None:
            memory = self._mapped + (limits.memory_mb << 20)
        for kind, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, limits.file_bytes),
        ):
            resource.prlimit(child.process, kind, (value, resource.RLIM_INFINITY))


def _length(data: bytearray) -> int:
    """Bytes of the answer that begins here, once its header is there."""
    return job.ANSWER.size + job.ANSWER.unpack_from(data)[1]


def _is_whole(data: bytearray) -> bool:
    return len(data) >= job.ANSWER.size and len(data) >= _length(data)


def _is_answer(data: bytearray) -> bool:
    """Whether the child did its job and waits for the next one."""
    return _is_whole(data) and len(data) == _length(data) and data[:1] == job.DONE
