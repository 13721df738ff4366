"""How fast a predictor of 100 labels scores on one core, what a refit costs, how much memory.

    python benchmarks/predictor_speed.py --table nb201_cifar10.csv.gz [--cells runs/nb201]

Graphs are read beforehand; what is timed is text, vector and score of graphs that the predictor has
never seen, in three disjoint parts, of which the median counts. Beside it stand the same from ONNX
bytes on, checker and shape inference included, and the cost by number of lines. One process, one
thread; needs the cells' graphs as `predictor.py` leaves them. The last line is one JSON object.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import nb201
import numpy as np
import torch
from inrun_table import TABLE
from predictor_space import inrun_space
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table
from threadpoolctl import threadpool_limits

from evoprompt.candidate import Screened, TaskShape
from evoprompt.config import ScreenSettings
from evoprompt.grammar.spec import render
from evoprompt.grammar.variation import random_spec
from evoprompt.screen import Screener
from surrogate.encode import Graph, read
from surrogate.score import Surrogate

LABELS = 100
PARTS = 3
CELLS = 500  # of a part
SMALL = 1000
REFIT = 500  # labels
FROM_BYTES = 200
BINS = (0, 15, 30, 60, 120, 240)  # lines of a text
SHAPE = TaskShape("mnist1d", (1, 40), 10)


def main() -> None:
    parser = argparse.ArgumentParser(description="The predictor's speed on one core.")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--cells", type=Path, default=Path("runs/nb201"))
    parser.add_argument("--inrun", type=Path, default=TABLE)
    parser.add_argument("--folder", type=Path, default=Path("runs/predictor"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    console = Console()
    cells, labels = _cells(given.table, given.cells)
    small = _small(given.folder / "small", PARTS * SMALL)
    graphs = [read(path) for path in track(cells, "reading", console=Console(stderr=True))]
    refit = _refit(graphs[-REFIT:], labels[-REFIT:])
    scorer = Surrogate.load().fit([g.text for g in graphs[:LABELS]], labels[:LABELS])
    inrun = inrun_space(given.inrun)
    learned = np.random.default_rng(0).permutation(len(inrun.texts))[:LABELS]
    small_scorer = Surrogate.load().fit(
        [inrun.texts[i] for i in learned], inrun.accuracies[learned].tolist()
    )
    bytes_of = [path.read_bytes() for path in cells[-REFIT - FROM_BYTES : -REFIT]]
    slow = _seconds(lambda: scorer.score([read(data) for data in bytes_of]))[0] / FROM_BYTES
    by_size = [_part(small_scorer, small, i, SMALL) for i in range(PARTS)]
    by_cell = [_part(scorer, graphs[LABELS:], i, CELLS) for i in range(PARTS)]
    console.print(_lines_table(scorer, graphs[LABELS : -REFIT - FROM_BYTES] + small))
    found = {
        "texts_per_s_nb201": round(float(np.median([wall for wall, _ in by_cell]))),
        "texts_per_s_small": round(float(np.median([wall for wall, _ in by_size]))),
        "refit500_s": round(refit, 3),
        "texts_per_cpu_s_nb201": round(float(np.median([cpu for _, cpu in by_cell]))),
        "texts_per_cpu_s_small": round(float(np.median([cpu for _, cpu in by_size]))),
        "onnx_files_per_s_nb201": round(1 / slow),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    for name, value in found.items():
        console.print(f"{name:>24} {value}")
    print(json.dumps(found))


def _cells(table: Path | None, folder: Path) -> tuple[list[Path], list[float]]:
    """Graph files and accuracies of distinct cells, in random order."""
    needed = LABELS + PARTS * CELLS + FROM_BYTES + REFIT
    with Progress(console=Console(stderr=True)) as progress:
        cells = nb201.load(nb201.table_path(table), folder, progress)
    distinct = list({cell.graph_class: cell for cell in cells}.values())
    paths, labels = [], []
    for index in np.random.default_rng(0).permutation(len(distinct)):
        path = nb201.graph_path(folder, distinct[index].name)
        if path.exists() and len(paths) < needed:
            paths.append(path)
            labels.append(distinct[index].accuracy)
    if len(paths) < needed:
        raise SystemExit(
            f"{folder}: {len(paths)} graphs of distinct cells. Expected {needed}."
            " Remove the folder's texts so that the cells are screened again."
        )
    return paths, labels


def _small(folder: Path, count: int) -> list[Graph]:
    """Distinct small networks of the grammar, kept as files for the next time."""
    names = folder / "names.json"
    if not names.exists():
        (folder / "graphs").mkdir(parents=True, exist_ok=True)
        names.write_text(json.dumps(_screened(folder, count)))
    return [read(folder / name) for name in json.loads(names.read_text())]


def _screened(folder: Path, count: int) -> list[str]:
    rng, found = Random(0), {}
    screener = Screener(ScreenSettings(workers=2), SHAPE, folder)
    try:
        while len(found) < count:
            specs = [random_spec(rng, SHAPE.in_shape, SHAPE.num_classes) for _ in range(400)]
            for answer in screener.screen_all([render(spec) for spec in specs]):
                if isinstance(answer, Screened):
                    found.setdefault(answer.graph, answer.graph_path)
    finally:
        screener.close()
    return list(found.values())[:count]


def _seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the wall and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def _part(scorer: Surrogate, graphs: Sequence[Graph], part: int, size: int) -> tuple[float, float]:
    """Graphs per second of one part, by the wall and by CPU time."""
    chosen = list(graphs[part * size : (part + 1) * size])
    scorer.score(chosen[:1])  # a predictor learns when it is first asked
    wall, cpu = _seconds(lambda: scorer.score(chosen[1:]))
    return (size - 1) / wall, (size - 1) / cpu


def _refit(graphs: Sequence[Graph], labels: Sequence[float]) -> float:
    """Seconds from new labels, of networks never seen, to the first score."""
    texts = [graph.text for graph in graphs]
    fresh = Surrogate.load()
    return _seconds(lambda: fresh.fit(texts, labels).score(texts[:1]))[0]


def _lines_table(scorer: Surrogate, graphs: Sequence[Graph]) -> Table:
    """Cost of a score by the length of the text; the texts are there, the vectors are not."""
    fresh = Surrogate.load().fit(scorer.learned.texts, scorer.learned.accuracies)
    fresh.score(scorer.learned.texts[:1])
    table = Table("lines", "graphs", "ms each", title="cost of a score by length of text")
    for low, high in zip(BINS, (*BINS[1:], 10**6), strict=True):
        chosen = [graph for graph in graphs if low <= len(graph.lines) < high][:300]
        if chosen:
            wall, _ = _seconds(lambda chosen=chosen: fresh.score(chosen))
            table.add_row(f"{low}-{high - 1}", str(len(chosen)), f"{1000 * wall / len(chosen):.2f}")
    return table


if __name__ == "__main__":
    main()
