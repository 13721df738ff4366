"""`nearest FILE.onnx --in FOLDER|RUN`: the most similar networks of a folder or of a search.

A run's folder is searched in its `graphs/`; the ledger is not needed. With `--table` the measured
accuracy stands beside each network that the table knows.
"""

import argparse
from pathlib import Path

import numpy as np

from surrogate.commands.files import Files, find, read_all
from surrogate.commands.fit import add_columns, table_of
from surrogate.commands.folder import open_predictor
from surrogate.encode import read
from surrogate.errors import SurrogateError, problem
from surrogate.nearest import Neighbour, nearest
from surrogate.text import without_task


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    command = commands.add_parser("nearest", help="find the most similar networks")
    command.add_argument("file", type=Path, metavar="FILE.onnx")
    command.add_argument("--in", dest="folder", type=Path, required=True, metavar="FOLDER|RUN")
    command.add_argument("-k", dest="count", type=int, default=10, help="how many (default: 10)")
    command.add_argument("--model", type=Path, help="predictor whose encoders are used")
    command.add_argument("--task", default="", help="task of the networks")
    command.add_argument("--table", type=Path, help="labels to show, CSV or Parquet")
    add_columns(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the closest networks."""
    graph = read(options.file, options.task)
    if options.count < 1 or not options.folder.is_dir():
        what, where = ("fewer than one network", "-k")
        if not options.folder.is_dir():
            what, where = ("not a folder", str(options.folder))
        expected, action = "at least 1 network of an existing folder", "Correct the command"
        raise SurrogateError(problem(what, where, expected, action))
    graphs = options.folder / "graphs"
    files = read_all(find([graphs if graphs.is_dir() else options.folder]), options.task)
    found = nearest(open_predictor(options.model), graph, files.graphs, options.count)
    _print_table(found, files, _accuracies(options))
    return files.report_broken()


def _accuracies(options: argparse.Namespace) -> dict[str, float]:
    """Mean measured accuracy by text, whatever task the text names."""
    if options.table is None:
        return {}
    table = table_of(options, options.table)
    measured: dict[str, list[float]] = {}
    for text, accuracy in zip(table.texts, table.accuracies, strict=True):
        measured.setdefault(without_task(text), []).append(accuracy)
    return {text: float(np.mean(values)) for text, values in measured.items()}


def _print_table(found: list[Neighbour], files: Files, accuracies: dict[str, float]) -> None:
    from rich.table import Table

    from surrogate.commands.terminal import show

    table = Table(title=f"Nearest of {len(files.paths)} networks")
    for name in ("", "similarity", "parameters", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    if accuracies:
        table.add_column("accuracy", justify="right")
    table.add_column("file", overflow="fold")
    for place, each in enumerate(found, 1):
        graph, path = files.graphs[each.index], files.paths[each.index]
        accuracy = accuracies.get(without_task(graph.text))
        measured = ["" if accuracy is None else f"{accuracy:.3f}"] if accuracies else []
        same = "  (the same graph)" if each.is_same else ""
        sizes = (f"{graph.parameters:,}", f"{graph.macs:,}")
        table.add_row(str(place), f"{each.similarity:.3f}", *sizes, *measured, f"{path}{same}")
    show(table)
