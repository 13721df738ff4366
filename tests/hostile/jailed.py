"""The two jails that hostile programs are sent to: those of the screen, without its rules."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from evoprompt.jail import Limits, Outcome, Zygote

LIMITS = Limits(seconds=2.0, cpu_seconds=1, memory_mb=256, output_bytes=8 << 20)
PATIENT = Limits(seconds=20.0, cpu_seconds=5, memory_mb=256, output_bytes=8 << 20)
"""For programs that come to their end, also on a busy machine."""
JOB = {
    "task": "",
    "in_shape": [4],
    "num_classes": 3,
    "max_parameters": 10**6,
    "max_macs": 10**6,
    "max_nodes": 1000,
}


@dataclass(frozen=True)
class Checked:
    """What trusted code says about the bytes of a candidate's process."""

    figures: dict[str, Any]
    """Empty if it was rejected."""
    why: str
    """Why it was rejected."""


class Screen:
    """One zygote that records and one that checks."""

    def __init__(self, lacking: Sequence[str] = ()) -> None:
        warm = ["evoprompt.screen.child:warm"]
        self.recorder = Zygote(warm, lacking=lacking, unsafe=bool(lacking))
        self.checker = Zygote(["evoprompt.screen.check:warm"], reuse=50)

    def record(self, source: str, limits: Limits = PATIENT) -> Outcome:
        """Send a source straight to the recording job."""
        payload = json.dumps({"source": source, **JOB}).encode()
        return self.recorder.run("evoprompt.screen.child:record", payload, limits)

    def check(self, outcome: Outcome) -> Checked:
        """Send what came out to the checking job, as the screen does."""
        if outcome.output is None:
            return Checked({}, outcome.killed or "crash")
        head, _, graph = outcome.output.partition(b"\n")
        try:
            report = json.loads(head)
        except (ValueError, RecursionError):
            return Checked({}, "no report")
        if "reason" in report:
            return Checked({}, f"{report['reason']}: {report['detail']}")
        payload = json.dumps(JOB).encode() + b"\n" + graph
        checked = self.checker.run("evoprompt.screen.check:check", payload, PATIENT)
        if checked.output is None:
            return Checked({}, f"the checker was stopped: {checked.killed}, {checked.detail}")
        figures = json.loads(checked.output.partition(b"\n")[0])
        if "reason" in figures:
            return Checked({}, f"{figures['reason']}: {figures['detail']}")
        return Checked(figures, "")

    def __enter__(self) -> Self:
        self.recorder.start()
        self.checker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.recorder.close()
        self.checker.close()
