"""One zygote seen from the process that drives it: started by exec, one job at a time.

In: names of trusted functions, bytes, limits. Out: an `Outcome`. A zygote that dies is started
again once. It ends when its socket closes, so nothing outlives a parent that is killed.
"""

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from evoprompt.errors import JailError
from evoprompt.jail import wire
from evoprompt.jail.limits import Limits, Outcome

_START_SECONDS = 180.0  # importing torch on a busy machine with a cold disk takes a minute
_ANSWER_SECONDS = 30.0  # beyond twice the wall limit: a job may be tried twice
_END_SECONDS = 10.0
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from evoprompt.jail.forker import main; main(int(sys.argv[1]), sys.path[:])"
)

# Large pages, and no memory given back in between: a job meets fewer page faults.
_MALLOC = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "hugetlb": 1,
        "mmap_threshold": 32 << 20,
        "trim_threshold": 4 << 30,
        "top_pad": 16 << 20,
    }.items()
)


class Zygote:
    """A warmed process that forks a confined child for each job.

    Args:
        warm: "module:function" names that are called once at the start: imports, first traces.
        threads: CPU threads that a job may use; the zygote itself uses one.
        multithreaded: Let jobs start threads, even if `threads` is one.
        pass_gpu: Let jobs use the GPU (never touch it in `warm`: CUDA does not survive a fork).
        packages: Folders or modules of site-packages that jobs may read, beside torch, numpy, onnx.
        reuse: Jobs that a child may serve, one after the other; more than one only for trusted
            functions that read untrusted bytes.
        unsafe: Run also where Landlock or seccomp is missing.
        confined: False confines nothing: for tests.
        lacking: Parts of the protection ("landlock", "seccomp", "namespaces") that are taken to be
            missing: for tests.
    """

    def __init__(
        self,
        warm: Sequence[str],
        *,
        threads: int = 1,
        multithreaded: bool = False,
        pass_gpu: bool = False,
        packages: Sequence[str] = (),
        reuse: int = 1,
        unsafe: bool = False,
        confined: bool = True,
        lacking: Sequence[str] = (),
    ) -> None:
        self._settings: dict[str, Any] = {
            "warm": list(warm),
            "threads": threads,
            "multithreaded": multithreaded,
            "pass_gpu": pass_gpu,
            "packages": list(packages),
            "reuse": reuse,
            "unsafe": unsafe,
            "confined": confined,
            "lacking": list(lacking),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        self.available: dict[str, bool] = {}
        """After the start: whether this machine gave "landlock", "seccomp" and "namespaces"."""
        self.missing: tuple[str, ...] = ()
        """After the start: what this machine cannot give, in sentences for a person."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """The running zygote's process id."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start and warm the zygote unless it runs; `run` does it by itself.

        Raises:
            JailError: The platform has no such jail, or the warm-up failed; without Landlock or
                seccomp it is refused, unless `unsafe`.
        """
        if self._control is not None:
            return
        if platform.system() != "Linux":
            raise JailError(
                f"candidates cannot be run on {platform.system()}: the jail needs Linux. "
                "Expected Linux 5.13 or later; run evoprompt in a Linux container."
            )
        with self._lock:
            self._refuse_if_closed()
            self._spawn()
        self._warm_up()

    def run(self, entry: str, payload: bytes, limits: Limits) -> Outcome:
        """Run `entry(payload)` in a fresh child and return its bytes or how it was killed.

        Raises:
            JailError: The zygote cannot be started, or died twice during this job.
        """
        for _ in range(2):
            self.start()
            try:
                return self._ask(entry, payload, limits)
            except (EOFError, OSError):
                self._stop()
                self._refuse_if_closed()
            except BaseException:  # interrupted: the answer would be read as that of the next job
                self._stop()
                raise
        raise JailError(
            f"the zygote process died twice while it ran {entry}. Expected it to outlive every "
            "job. Look for the out-of-memory killer in the system log, and lower the number of "
            "workers or the memory limit."
        )

    def close(self) -> None:
        """End the zygote and whatever it runs; a `run` in another thread raises JailError."""
        with self._lock:
            self._is_closed = True
        self._stop()

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise JailError(
                "a job was given to a closed jail. Expected an open one: "
                "make a new Zygote or JailPool."
            )

    def _ask(self, entry: str, payload: bytes, limits: Limits) -> Outcome:
        control = self._control
        if control is None:
            raise EOFError
        control.settimeout(2 * limits.seconds + _ANSWER_SECONDS)
        wire.send(control, {"entry": entry, "limits": asdict(limits)}, payload)
        report, body = wire.receive(control)
        output = body if report["has_output"] else None
        return Outcome(output, report["killed"], report["detail"], report["seconds"])

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        path = [entry for entry in sys.path if os.path.isabs(entry)]
        arguments = [sys.executable, "-P", "-s", "-c", _PROGRAM, str(theirs.fileno())]
        self._process = subprocess.Popen(
            [*arguments, json.dumps(path)],
            pass_fds=[theirs.fileno()],
            env=_clean_environment(self._settings["pass_gpu"]),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._control = ours

    def _warm_up(self) -> None:
        control = self._control
        report: dict[str, Any] = {"error": "it ended before it was ready"}
        if control is not None:
            try:
                control.settimeout(_START_SECONDS)
                wire.send(control, self._settings)
                report, _ = wire.receive(control)
            except (EOFError, OSError) as error:
                report = {"error": f"it ended before it was ready ({error})"}
            except BaseException:
                self._stop()
                raise
        if "refused" in report:
            self._stop()
            raise JailError(
                f"candidates are not run on this machine: {report['refused']}. Expected Linux 5.13 "
                "or later on x86-64 or ARM64, with Landlock and seccomp switched on. Run evoprompt "
                "in a container or virtual machine that holds nothing of value, with "
                "--screen.unsafe if it lacks them too."
            )
        if "error" in report:
            self._stop()
            self._refuse_if_closed()
            raise JailError(
                f"the process that runs candidates did not start: {report['error']}. Expected "
                f"{', '.join(self._settings['warm'])} to run there. "
                "Check the installation (`make setup`) and the free memory."
            )
        self.available = report["available"]
        self.missing = tuple(report["missing"])

    def _stop(self) -> None:
        """Close the socket, on which the zygote kills its job and ends; kill it if it does not."""
        with self._lock:
            process, self._process = self._process, None
            control, self._control = self._control, None
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
            control.close()
        if process is not None:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _clean_environment(pass_gpu: bool) -> dict[str, str]:
    """Nothing of the user's environment: it may hold keys, and a candidate can read its own."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",  # the zygote must not start threads; a job may raise its own
        "MKL_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "GLIBC_TUNABLES": _MALLOC,
    }
    if not pass_gpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    elif "CUDA_VISIBLE_DEVICES" in os.environ:
        environment["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
    return environment
