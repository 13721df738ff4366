"""From sources to graphs: each candidate is recorded in one jailed process and checked in another.

In: sources. Out: `Screened` or `Rejected`, in the order of the sources; each graph is a file of
the run folder, named by its candidate. The same source gives the same record and the same bytes;
only a rejection for a time limit depends on the clock.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
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
from evoprompt.jail import JailPool, Limits, Outcome
from evoprompt.screen.rules import Prepared, prepare
from evoprompt.storage import write_atomically

_WARM = ("evoprompt.screen.child:warm", "evoprompt.screen.check:warm")
_RECORD, _CHECK = "evoprompt.screen.child:record", "evoprompt.screen.check:check"
_OUTPUT_BYTES = (4 << 20) + (64 << 10)  # a graph and its header
_KILLED = {
    "wall": Reason.TIME_LIMIT,
    "cpu": Reason.TIME_LIMIT,
    "memory": Reason.MEMORY_LIMIT,
    "output": Reason.TOO_LARGE,
    "crash": Reason.CRASHED,
}


class Screener:
    """Holds the warmed zygotes of one run; they start with the first source."""

    def __init__(self, settings: ScreenSettings, shape: TaskShape, run_folder: Path) -> None:
        self.settings = settings
        self.shape = shape
        self.run_folder = run_folder
        self._pool = JailPool(settings.workers, _WARM)
        self._limits = Limits(
            settings.seconds_limit, settings.cpu_seconds, settings.memory_mb, _OUTPUT_BYTES
        )

    def prepare(self, source: str) -> Prepared | Rejected:
        """Apply the static rules; see `rules.prepare`."""
        return prepare(source)

    def screen_all(
        self, sources: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> list[Screened | Rejected]:
        """Screen many sources; equal ones are run once. `progress` hears how many are done.

        Raises:
            JailError: The zygotes do not start or keep dying.
            StorageError: A graph cannot be written.
        """
        programs = [self.prepare(source) for source in sources]
        ids = [None if isinstance(p, Rejected) else candidate_id(p.source) for p in programs]
        verdicts: dict[str, Screened | Rejected] = {}

        def tell() -> None:
            if progress is not None:
                progress(sum(key is None or key in verdicts for key in ids))

        waiting = {
            key: program
            for key, program in zip(ids, programs, strict=True)
            if key is not None and isinstance(program, Prepared)
        }
        tell()
        recorded: dict[str, bytes] = {}
        requests = {key: self._request(p) for key, p in waiting.items()}
        for key, outcome in self._run(_RECORD, requests):
            report = _read(outcome, Stage.FORWARD)
            if isinstance(report, Rejected):
                verdicts[key] = report
                tell()
            else:
                recorded[key] = json.dumps(self._job()).encode() + b"\n" + report[1]
        for key, outcome in self._run(_CHECK, recorded):
            verdicts[key] = self._verdict(key, outcome)
            tell()
        return [
            p if isinstance(p, Rejected) else _adapted(verdicts[str(key)], p)
            for key, p in zip(ids, programs, strict=True)
        ]

    def close(self) -> None:
        """End the zygotes and whatever they run."""
        self._pool.close()

    def _run(self, entry: str, payloads: dict[str, bytes]) -> Iterator[tuple[str, Outcome]]:
        keys = list(payloads)
        jobs = [(entry, payload, self._limits) for payload in payloads.values()]
        for index, outcome in self._pool.imap(jobs):
            yield keys[index], outcome

    def _request(self, program: Prepared) -> bytes:
        return json.dumps({"source": program.source, **self._job()}).encode()

    def _job(self) -> dict[str, object]:
        return {
            "in_shape": list(self.shape.in_shape),
            "num_classes": self.shape.num_classes,
            "max_parameters": self.settings.max_parameters,
            "max_macs": self.settings.max_macs,
        }

    def _verdict(self, key: str, outcome: Outcome) -> Screened | Rejected:
        report = _read(outcome, Stage.CHECK)
        if isinstance(report, Rejected):
            return report
        figures, graph = report
        path = f"graphs/{key}.onnx"
        write_atomically(self.run_folder / path, graph)
        return Screened(candidate=key, graph_path=path, **figures)


def _read(outcome: Outcome, stage: Stage) -> tuple[dict[str, Any], bytes] | Rejected:
    """Return the header and the body of a job's output; its failure is a rejection.

    The header comes from a process in which the candidate ran: a wrong one is a crash of it.
    """
    if outcome.output is None:
        reason = _KILLED[outcome.killed or "crash"]
        return rejected(stage, reason, outcome.detail)
    head, _, body = outcome.output.partition(b"\n")
    try:
        report = json.loads(head)
        if "reason" in report:
            return rejected(Stage(report["stage"]), Reason(report["reason"]), report["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return rejected(stage, Reason.CRASHED, "its process wrote something of its own as result")
    return report, body


def _adapted(verdict: Screened | Rejected, program: Prepared) -> Screened | Rejected:
    if isinstance(verdict, Screened):
        return replace(verdict, adapted=program.adapted)
    return verdict
