"""The zygote's own program: warmed once, then one forked child per job, until the socket closes.

In: jobs on a socket. Out: outcomes. The zygote runs trusted code only; a candidate is executed in
a child that dies with its job, together with everything that it started. Only trusted functions
that read untrusted bytes may share a child (`keeper`).

What this does not protect from: a hole in the kernel, which all jobs share, and what the timing of
caches tells; the names, sizes and times of files (their contents are closed); what the zygote has
in its memory (no key and no label; but the sources that it was given before); use of the CPU and of
memory up to the limits; a GPU's driver, where a job gets the GPU. Memory may be written and
run, so a program can always run machine code of its own, and it can say anything: a result is bytes
from a process in which the candidate ran, and whoever receives it must check it.
"""

import gc
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from typing import Any

from evoprompt.jail import confine, job, kernel, pages, watch, wire
from evoprompt.jail.ended import Ended, judge
from evoprompt.jail.keeper import Keeper
from evoprompt.jail.limits import Limits
from evoprompt.jail.watch import Child, ParentGoneError


class RefusedError(Exception):
    """This machine cannot confine candidates."""


def main(descriptor: int, import_path: list[str]) -> None:
    """Warm up, then serve jobs from the socket until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = import_path
    with socket.socket(fileno=descriptor) as control:
        try:
            forker = _start(control)
        except RefusedError as error:
            wire.send(control, {"refused": str(error)})
            return
        except Exception:  # the wall of this process: reported, then it ends
            wire.send(control, {"error": traceback.format_exc(limit=-4)})
            return
        _serve(control, forker)


def _start(control: socket.socket) -> "Forker | Keeper":
    settings, _ = wire.receive(control)
    kernel.adopt_orphans()
    tempfile.tempdir = "/tmp"  # torch's compiler asks when it is imported; nobody may write there
    missing = set(settings["lacking"]) | confine.lacking() if settings["confined"] else set()
    core = missing & {confine.LANDLOCK, confine.SECCOMP}
    if core and not settings["unsafe"]:
        raise RefusedError("; ".join(confine.sentences(core)))
    counts = False
    if settings["confined"]:
        counts = _leave_the_machine(settings, missing)
    for name in settings["warm"]:
        job.resolve(name)()
    confinement = confine.NOTHING
    if settings["confined"]:
        threads = settings["multithreaded"] or settings["threads"] > 1
        confinement = confine.prepare(settings["packages"], threads, settings["pass_gpu"], missing)
        kernel.drop_privileges()
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page shared with the children
    pages.join()
    kernel.hide_memory()
    setting = job.Setting(confinement, settings["threads"], os.getpid(), counts)
    wire.send(control, {"ready": os.getpid(), **_report(missing, settings["confined"])})
    return _forker(control, setting, settings)


def _leave_the_machine(settings: dict[str, Any], missing: set[str]) -> bool:
    """Enter namespaces, before a thread is started; whether this user's processes are counted."""
    is_root = os.geteuid() == 0
    if settings["pass_gpu"]:  # CUDA in a network and user namespace of its own was never run
        missing.add(confine.GPU)
        return False
    if confine.NAMESPACES in missing or kernel.enter_namespaces() is not None:
        missing.add(confine.NAMESPACES)
        return False
    return not is_root  # the kernel never counts root's


def _report(missing: set[str], is_confined: bool) -> dict[str, Any]:
    parts = (confine.LANDLOCK, confine.SECCOMP, confine.NAMESPACES)
    if not is_confined:
        return {"available": dict.fromkeys(parts, False), "missing": []}
    available = {part: part not in missing for part in parts}
    available[confine.NAMESPACES] &= confine.GPU not in missing
    return {"available": available, "missing": confine.sentences(missing)}


def _forker(
    control: socket.socket, setting: job.Setting, settings: dict[str, Any]
) -> "Forker | Keeper":
    may_wait = settings["pass_gpu"]
    if settings["reuse"] > 1:
        return Keeper(control, setting, may_wait, settings["reuse"])
    return Forker(control, setting, may_wait)


def _serve(control: socket.socket, forker: "Forker | Keeper") -> None:
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
            forker.close()
            return


class Forker:
    """Forks, watches and cleans up after one child at a time."""

    def __init__(self, control: socket.socket, setting: job.Setting, may_wait: bool) -> None:
        self.control = control
        self.setting = setting
        self.may_wait = may_wait

    def run(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        """Run one job; one that hung is tried once more.

        One in about 2,300 forks hung for no reason that was found (facts.md). A program that
        sleeps looks the same and costs four seconds, or its limit if that is shorter.
        """
        ended = self._run_once(entry, payload, limits)
        return self._run_once(entry, payload, limits) if ended.is_still else ended

    def close(self) -> None:
        """Nothing is kept between jobs."""

    def _run_once(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        function = job.resolve(entry)
        mapped = job.mapped_bytes() if limits.memory_mb is not None else 0
        read_end, write_end = os.pipe()
        process = os.fork()
        if process == 0:
            job.run_and_exit(function, payload, limits, mapped, write_end, self.setting)
        os.close(write_end)
        os.set_blocking(read_end, False)
        child = Child(process, os.pidfd_open(process), read_end)
        status, cpu = 0, 0.0
        try:
            data, killed = watch.watch(child, self.control.fileno(), limits, self.may_wait)
        finally:
            status, cpu = watch.end(child)
        return judge(bytes(data[:1]), data[1:], killed, status, cpu, limits)
