"""What each pre-training target is worth: encoders taught by one target at a time, or all but one.

    python benchmarks/predictor_ablation.py [--table PATH] [--minutes 2] [--labels 100]

One short pre-training per row on the unlabelled cells of NAS-Bench-201, the same minutes each, then
five draws of labels, tested on cells that share no class with them - not on the benchmark's test
cells (as with `predictor.py --choose`). `nothing` are encoders as they are at birth. Rows that are
done are found again. The last line is one JSON object: mean tau by row.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import nb201
import numpy as np
import predictor_jobs as jobs
from inrun_table import TABLE
from predictor_ours import predictor_row, teach
from predictor_report import figures
from predictor_space import drawn
from rich.console import Console
from rich.progress import track
from rich.table import Table

from evoprompt.storage import write_atomically

FREE = ("flops", "params")
"""Columns that the text tells; every other one needs a forward or a backward."""
PROXIES = tuple(name for name in nb201.PROXIES if name not in FREE)
OURS = ("nwot", "synflow", "jacov")
"""What we compute ourselves for other networks."""
ROWS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "sizes": (),
    **{name: (name,) for name in PROXIES},
    "+".join(OURS): OURS,
    "all": PROXIES,
    "all and paths": PROXIES,
    **{f"all but {name}": tuple(p for p in PROXIES if p != name) for name in OURS},
}
DRAWS = 5
ENCODERS = 2
INSTANT = 1e-6  # minutes: ends before the first step


def main() -> None:
    parser = argparse.ArgumentParser(description="What each pre-training target is worth.")
    parser.add_argument("--table", type=Path, help="nb201_cifar10.csv.gz, or set NB201_TABLE")
    parser.add_argument("--folder", type=Path, default=Path("runs/predictor/ablation"))
    parser.add_argument("--cells", type=Path, default=Path("runs/nb201"), help="of cells' texts")
    parser.add_argument("--minutes", type=float, default=2.0, help="of pre-training, each row")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    table = nb201.table_path(given.table).resolve()
    setup = jobs.Setup(table, given.cells.resolve(), TABLE, folder, True, given.minutes)
    jobs.open_sides(setup, "nb201")  # screens what is missing before the workers look
    tasks = [(setup, row, given.labels) for row in given.only]
    context = get_context("spawn")
    with ProcessPoolExecutor(given.workers, context, jobs.start_worker, (setup,)) as pool:
        done = track(pool.map(_row, tasks), "rows", len(tasks), console=Console(stderr=True))
        found = dict(zip(given.only, done, strict=True))
    shown = Table("targets", f"tau, {given.labels} labels", "over draws")
    for row, taus in sorted(found.items(), key=lambda item: -float(np.mean(item[1]))):
        shown.add_row(row, f"{np.mean(taus):.3f}", f"±{np.std(taus):.3f}")
    Console().print(shown)
    print(json.dumps({row: round(float(np.mean(taus)), 4) for row, taus in found.items()}))


def _row(task: tuple[jobs.Setup, str, int]) -> list[float]:
    """Tau of every draw, measured or found."""
    setup, row, labels = task
    sides = jobs.open_sides(setup, "nb201")
    name = row.replace(" ", "-")
    base = setup.folder / f"{name}-{setup.minutes:g}min"
    path = setup.folder / f"{name}-{setup.minutes:g}min-{labels}.json"
    if path.exists():
        return json.loads(path.read_text())
    if not (base / "config.json").exists():
        columns = [nb201.PROXIES.index(target) for target in ROWS[row]]
        chosen = replace(sides.space, proxies=sides.space.proxies[:, columns])
        minutes = INSTANT if row == "nothing" else setup.minutes
        with_paths = row == "all and paths"
        teach(chosen, sides.pool, minutes, base, 0, ROWS[row], ENCODERS, with_paths)
    taus = []
    for draw in range(DRAWS):
        train = drawn(sides.pool, labels, draw)
        answer = predictor_row(sides.space, train, sides.test, base)
        taus.append(figures(answer, sides.space.accuracies[sides.test])["tau"])
    write_atomically(path, json.dumps(taus).encode())
    return taus


if __name__ == "__main__":
    main()
