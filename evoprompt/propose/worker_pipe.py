"""A child process of ours that answers each JSON line with another one, under a time limit.

In: a module of this package that calls `serve`, an environment, requests. Out: answers, or
`WorkerError` with the last lines that the child printed: it died, or was silent for too long.
The child ends when its pipe does, so that a killed search leaves none behind.
Not promised: protection from the child; it runs our code with our rights.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
LOG_LINES = 8  # of the child's output that a failure carries
CLOSE_SECONDS = 5.0  # for the child to end by itself


class WorkerError(Exception):
    """The child is of no use any more; the text says why, and `log` what it printed last."""

    def __init__(self, what: str, log: str) -> None:
        super().__init__(what)
        self.log = log


class WorkerPipe:
    """One running child."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        """Start `python -m module`; what it prints goes to a file without a name."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
        answer_end, child_end = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(child_end)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=dict(environment),
            pass_fds=(child_end,),
            start_new_session=True,  # so that its own children end with it
        )
        os.close(child_end)
        assert self._process.stdin is not None
        self._request_end = self._process.stdin.fileno()
        self._answer_end = answer_end
        os.set_blocking(self._request_end, False)
        os.set_blocking(self._answer_end, False)
        self._is_open = True

    def ask(self, request: Json, seconds: float) -> Json:
        """Send a request and wait for its answer.

        Raises:
            WorkerError: the child died, or did not answer in time; it is ended.
        """
        deadline = time.monotonic() + seconds
        try:
            self._send(json.dumps(request).encode() + b"\n", deadline)
            return json.loads(self._receive(deadline))
        except (TimeoutError, EOFError, BrokenPipeError, ValueError) as error:
            hung = isinstance(error, TimeoutError)
            if not hung:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(CLOSE_SECONDS)
            code = self._process.poll()
            ended = "it died" if code is None else f"it died with code {code}"
            log = self.last_lines()
            self.close(0.0)
            raise WorkerError(
                f"no answer within {seconds:.0f} s" if hung and code is None else ended, log
            ) from None

    def last_lines(self) -> str:
        """What the child printed last."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 20_000))
        lines = self._log.read().decode(errors="replace").splitlines()
        said = [line.rstrip()[:300] for line in lines if line.strip()]
        return "\n".join(said[-LOG_LINES:])

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """End the child and all that it started."""
        if not self._is_open:
            return
        self._is_open = False
        assert self._process.stdin is not None
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            self._process.stdin.close()
            self._process.wait(timeout=seconds)
        with contextlib.suppress(ProcessLookupError):  # everything of the group has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._answer_end)
        self._log.close()

    def _send(self, data: bytes, deadline: float) -> None:
        while data:
            try:
                data = data[os.write(self._request_end, data) :]
            except BlockingIOError:
                _wait(self._request_end, selectors.EVENT_WRITE, deadline)

    def _receive(self, deadline: float) -> bytes:
        parts: list[bytes] = []
        while not (parts and parts[-1].endswith(b"\n")):
            _wait(self._answer_end, selectors.EVENT_READ, deadline)
            parts.append(os.read(self._answer_end, 1 << 20))
            if not parts[-1]:
                raise EOFError
        return b"".join(parts)


def _wait(end: int, event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(end, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError


def serve(answer: Callable[[Json], Json]) -> None:
    """In the child: answer requests until the pipe ends; a failure is answered and printed."""
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            try:
                made = answer(json.loads(line))
            except Exception as error:  # the wall of this process: said to the parent, which counts
                traceback.print_exc()
                made = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(made) + "\n")
            answers.flush()
