"""The networks that rows are compared on: who is tested, who may be labelled, who is drawn.

A `Space` is a set of labelled networks as columns. Draws are the same for every row, and a larger
draw holds the smaller one of the same number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nb201
import numpy as np
import pandas

TEST_CELLS = 2000
DRAW_SEED = 20261121


@dataclass(frozen=True)
class Space:
    """Labelled networks."""

    name: str
    texts: tuple[str, ...]
    accuracies: np.ndarray
    parameters: np.ndarray
    macs: np.ndarray
    classes: tuple[str, ...]
    """Networks of one class have the same canonical graph."""
    proxies: np.ndarray
    """Columns that need no training, (networks, columns); no column where there are none."""


def nb201_space(cells: Sequence[nb201.Cell]) -> Space:
    """The cells of NAS-Bench-201."""
    return Space(
        "nb201",
        tuple(cell.text for cell in cells),
        np.array([cell.accuracy for cell in cells]),
        np.array([cell.parameters for cell in cells], float),
        np.array([cell.macs for cell in cells], float),
        tuple(cell.graph_class for cell in cells),
        np.array([cell.proxies for cell in cells]),
    )


def inrun_space(path: Path) -> Space:
    """The table of the in-run case, as `inrun_table.py` writes it."""
    if not path.is_file():
        raise SystemExit(
            f"no table of the in-run case at '{path}'. Expected the one that the project brings."
            " Make it with benchmarks/inrun_table.py, or leave the case out."
        )
    frame = pandas.read_csv(path)
    texts = tuple(str(text) for text in frame["text"])
    columns = [frame[name].to_numpy(float) for name in ("accuracy", "parameters", "macs")]
    return Space("inrun", texts, *columns, classes=texts, proxies=np.zeros((len(texts), 0)))


def nb201_sides(cells: Sequence[nb201.Cell], is_choosing: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the tested and of the other cells.

    While settings are chosen the test cells are left out altogether, and the next 2,000 cells take
    their place.
    """
    test, pool = nb201.split(cells, TEST_CELLS)
    if is_choosing:
        inner, rest = nb201.split([cells[i] for i in pool], TEST_CELLS)
        test, pool = [pool[i] for i in inner], [pool[i] for i in rest]
    return np.array(test), np.array(pool)


def drawn(pool: np.ndarray, labels: int, draw: int) -> np.ndarray:
    """The networks of a draw whose labels a row may see."""
    return np.random.default_rng([DRAW_SEED, draw]).permutation(pool)[:labels]
