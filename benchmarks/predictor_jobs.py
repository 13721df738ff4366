"""One result of the predictor's benchmark, made in a worker process with one thread.

A worker opens the networks once. `measure` makes one result; `teach_base` pre-trains the encoders
of the rows `frozen`, `ours` and `ours+proxies`, once per folder.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from pathlib import Path

import nb201
import numpy as np
import predictor_baselines
import predictor_ours
import predictor_text
import torch
from predictor_space import Space, drawn, inrun_space, nb201_sides, nb201_space
from predictor_store import Answer, Key, fingerprint
from rich.console import Console
from rich.progress import Progress

from surrogate import encode

BASELINES = (*predictor_baselines.ROWS, "text")
"""What `best_baseline_tau` is the best of."""
TAUGHT = ("frozen", "ours", "ours+proxies")
"""Rows whose encoders the unlabelled cells have taught."""
ROWS = {
    "nb201": (*BASELINES, "scratch", "shipped", *TAUGHT),
    "inrun": ("prior", "operators", "wl", "shipped"),
}
LABELS = {"nb201": (50, 100, 500, 1000), "inrun": (12, 20, 40, 80, 160)}
DRAWS = {"nb201": 5, "inrun": 20}
HERE = Path(__file__).parent
CODE = {  # modules whose change makes results of a row out of date
    "text": ("predictor_text.py", "predictor_training.py"),
    "scratch": ("predictor_ours.py", "predictor_training.py"),
}
PREDICTOR = (
    *("answers", "base", "features", "finetune", "graph_features", "labels", "model", "parse"),
    *("paths", "positions", "process", "ranking_loss", "reading", "score", "subtrees", "trees"),
    *("tune", "unfolded"),
)
"""Modules of the package whose change makes results of a fitted predictor out of date."""


@dataclass(frozen=True)
class Setup:
    """What every worker opens."""

    table: Path
    cells: Path
    """Folder of the cells' texts and graphs."""
    inrun: Path
    """Table of the in-run case."""
    folder: Path
    """Folder of the results."""
    is_choosing: bool
    minutes: float
    """Of pre-training."""

    @property
    def base(self) -> Path:
        """Folder of the encoders that the unlabelled cells have taught."""
        return self.folder / f"base-v{encode.TEXT_VERSION}-{self.minutes:g}min"


@dataclass(frozen=True)
class Sides:
    """A space, who is tested and who may be labelled; in the in-run case whoever is not drawn."""

    space: Space
    test: np.ndarray
    pool: np.ndarray

    def of(self, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """Labelled and tested networks of a result."""
        train = drawn(self.pool, key.labels, key.draw)
        test = self.test if len(self.test) else np.setdiff1d(self.pool, train)
        return train, test


_opened: dict[str, Sides] = {}
_setup: list[Setup] = []


def open_sides(setup: Setup, case: str) -> Sides:
    """The networks of a case; screens cells that have no text yet."""
    if case == "inrun":
        space = inrun_space(setup.inrun)
        return Sides(space, np.zeros(0, int), np.arange(len(space.texts)))
    with Progress(console=Console(stderr=True)) as progress:
        cells = nb201.load(setup.table, setup.cells, progress)
    return Sides(nb201_space(cells), *nb201_sides(cells, setup.is_choosing))


def start_worker(setup: Setup) -> None:
    """Called once in every worker process."""
    torch.set_num_threads(1)
    _setup[:] = [setup]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose benchmark was killed would compute on, and then wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _sides(case: str) -> Sides:
    if case not in _opened:
        _opened[case] = open_sides(_setup[0], case)
    return _opened[case]


def made_by(key: Key, setup: Setup, space: Space) -> str:
    """What a result depends on: its row's code, the texts, and the encoders if it has any."""
    if key.row in ("shipped", *TAUGHT):
        folder = setup.base if key.row in TAUGHT else None
        package = Path(encode.__file__).parent
        modules = [package / f"{name}.py" for name in PREDICTOR]
        return fingerprint(modules, space.texts, predictor_ours.opened(folder).version)
    names = CODE.get(key.row, ("predictor_baselines.py",))
    return fingerprint([HERE / name for name in names], space.texts)


def measure(key: Key) -> tuple[Key, Answer, float]:
    """A result, and the CPU seconds that it took."""
    sides = _sides(key.case)
    train, test = sides.of(key)
    started = time.process_time()
    answer = _row(key, sides)(train, test)
    return key, answer, time.process_time() - started


def _row(key: Key, sides: Sides) -> Callable[[np.ndarray, np.ndarray], Answer]:
    space, pool, base = sides.space, sides.pool, _setup[0].base
    if key.row in predictor_baselines.ROWS:
        row = predictor_baselines.ROWS[key.row]
        return lambda train, test: Answer(row(space, train, test, key.draw))
    if key.row == "text":
        text_row = predictor_text.text_row
        return lambda train, test: Answer(text_row(space, pool, train, test, key.draw))
    if key.row == "scratch":
        return partial(predictor_ours.scratch, space, seed=key.draw)
    folder = None if key.row == "shipped" else base
    extra = predictor_ours.proxy_inputs(space, pool) if key.row == "ours+proxies" else None
    row = partial(predictor_ours.predictor_row, space, folder=folder, extra=extra)
    return partial(row, is_fine_tuned=key.row == "ours")


def teach_base() -> float:
    """Pre-train on unlabelled cells; returns the seconds that it took."""
    setup, sides = _setup[0], _sides("nb201")
    started = time.monotonic()
    predictor_ours.teach(sides.space, sides.pool, setup.minutes, setup.base, seed=0)
    return time.monotonic() - started
