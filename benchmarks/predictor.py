"""How well, how honestly and how fast accuracy is predicted: the benchmark of the predictor.

    python benchmarks/predictor.py [--table PATH] [--case nb201 inrun speed] [--only ROW ...]

NAS-Bench-201: 50 to 1,000 labelled cells, five draws, 2,000 test cells that share no graph class
with any other cell; in-run: networks of a search on MNIST-1D, 20 to 160 labels, 20 draws; speed:
one core, one process. Every row sees the same draws. Results are kept by (row, labels, draw), so
the command can be stopped and started again. With `--choose` the test cells are left out and other
cells take their place: settings are chosen there. The last line is one JSON object; what was not
measured is null, coverage is a mean over label counts.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import inrun_table
import nb201
import numpy as np
import predictor_jobs as jobs
from predictor_report import Case, bootstrap_gain, figures
from predictor_store import Answer, Key, Store
from rich.console import Console
from rich.progress import Progress

SPEED = Path(__file__).parent / "predictor_speed.py"


def main() -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # of the workers
    given = _arguments()
    folder = (given.folder / "choosing" if given.choose else given.folder).resolve()
    inrun = given.inrun.resolve()
    table = Path() if given.case == ["inrun"] else nb201.table_path(given.table)
    setup = jobs.Setup(table, given.cells.resolve(), inrun, folder, given.choose, given.minutes)
    store = Store(folder)
    sides = {case: jobs.open_sides(setup, case) for case in given.case if case != "speed"}
    _measure(setup, store, sides, given)
    speed = _speed(setup) if "speed" in given.case else {}
    _report(store, sides, speed)


def _arguments() -> argparse.Namespace:
    every = sorted({row for rows in jobs.ROWS.values() for row in rows})
    parser = argparse.ArgumentParser(description="The benchmark of the predictor.")
    parser.add_argument("--table", type=Path, help="nb201_cifar10.csv.gz, or set NB201_TABLE")
    parser.add_argument("--folder", type=Path, default=Path("runs/predictor"), help="of results")
    parser.add_argument("--cells", type=Path, default=Path("runs/nb201"), help="of cells' texts")
    parser.add_argument("--inrun", type=Path, default=inrun_table.TABLE, help="table of that case")
    cases = ("nb201", "inrun", "speed")
    parser.add_argument("--case", nargs="+", choices=cases, default=list(cases))
    parser.add_argument("--only", nargs="+", choices=every, metavar="ROW", default=every)
    parser.add_argument("--choose", action="store_true", help="test on other cells than the test's")
    parser.add_argument("--minutes", type=float, default=24.0, help="of pre-training for `ours`")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _keys(cases: Sequence[str], rows: Sequence[str]) -> Iterator[Key]:
    for case in cases:
        for row in jobs.ROWS[case]:
            for labels in reversed(jobs.LABELS[case]):
                for draw in range(jobs.DRAWS[case]):
                    if row in rows:
                        yield Key(case, row, labels, draw)


def _measure(
    setup: jobs.Setup, store: Store, sides: dict[str, jobs.Sides], given: argparse.Namespace
) -> None:
    """Make every result that is not in the store."""
    keys = list(_keys(list(sides), given.only))
    needs_base = [key for key in keys if key.row in jobs.TAUGHT]
    others = [key for key in keys if key.row not in jobs.TAUGHT]
    is_taught = (setup.base / "config.json").exists()
    context = get_context("spawn")
    with (
        Progress(console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(given.workers, context, jobs.start_worker, (setup,)) as pool,
    ):
        task = progress.add_task("results", total=len(keys))
        teaching = pool.submit(jobs.teach_base) if needs_base and not is_taught else None
        chosen = others + needs_base if teaching is None else others
        marks = _submit(chosen, setup, store, sides, pool)
        waiting: set[Future] = set(marks) | ({teaching} if teaching else set())
        progress.advance(task, len(chosen) - len(marks))
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done - {teaching}:
                _keep(store, sides, marks.pop(future), *future.result())
                progress.advance(task)
            if teaching in done:
                progress.console.print(f"pre-trained in {teaching.result():.0f} s")
                more = _submit(needs_base, setup, store, sides, pool)
                progress.advance(task, len(needs_base) - len(more))
                marks |= more
                waiting |= set(more)


def _submit(
    keys: Sequence[Key],
    setup: jobs.Setup,
    store: Store,
    sides: dict[str, jobs.Sides],
    pool: ProcessPoolExecutor,
) -> dict[Future, str]:
    """Ask the workers for what the store does not hold; says what each result is made by."""
    marks = {
        pair: jobs.made_by(Key(*pair, 0, 0), setup, sides[pair[0]].space)
        for pair in {(key.case, key.row) for key in keys}
    }
    missing = [key for key in keys if not store.has(key, marks[key.case, key.row])]
    return {pool.submit(jobs.measure, key): marks[key.case, key.row] for key in missing}


def _keep(
    store: Store, sides: dict[str, jobs.Sides], mark: str, key: Key, answer: Answer, seconds: float
) -> None:
    _, test = sides[key.case].of(key)
    record = figures(answer, sides[key.case].space.accuracies[test])
    store.add(key, answer, {**record, "seconds": round(seconds, 2), "made_by": mark})


def _speed(setup: jobs.Setup) -> dict:
    """The figures of `predictor_speed`, measured in a process of its own."""
    command = [sys.executable, str(SPEED), "--table", str(setup.table)]
    command += ["--inrun", str(setup.inrun), "--cells", str(setup.cells)]
    command += ["--folder", str(setup.folder)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    *lines, last = result.stdout.splitlines()
    print("\n".join(lines))
    return json.loads(last)


def _report(store: Store, sides: dict[str, jobs.Sides], speed: dict) -> None:
    console = Console()
    cases = {name: _case(store, name) for name in ("nb201", "inrun")}
    for name in sides:
        for figure, title in (
            ("tau", "Kendall's tau"),
            ("spearman", "Spearman's rho"),
            ("top10", "share of the best tenth that is found"),
            ("coverage", "share of accuracies inside the 90 % interval"),
            ("width", "median width of the 90 % interval"),
            ("seconds", "CPU seconds"),
        ):
            table = cases[name].table(figure, title)
            if table.row_count:
                console.print(table)
    if "nb201" in sides:
        for labels in jobs.LABELS["nb201"]:
            _print_gain(console, store, sides["nb201"], cases["nb201"], labels)
    print(json.dumps(_summary(cases, sides, speed)))


def _case(store: Store, name: str) -> Case:
    def of(row: str, labels: int) -> list[dict]:
        keys = [Key(name, row, labels, draw) for draw in range(jobs.DRAWS[name])]
        return [store.lines[key] for key in keys if key in store.lines]

    return Case(name, jobs.ROWS[name], jobs.LABELS[name], of)


def _print_gain(console: Console, store: Store, sides: jobs.Sides, case: Case, labels: int) -> None:
    """Ours against the best baseline, paired."""
    best = case.best(jobs.BASELINES, labels)
    for row in ("ours", "shipped"):
        if best is None or len(case.of(row, labels)) < jobs.DRAWS["nb201"]:
            continue
        first, second = (
            [store.answer(Key("nb201", r, labels, d)).mean for d in range(jobs.DRAWS["nb201"])]
            for r in (row, best[0])
        )
        classes = [sides.space.classes[i] for i in sides.test]
        accuracies = sides.space.accuracies[sides.test]
        low, high = bootstrap_gain(first, second, accuracies, classes)
        gain = (case.mean(row, labels, "tau") or 0.0) - best[1]
        console.print(
            f"{labels} labels: {row} minus {best[0]}: {gain:+.3f}, 95 % {low:+.3f}..{high:+.3f}"
        )


def _summary(cases: dict[str, Case], sides: dict[str, jobs.Sides], speed: dict) -> dict:
    nb, inrun = cases["nb201"], cases["inrun"]
    best = {str(n): nb.best(jobs.BASELINES, n) for n in nb.labels}
    return {
        "nb201_tau": nb.by_labels("ours"),
        "nb201_tau_shipped": nb.by_labels("shipped"),
        "best_baseline_tau": {n: round(b[1], 4) if b else None for n, b in best.items()},
        "inrun_tau": inrun.by_labels("shipped"),
        "inrun_prior_tau": inrun.by_labels("prior"),
        "coverage90_nb201": _mean_coverage(nb, "ours"),
        "coverage90_inrun": _mean_coverage(inrun, "shipped"),
        **{k: speed.get(k) for k in ("texts_per_s_nb201", "texts_per_s_small", "refit500_s")},
    }


def _mean_coverage(case: Case, row: str) -> float | None:
    values = [case.mean(row, n, "coverage") for n in case.labels]
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None


if __name__ == "__main__":
    main()
