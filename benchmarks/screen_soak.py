"""Twenty thousand screenings in a row: does anything grow, hang or stay behind?

    python benchmarks/screen_soak.py [--count 20000] [--chunk 250]

Good programs, failing ones and some that run into the limits go through one `Screener`, each text
different from all before. After each chunk memory, descriptors and processes are looked at. The
last line is one JSON object; the exit code is 1 unless memory is flat (the mean of the last
quarter is at most 2 % or 10 MB over that of the first, for this process and for each zygote), no
zygote died, and no zombie, no descriptor, no process and no temporary file is left.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from evoprompt.candidate import Rejected, Screened, TaskShape
from evoprompt.config import ScreenSettings
from evoprompt.grammar.seeds import seeds
from evoprompt.screen import Screener

SHAPE = TaskShape("signal", (1, 40), 10)
SETTINGS = ScreenSettings(
    workers=len(os.sched_getaffinity(0)), seconds_limit=2.0, cpu_seconds=1, memory_mb=1024
)
HANG_SECONDS = 600  # for one chunk
GROWTH_SHARE, GROWTH_MB = 0.02, 10.0
SURPRISES = 0.001  # share of verdicts that may differ from the expected one on a busy machine
_NET = """import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(40, num_classes)

    def forward(self, x):
        {}
"""
BAD = {
    "forward_error": _NET.format("return self.head(x[:, :, :7])"),
    "wrong_output": _NET.format("return x"),
    "not_finite": _NET.format("return self.head(x.flatten(1)) / 0.0"),
    "batch_dependent": _NET.format("return self.head(x.reshape(2, 40))"),
    "syntax": _NET.format("return self.head(x"),
    "forbidden_name": _NET.format("return open('/etc/passwd')"),
    "crashed": _NET.format(
        "s = iter([1])\n        for _ in range(10**6):\n            s = filter(None, s)\n"
        "        return next(s)"
    ),
    "memory_limit": _NET.format("return torch.zeros(10**6, 10**6)"),
}
LIMITS = {"sleep": "torch.futures.Future().wait()", "loop": "while True: x = x + 1"}
EVERY_LIMIT = 1000  # screenings between two that run into a time limit: each takes seconds


@dataclass
class Watch:
    """What was seen of this process and its children after each chunk."""

    own_mb: list[float] = field(default_factory=list[float])
    zygotes_mb: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    descriptors: list[int] = field(default_factory=list[int])
    zombies: int = 0

    def look(self) -> None:
        """Take a sample."""
        self.own_mb.append(_resident_mb(os.getpid()))
        self.descriptors.append(len(os.listdir("/proc/self/fd")))
        for process in _children(os.getpid()):
            self.zygotes_mb.setdefault(process, []).append(_resident_mb(process))
            self.zombies += _is_zombie(process)
            self.zombies += sum(_is_zombie(child) for child in _children(process))


def main() -> None:
    parser = argparse.ArgumentParser(description="Many screenings in a row.")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--chunk", type=int, default=250)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        run_folder = Path(folder) / "run"
        screener = Screener(SETTINGS, SHAPE, run_folder)
        watch, surprises = Watch(), Counter[str]()
        try:
            _soak(screener, given.count, given.chunk, watch, surprises)
        finally:
            screener.close()
        left = [str(path) for path in Path(folder).rglob("*") if path.is_file()]
    report = _report(watch, surprises, left, given.count)
    report["seconds"] = round(time.monotonic() - began)
    print(json.dumps(report))
    sys.exit(0 if report["passed"] else 1)


def _soak(
    screener: Screener, count: int, chunk: int, watch: Watch, surprises: Counter[str]
) -> None:
    """Screen chunk after chunk; a chunk that takes ten minutes is a hang."""
    signal.signal(signal.SIGALRM, _hang)
    with Progress() as progress:
        task = progress.add_task("screenings", total=count)
        for first in range(0, count, chunk):
            numbers = range(first, min(first + chunk, count))
            programs = [_program(number) for number in numbers]
            signal.alarm(HANG_SECONDS)
            verdicts = screener.screen_all([source for _, source in programs])
            signal.alarm(0)
            for (expected, _), verdict in zip(programs, verdicts, strict=True):
                found = str(verdict.reason) if isinstance(verdict, Rejected) else "valid"
                if found != expected:
                    surprises[f"{expected} was {found}"] += 1
                if isinstance(verdict, Screened):
                    (screener.run_folder / verdict.graph_path).unlink()
            watch.look()
            progress.advance(task, len(numbers))


def _hang(*_: object) -> None:
    raise SystemExit(f"a chunk was not done after {HANG_SECONDS} seconds")


def _program(number: int) -> tuple[str, str]:
    """Return the verdict that is expected and a text that was not there before."""
    mark = f"# screening {number}\n"
    if number % EVERY_LIMIT == EVERY_LIMIT // 2:
        names = list(LIMITS)
        body = LIMITS[names[number // EVERY_LIMIT % len(names)]]
        return "time_limit", _NET.format(body) + mark
    if number % 3 == 0:
        names = list(BAD)
        name = names[number // 3 % len(names)]
        return name, mark + BAD[name]
    good = list(_GOOD)
    return "valid", _GOOD[good[number % len(good)]] + mark


_GOOD = {**seeds(SHAPE.in_shape, SHAPE.num_classes)}


def _report(
    watch: Watch, surprises: Counter[str], left: list[str], count: int
) -> dict[str, object]:
    """Judge what was seen."""
    own = _growth(watch.own_mb)
    lasting = [samples for samples in watch.zygotes_mb.values() if len(samples) > 1]
    zygotes = [_growth(samples) for samples in lasting]
    faults = {
        "this process grew": own[1],
        "a zygote grew": any(is_over for _, is_over in zygotes),
        "a zygote died": len({len(s) for s in watch.zygotes_mb.values()}) > 1,
        "zombies": watch.zombies > 0,
        "descriptors": watch.descriptors[-1] > watch.descriptors[0],
        "processes": bool(_children(os.getpid())),
        "temporary files": bool(left),
        "verdicts": sum(surprises.values()) > SURPRISES * count,
    }
    return {
        "passed": not any(faults.values()),
        "faults": [name for name, is_there in faults.items() if is_there],
        "screenings": count,
        "own_mb": round(watch.own_mb[-1], 1),
        "own_growth_mb": round(own[0], 2),
        "zygotes_mb": [round(samples[-1], 1) for samples in lasting],
        "zygotes_growth_mb": [round(grown, 2) for grown, _ in zygotes],
        "descriptors": [watch.descriptors[0], watch.descriptors[-1]],
        "zombies": watch.zombies,
        "left": left[:5],
        "surprises": dict(surprises),
    }


def _growth(samples: list[float]) -> tuple[float, bool]:
    """Return by how many MB the last quarter is over the first one, and whether that is much."""
    quarter = max(1, len(samples) // 4)
    first, last = statistics.mean(samples[:quarter]), statistics.mean(samples[-quarter:])
    return last - first, last - first > max(GROWTH_SHARE * first, GROWTH_MB)


def _children(process: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it ended meanwhile
        return []


def _resident_mb(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main()
