"""What the screen costs: candidates a second and core, graph production, depth, and the jail.

    python benchmarks/screen.py [--count 40] [--rounds 12]

Seven nets (benchmarks/nets), each a program under the contract; every candidate gets a comment of
its own, so that no cache answers. In four parts:

1. End to end, source to verdict with text, through `Screener.screen_all` with a worker on each
   core: candidates / wall seconds / cores, for the mix (the same number of each net) and for the
   small nets alone. The zygotes are started and warmed before, which is not counted.
2. Graph production alone, against torch's two exporters: see graph_production.py.
3. How that grows with depth: see graph_production.py.
4. The price of confinement: the mix again with it and without it by turns, one after the other in
   this run, as (on - off) / off of the CPU seconds of all processes. Without it the same zygotes
   fork the same children with the same limits; Landlock, seccomp and namespaces are left out.

The last line is one JSON object. On a busy machine trust the CPU seconds and the ratios.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from evoprompt.candidate import Rejected, TaskShape
from evoprompt.config import ScreenSettings
from evoprompt.screen import Screener

NETS = Path(__file__).with_name("nets")
SIGNAL, IMAGE = TaskShape("signal", (1, 40), 10), TaskShape("image", (3, 32, 32), 10)
SHAPES = {
    "cnn1d": SIGNAL,
    "bigru": SIGNAL,
    "grucell_loop": SIGNAL,
    "resnet20": IMAGE,
    "nasbench201": IMAGE,
    "vit": IMAGE,
    "mixer": IMAGE,
}
SMALL = ("cnn1d", "bigru", "grucell_loop")
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Cost:
    """What screening some candidates took."""

    count: int
    wall_seconds: float
    cpu_seconds: float
    """Of this process, the zygotes and everything they forked."""

    @property
    def per_second_and_core(self) -> float:
        """Candidates by wall clock."""
        return self.count / self.wall_seconds / CORES

    @property
    def cpu_milliseconds(self) -> float:
        """CPU time of one candidate."""
        return 1000 * self.cpu_seconds / self.count


class Bench:
    """A screener for each input shape, and candidates that were never screened before."""

    def __init__(self, folder: Path, confined: bool = True) -> None:
        settings = ScreenSettings(workers=CORES, max_macs=1_000_000_000)
        self._screeners = {
            shape: Screener(settings, shape, folder / shape.name, confined=confined)
            for shape in (SIGNAL, IMAGE)
        }
        self._sources = {name: (NETS / f"{name}.py").read_text() for name in SHAPES}
        self._made = 0
        self.run(list(SHAPES) * 2 * CORES)  # the warm-up

    def run(self, nets: Sequence[str]) -> Cost:
        """Screen a fresh candidate for each name.

        Raises:
            SystemExit: One was rejected; then no figure means anything.
        """
        sources: dict[TaskShape, list[str]] = {}
        for name in nets:
            self._made += 1
            source = f"{self._sources[name]}# candidate {self._made}\n"
            sources.setdefault(SHAPES[name], []).append(source)
        began, cpu = time.perf_counter(), cpu_seconds()
        verdicts = [
            verdict
            for shape, texts in sources.items()
            for verdict in self._screeners[shape].screen_all(texts)
        ]
        ended = time.perf_counter()
        for verdict in verdicts:
            if isinstance(verdict, Rejected):
                raise SystemExit(f"a net of the benchmark was rejected: {verdict}")
        return Cost(len(nets), ended - began, cpu_seconds() - cpu)

    def close(self) -> None:
        """End all zygotes."""
        for screener in self._screeners.values():
            screener.close()


def cpu_seconds() -> float:
    """Return what this process, its children and their dead children have used."""
    own = os.times()
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(value) for value in fields[11:15])
    return own.user + own.system + ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def opened(confined: bool = True) -> Iterator[Bench]:
    """Hold a bench whose files go when it is closed."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), confined)
        try:
            yield bench
        finally:
            bench.close()


def end_to_end(count: int, progress: Progress, console: Console) -> dict[str, float]:
    """Measure the mix, the small nets, and each net by itself."""
    task = progress.add_task("end to end", total=2 + len(SHAPES))
    with opened() as bench:
        mix = bench.run(list(SHAPES) * count)
        progress.advance(task)
        small = bench.run(list(SMALL) * count * 2)
        progress.advance(task)
        table = Table("net", "CPU ms", title="End to end, a candidate")
        for name in SHAPES:
            cost = bench.run([name] * max(2 * CORES, count // 2))
            table.add_row(name, f"{cost.cpu_milliseconds:.1f}")
            progress.advance(task)
    for name, cost in (("mix", mix), ("small", small)):
        table.add_row(f"{name} ({cost.count})", f"{cost.cpu_milliseconds:.1f}", style="bold")
        wall = f"{cost.wall_seconds:.1f} s on {CORES} cores"
        console.print(
            f"{name}: {cost.count} candidates in {wall}, {cost.cpu_seconds:.1f} s of CPU: "
            f"{cost.per_second_and_core:.1f} a second and core"
        )
    console.print(table)
    return {
        "candidates_per_s_core_mix": round(mix.per_second_and_core, 2),
        "candidates_per_s_core_small": round(small.per_second_and_core, 2),
    }


def jail_overhead(rounds: int, progress: Progress, console: Console) -> dict[str, float]:
    """Measure the mix with and without confinement by turns."""
    task = progress.add_task("with and without the jail", total=2 * rounds)
    costs: dict[bool, list[Cost]] = {True: [], False: []}
    with opened(confined=True) as on, opened(confined=False) as off:
        for number in range(rounds):
            pair = ((True, on), (False, off))
            for confined, bench in pair if number % 2 == 0 else reversed(pair):
                costs[confined].append(bench.run(list(SHAPES) * 2 * CORES))
                progress.advance(task)
    cpu = {key: sum(cost.cpu_seconds for cost in costs[key]) for key in costs}
    wall = {key: sum(cost.wall_seconds for cost in costs[key]) for key in costs}
    pairs = [
        (on.cpu_seconds - off.cpu_seconds) / off.cpu_seconds
        for on, off in zip(costs[True], costs[False], strict=True)
    ]
    share = (cpu[True] - cpu[False]) / cpu[False]
    console.print(
        f"the jail: {share:+.1%} of CPU, {(wall[True] - wall[False]) / wall[False]:+.1%} of wall "
        f"clock; by rounds of CPU {min(pairs):+.1%} to {max(pairs):+.1%}, "
        f"median {statistics.median(pairs):+.1%}"
    )
    return {"jail_overhead": round(share, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description="What the screen costs.")
    parser.add_argument("--count", type=int, default=40, help="candidates of each net in the mix")
    parser.add_argument("--rounds", type=int, default=12, help="pairs with and without the jail")
    given = parser.parse_args()
    # More BLAS threads than workers would measure each other; torch reads it when it is imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    from graph_production import against_exporters, by_depth

    console = Console()
    with Progress(console=console, transient=True) as progress:
        figures = end_to_end(given.count, progress, console)
        overhead = jail_overhead(given.rounds, progress, console)
        figures |= against_exporters(SHAPES, progress, console)
        by_depth(progress, console)
    print(json.dumps(figures | overhead))


if __name__ == "__main__":
    main()
