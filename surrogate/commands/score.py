"""`score FILE.onnx...|FOLDER`: networks ranked by expected accuracy, and what that rests on.

Broken files among others are named at the end and the exit code is 1; `--json` prints one array.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from surrogate.commands.basis import basis
from surrogate.commands.files import Files, find, read_all
from surrogate.commands.folder import open_predictor

LEVEL = 0.9


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    command = commands.add_parser("score", help="rank ONNX files by expected accuracy")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx|FOLDER")
    command.add_argument("--model", type=Path, help="folder of a predictor; default: built in")
    command.add_argument("--encoder", help="where its Hugging Face encoder lies, if it has moved")
    command.add_argument("--task", help="task whose accuracy is asked for")
    command.add_argument("--fidelity", type=float, help="length of the training that is asked for")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the ranking."""
    files = read_all(find(options.files), options.task or "")
    from surrogate.report import prior_of

    surrogate = open_predictor(options.model, options.encoder)
    asked = (options.task, options.fidelity)
    texts = [graph.text for graph in files.graphs]
    mean, spread, low, high = surrogate.predict(texts, LEVEL, *asked)
    rows = [
        {
            "file": str(files.paths[index]),
            "mean": float(mean[index]),
            "spread": float(spread[index]),
            "low": float(low[index]),
            "high": float(high[index]),
            "parameters": files.graphs[index].parameters,
            "macs": files.graphs[index].macs,
            "hash": files.graphs[index].hash,
        }
        for index in np.lexsort((-prior_of(texts), -mean))  # size decides where the mean does not
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows, files)
        print(f"Predictor {surrogate.version}. {basis(surrogate, options.task)}")
    return files.report_broken()


def _print_table(rows: list[dict], files: Files) -> None:
    from rich.table import Table

    from surrogate.commands.terminal import show

    table = Table(title=f"Expected accuracy of {len(files.paths)} networks")
    for name in ("", "mean", "90 % interval", "parameters", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("file", overflow="fold")
    for place, row in enumerate(rows, 1):
        interval = f"{row['low']:.3f} .. {row['high']:.3f}"
        sizes = (f"{row['parameters']:,}", f"{row['macs']:,}")
        table.add_row(str(place), f"{row['mean']:.3f}", interval, *sizes, row["file"])
    show(table)
