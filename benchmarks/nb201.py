"""NAS-Bench-201 for the predictor's benchmark: cells as programs, their texts, classes and labels.

In: the table of cells (see `read_table`). Out: one `Cell` each, its text recorded by the real
screen, kept in a file of texts so that the next call finds it. Two cells whose canonical graphs are
equal are of one graph class. The macro skeleton is the benchmark's (Dong & Yang, arXiv 2001.00326,
section 2.1): 16 channels, three stages of five cells, a residual block of stride 2 between them.
"""

import csv
import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from evoprompt.candidate import Rejected, TaskShape, candidate_id
from evoprompt.config import ScreenSettings
from evoprompt.screen import Screener
from surrogate import encode

SHAPE = TaskShape("nb201", (3, 32, 32), 10)
PROXIES = (
    *("flops", "params", "jacov", "epe_nas", "nwot", "synflow", "l2_norm", "snip", "grad_norm"),
    *("fisher", "grasp", "plain", "zen"),
)
"""Columns of the table that need no training."""
CHUNK = 200  # cells between two writes
OPERATIONS = {
    "skip_connect": "nn.Identity()",
    "nor_conv_1x1": "unit(channels, channels, 1, 1)",
    "nor_conv_3x3": "unit(channels, channels, 3, 1)",
    "avg_pool_3x3": "nn.AvgPool2d(3, 1, 1, count_include_pad=False)",
}
PROGRAM = """import torch
import torch.nn as nn


def unit(inputs, outputs, kernel, stride):
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = unit(inputs, outputs, 3, 2)
        self.second = unit(outputs, outputs, 3, 1)
        self.down = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x):
        return self.down(x) + self.second(self.first(x))


class Cell(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.edges = nn.ModuleList([%(edges)s])

    def forward(self, x):
        nodes = [x]
        for plan in %(plan)s:
            reached = [self.edges[edge](nodes[source]) for source, edge in plan]
            nodes.append(sum(reached) if reached else x * 0)
        return nodes[-1]


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        body = [nn.Conv2d(in_shape[0], 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)]
        for channels in (16, 32, 64):
            if channels > 16:
                body.append(Residual(channels // 2, channels))
            body += [Cell(channels) for _ in range(5)]
        self.body = nn.Sequential(*body, nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))
"""


@dataclass(frozen=True)
class Cell:
    """One network of the benchmark."""

    name: str
    """The benchmark's own cell string."""
    text: str
    graph_class: str
    """Hash of the canonical graph."""
    accuracy: float
    """CIFAR-10 validation accuracy, 0..1."""
    proxies: tuple[float, ...]
    """In the order of `PROXIES`."""
    parameters: int
    macs: int


def table_path(given: Path | None) -> Path:
    """Where the table is: the option, or the environment variable NB201_TABLE."""
    path = given or Path(os.environ.get("NB201_TABLE", ""))
    if not path.is_file():
        raise SystemExit(
            f"no table of NAS-Bench-201 at '{path}'. Expected nb201_cifar10.csv.gz with the columns"
            " cell, val_accuracy, in_graf_subset and the proxies. Give --table or set NB201_TABLE."
        )
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of the GRAF subset: cells in which every operation reaches the output."""
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["in_graf_subset"] == "1"]


def program(cell: str) -> str:
    """The network of a cell string as a program under the contract."""
    edges: list[str] = []
    plan = []
    for node in cell.split("+"):
        reads = []
        for part in node.strip("|").split("|"):
            operation, source = part.split("~")
            if operation != "none":
                reads.append((int(source), len(edges)))
                edges.append(OPERATIONS[operation])
        plan.append(reads)
    return PROGRAM % {"edges": ", ".join(edges), "plan": plan}


def load(table: Path, folder: Path, progress: Progress, workers: int = 2) -> list[Cell]:
    """All cells with their texts; what the folder does not hold yet is screened.

    A new version of the text is written from the graphs that the folder holds.
    """
    rows = read_table(table)
    (folder / "graphs").mkdir(parents=True, exist_ok=True)
    path = folder / f"texts-v{encode.TEXT_VERSION}.jsonl"
    known: dict[str, dict] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            known[record["cell"]] = record
    missing = [row["cell"] for row in rows if row["cell"] not in known]
    if missing:
        known |= _record(missing, folder, path, progress, workers)
    return [_cell(row, known[row["cell"]]) for row in rows]


def graph_path(folder: Path, cell: str) -> Path:
    """Where the graph of a cell is, if it has been screened."""
    return folder / "graphs" / f"{candidate_id(program(cell))}.onnx"


def _record(
    cells: Sequence[str], folder: Path, path: Path, progress: Progress, workers: int
) -> dict[str, dict]:
    screener = Screener(ScreenSettings(workers=workers), SHAPE, folder)
    task = progress.add_task("screening the cells", total=len(cells))
    found: dict[str, dict] = {}
    try:
        for first in range(0, len(cells), CHUNK):
            chunk = cells[first : first + CHUNK]
            fresh = [cell for cell in chunk if not graph_path(folder, cell).exists()]
            if fresh:
                _screen(screener, fresh)
            with path.open("a", encoding="utf-8") as file:
                for cell in chunk:
                    graph = encode.read(graph_path(folder, cell))
                    found[cell] = {
                        "cell": cell,
                        "text": graph.text,
                        "graph": graph.hash,
                        "parameters": graph.parameters,
                        "macs": graph.macs,
                    }
                    file.write(json.dumps(found[cell]) + "\n")
                    progress.advance(task)
    finally:
        screener.close()
    return found


def _screen(screener: Screener, cells: Sequence[str]) -> None:
    """Leave the graphs of cells in the screener's folder."""
    for cell, answer in zip(
        cells, screener.screen_all([program(cell) for cell in cells]), strict=True
    ):
        if isinstance(answer, Rejected):
            raise SystemExit(f"{cell}: {answer.reason}: {answer.detail}")


def _cell(row: dict[str, str], record: dict) -> Cell:
    return Cell(
        name=row["cell"],
        text=record["text"],
        graph_class=record["graph"],
        accuracy=float(row["val_accuracy"]) / 100,
        proxies=tuple(float(row[name]) for name in PROXIES),
        parameters=record["parameters"],
        macs=record["macs"],
    )


def split(cells: Sequence[Cell], test_count: int) -> tuple[list[int], list[int]]:
    """Indices of the test cells and of the others; no graph class stands on both sides.

    Classes are taken in the order of their hashes until `test_count` cells are test cells.
    """
    order = sorted(range(len(cells)), key=lambda i: _place(cells[i].graph_class) + cells[i].name)
    last = cells[order[test_count - 1]].graph_class
    end = test_count
    while end < len(order) and cells[order[end]].graph_class == last:
        end += 1
    return sorted(order[:end]), sorted(order[end:])


def _place(graph_class: str) -> str:
    return hashlib.sha256(f"test cells {graph_class}".encode()).hexdigest()
