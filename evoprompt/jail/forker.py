"""The zygote's own program: warmed once, then one forked child per job, until the socket closes.

In: jobs on a socket. Out: outcomes. The zygote runs trusted code only; a candidate is executed in
a child that dies with its job, together with everything that it started.

What this does not protect from: a child may read any file that its user may read (but has no way
out for what it read, except its result), it shares the kernel and the CPU caches, and as root or
where Landlock or seccomp are missing it may signal other processes and write files. A result is
bytes from a process in which the candidate ran: whoever receives it must check it.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass

from evoprompt.jail import confine, job, wire
from evoprompt.jail.limits import Limits

_HANG_CPU_SHARE = 0.05  # a job over its wall limit that used less CPU than this may have hung
_GIVE_UP_SECONDS = 5.0  # for killing what a job left behind


@dataclass(frozen=True)
class Ended:
    """How one child ended."""

    output: bytes | None
    killed: str | None
    detail: str
    cpu_seconds: float


class ParentGoneError(Exception):
    """The process that drives this zygote is gone."""


def main(descriptor: int, import_path: list[str]) -> None:
    """Warm up, then serve jobs from the socket until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = import_path
    with socket.socket(fileno=descriptor) as control:
        try:
            forker = _start(control)
        except Exception:  # the wall of this process: reported, then it ends
            wire.send(control, {"error": traceback.format_exc(limit=-4)})
            return
        _serve(control, forker)


def _start(control: socket.socket) -> "Forker":
    settings, _ = wire.receive(control)
    confine.adopt_orphans()
    for name in settings["warm"]:
        job.resolve(name)()
    confine.hide_memory()
    rules = confine.prepare(settings["pass_gpu"]) if settings["confined"] else None
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page shared with the children
    available = rules.available if rules else {}
    wire.send(control, {"ready": os.getpid(), "available": available})
    return Forker(control, settings["threads"], rules)


def _serve(control: socket.socket, forker: "Forker") -> None:
    while True:
        try:
            header, payload = wire.receive(control)
            limits = Limits(**header["limits"])
            begin = time.monotonic()
            ended = forker.run(header["entry"], payload, limits)
            report = {
                "has_output": ended.output is not None,
                "killed": ended.killed,
                "detail": ended.detail,
                "seconds": time.monotonic() - begin,
            }
            wire.send(control, report, ended.output or b"")
        except (EOFError, OSError, ParentGoneError):
            return


class Forker:
    """Forks, watches and cleans up after one child at a time."""

    def __init__(
        self, control: socket.socket, threads: int, rules: confine.Confinement | None
    ) -> None:
        self.control = control
        self.threads = threads
        self.rules = rules

    def run(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        """Run one job; a hang that used no CPU is tried once more.

        One in about 2,300 forks hung for no reason that was found (facts.md).
        """
        ended = self._run_once(entry, payload, limits)
        if ended.killed == "wall" and ended.cpu_seconds < _HANG_CPU_SHARE * limits.seconds:
            ended = self._run_once(entry, payload, limits)
        return ended

    def _run_once(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        read_end, write_end = os.pipe()
        zygote, child = os.getpid(), os.fork()
        if child == 0:
            os.close(read_end)
            job.run_and_exit(entry, payload, limits, write_end, zygote, self.threads, self.rules)
        os.close(write_end)
        handle = os.pidfd_open(child)
        try:
            data, killed = self._watch(read_end, handle, limits)
        finally:
            _kill_group(child)
            _, status, usage = os.wait4(child, 0)
            _kill_rest()
            os.close(handle)
            os.close(read_end)
        return _judge(data, killed, status, usage.ru_utime + usage.ru_stime, limits)

    def _watch(self, pipe: int, child: int, limits: Limits) -> tuple[bytearray, str | None]:
        """Collect the child's output until it is gone or over a limit."""
        data = bytearray()
        end = time.monotonic() + limits.seconds
        os.set_blocking(pipe, False)
        poll = select.poll()
        for descriptor in (pipe, child, self.control.fileno()):
            poll.register(descriptor, select.POLLIN)
        while True:
            left = end - time.monotonic()
            ready = {number for number, _ in poll.poll(max(0.0, left) * 1000)} if left > 0 else ()
            if not ready:
                return data, "wall"
            if self.control.fileno() in ready:  # nothing is sent during a job: it was closed
                raise ParentGoneError
            if pipe in ready and not _drain(pipe, data, limits.output_bytes + 1):
                poll.unregister(pipe)
            if len(data) > limits.output_bytes + 1:
                return data, "output"
            if child in ready:
                _drain(pipe, data, limits.output_bytes + 1)
                return data, "output" if len(data) > limits.output_bytes + 1 else None


def _drain(pipe: int, data: bytearray, limit: int) -> bool:
    """Read what is there; False at the end of the stream."""
    while len(data) <= limit:
        try:
            block = os.read(pipe, 1 << 16)
        except BlockingIOError:
            return True
        if not block:
            return False
        data += block
    return True


def _kill_group(child: int) -> None:
    for kill in (os.killpg, os.kill):  # before its setsid the child has no group of its own
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _kill_rest() -> None:
    """Kill what left the child's group: orphans come to this process, which adopts them."""
    end = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < end:
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


def _judge(data: bytearray, killed: str | None, status: int, cpu: float, limits: Limits) -> Ended:
    """Say how the child ended."""
    if killed == "wall":
        return Ended(None, "wall", f"over its {limits.seconds:g} seconds", cpu)
    if killed == "output":
        return Ended(None, "output", f"output over {limits.output_bytes} bytes", cpu)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu >= limits.cpu_seconds):
        return Ended(None, "cpu", f"over its {limits.cpu_seconds} CPU seconds", cpu)
    if number == signal.SIGKILL:
        return Ended(None, "memory", "killed by the system: out of memory", cpu)
    if number:
        return Ended(None, "crash", f"ended by {signal.Signals(number).name}", cpu)
    kind, body = bytes(data[:1]), bytes(data[1:])
    if kind == job.DONE:
        return Ended(body, None, "", cpu)
    if kind == job.NO_MEMORY:
        return Ended(None, "memory", f"over its {limits.memory_mb} MB of memory", cpu)
    if kind == job.FAILED:
        text = body[: job.DETAIL_BYTES].decode("utf-8", "replace")
        return Ended(None, "crash", text, cpu)
    return Ended(None, "crash", "ended without a result", cpu)
