"""One worker of the screen: a candidate is prepared, recorded in a fresh child, checked in another.

In: a source. Out: its verdict and, if it is valid, the ONNX bytes. The zygote that records forks
for every candidate; the process that checks runs trusted code only and is kept for many.
"""

import json
import threading
from dataclasses import dataclass, replace
from typing import Any

from evoprompt.candidate import (
    Reason,
    Rejected,
    Screened,
    Stage,
    TaskShape,
    candidate_id,
    rejected,
)
from evoprompt.config import ScreenSettings
from evoprompt.jail import Limits, Outcome, Zygote
from evoprompt.screen.rules import Prepared, prepare

_RECORD, _CHECK = "evoprompt.screen.child:record", "evoprompt.screen.check:check"
_CHECKS_PER_PROCESS = 500
_OUTPUT_BYTES = (4 << 20) + (64 << 10)  # a graph and its header
_KILLED = {
    "wall": Reason.TIME_LIMIT,
    "cpu": Reason.TIME_LIMIT,
    "memory": Reason.MEMORY_LIMIT,
    "output": Reason.TOO_LARGE,
    "crash": Reason.CRASHED,
}


class Claims:
    """The programs of one batch that a worker has taken; the others wait for its verdict."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._lock = threading.Lock()

    def take(self, candidate: str) -> bool:
        """Whether nobody had taken it."""
        with self._lock:
            is_new = candidate not in self._ids
            self._ids.add(candidate)
        return is_new


@dataclass(frozen=True)
class Verdict:
    """What became of one source."""

    answer: Screened | Rejected | None
    """None if another worker has the same program."""
    candidate: str = ""
    """The program's id; empty if the rules rejected it."""
    adapted: tuple[str, ...] = ()
    graph: bytes = b""
    """The ONNX file of a valid one."""


class Line:
    """Records one source at a time, and checks another meanwhile; see `jail.pool.Worker`."""

    DRIVERS = 2

    def __init__(self, settings: ScreenSettings, shape: TaskShape, confined: bool = True) -> None:
        self._job = {
            "in_shape": list(shape.in_shape),
            "num_classes": shape.num_classes,
            "max_nodes": settings.max_nodes,
            "max_parameters": settings.max_parameters,
            "max_macs": settings.max_macs,
        }
        self._task = shape.word  # for the checker only: a candidate need not know it
        self._limits = Limits(
            settings.seconds_limit, settings.cpu_seconds, settings.memory_mb, _OUTPUT_BYTES
        )
        self._recording, self._checking = threading.Lock(), threading.Lock()
        unsafe = settings.unsafe
        self._recorder = Zygote(
            ["evoprompt.screen.child:warm"],
            packages=["onnxruntime", "onnxscript"],
            unsafe=unsafe,
            confined=confined,
        )
        self._checker = Zygote(
            ["evoprompt.screen.check:warm"],
            reuse=_CHECKS_PER_PROCESS,
            unsafe=unsafe,
            confined=confined,
        )

    def start(self) -> tuple[str, ...]:
        """Start both zygotes; what this machine cannot give, in sentences for a person."""
        self._checker.start()
        self._recorder.start()
        return self._recorder.missing

    def run(self, job: tuple[str, Claims]) -> Verdict:
        """Screen a source unless another worker has taken the same program."""
        source, claims = job
        program = prepare(source)
        if isinstance(program, Rejected):
            return Verdict(program)
        candidate = candidate_id(program.source)
        if not claims.take(candidate):
            return Verdict(None, candidate, program.adapted)
        answer, graph = self._screen(candidate, program)
        return Verdict(answer, candidate, program.adapted, graph)

    def _screen(self, candidate: str, program: Prepared) -> tuple[Screened | Rejected, bytes]:
        request = json.dumps({"source": program.source, **self._job}).encode()
        with self._recording:
            outcome = self._recorder.run(_RECORD, request, self._limits)
        recorded = _read(outcome, Stage.FORWARD)
        if isinstance(recorded, Rejected):
            return recorded, b""
        payload = json.dumps({**self._job, "task": self._task}).encode() + b"\n" + recorded[1]
        with self._checking:
            outcome = self._checker.run(_CHECK, payload, self._limits)
        checked = _read(outcome, Stage.CHECK)
        if isinstance(checked, Rejected):
            return checked, b""
        figures, graph = checked
        screened = Screened(candidate, graph_path=f"graphs/{candidate}.onnx", **figures)
        return replace(screened, adapted=program.adapted), graph

    def close(self) -> None:
        """End both zygotes and whatever they run."""
        self._recorder.close()
        self._checker.close()


def _read(outcome: Outcome, stage: Stage) -> tuple[dict[str, Any], bytes] | Rejected:
    """Return the header and the body of a job's output; its failure is a rejection.

    The header comes from a process in which the candidate ran: a wrong one is a crash of it.
    """
    if outcome.output is None:
        return rejected(stage, _KILLED[outcome.killed or "crash"], outcome.detail)
    head, _, body = outcome.output.partition(b"\n")
    try:
        report = json.loads(head)
        if "reason" in report:
            return rejected(Stage(report["stage"]), Reason(report["reason"]), report["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return rejected(stage, Reason.CRASHED, "its process wrote something of its own as result")
    return report, body
