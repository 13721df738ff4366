"""`report [FOLDER] [--table TABLE] [--html FILE]`: how good a predictor is.

Of a predictor with labels: what models that had not seen a label said of it (cross-validation); or,
with `--table`, what it says of the table's networks that it has not learned from. Of a predictor
without labels, such as the built-in one: it is fitted to the table and cross-validated there. A
table with a column `origin` or `space` adds the transfer between those.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from surrogate.commands.fit import add_columns, table_of
from surrogate.commands.folder import open_predictor
from surrogate.data import Table
from surrogate.errors import SurrogateError, problem

if TYPE_CHECKING:
    from surrogate.report import Predictions, Report
    from surrogate.score import Surrogate


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    command = commands.add_parser("report", help="say how good a predictor is")
    command.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="of a predictor")
    command.add_argument("--model", type=Path, help="the same, as for the other commands")
    command.add_argument("--table", type=Path, help="labelled networks, CSV or Parquet")
    add_columns(command)
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page as well")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every figure; write the page if asked to."""
    from surrogate.report import MemberFigure, make_report, noise_of, transfers

    folder = options.folder or options.model
    surrogate = open_predictor(folder)
    table = table_of(options, options.table) if options.table else None
    if not surrogate.label_count and table is None:
        what, expected = "the predictor has seen no labels", "labels to compare with"
        action = "Give a labelled table with --table"
        where = str(folder or "the built-in predictor")
        raise SurrogateError(problem(what, where, expected, action))
    if surrogate.label_count and table is not None:
        judged, predictions = surrogate, unseen(surrogate, table, str(options.table))
    else:
        judged = surrogate if table is None else _fitted(surrogate, table)
        predictions = held_out(judged)
    report = make_report(
        f"Predictor {judged.version}",
        predictions,
        [MemberFigure(each.name, each.tau, each.weight) for each in judged.members],
        noise_of(judged.learned.texts, judged.learned.accuracies, judged.learned.spaces),
        transfers(surrogate, table) if table else (),
    )
    from surrogate.commands.report_tables import print_report

    if options.html:
        _write(options.html, report)  # first: a reader of the tables may stop reading
    print_report(report)
    if options.html:
        print(f"Page written to {options.html}")
    return 0


def _fitted(surrogate: "Surrogate", table: Table) -> "Surrogate":
    return surrogate.fit(
        table.texts, table.accuracies, tasks=table.tasks, fidelities=table.fidelities
    )


def held_out(surrogate: "Surrogate") -> "Predictions":
    """What models that had not seen a label said of it."""
    from surrogate.report import Predictions

    found = surrogate.held_out()
    assert found is not None  # there are labels
    source = (
        f"{len(found.texts)} labelled networks, each predicted by models that had not seen its "
        "label (cross-validation)."
    )
    intervals = {0.9: (found.low, found.high)}
    said = (found.mean, found.spread, intervals, found.accuracy, found.tasks)
    return Predictions(found.texts, *said, source=source)


def unseen(surrogate: "Surrogate", table: Table, name: str) -> "Predictions":
    """What a predictor says of the networks of a table that it has not learned from."""
    from surrogate.report import LEVELS, Predictions

    known = set(surrogate.learned.texts)
    measured: dict[tuple[str, str | None, float | None], list[float]] = {}
    for row, text in enumerate(table.texts):
        if text not in known:
            task = table.tasks[row] if table.tasks else None
            fidelity = table.fidelities[row] if table.fidelities else None
            measured.setdefault((text, task, fidelity), []).append(table.accuracies[row])
    keys = list(measured)
    mean, spread = np.zeros((2, len(keys)))
    intervals = {level: (np.zeros(len(keys)), np.zeros(len(keys))) for level in LEVELS}
    for space in dict.fromkeys(key[1:] for key in keys):
        rows = [row for row, key in enumerate(keys) if key[1:] == space]
        texts = [keys[row][0] for row in rows]
        for level, (low, high) in intervals.items():
            said = surrogate.predict(texts, level, *space)
            mean[rows], spread[rows], low[rows], high[rows] = said
    seen = len(set(table.texts) & known)
    source = (
        f"{len(keys)} networks of {name} that the predictor has not learned from"
        f"{f' ({seen} that it has are left out)' if seen else ''}."
    )
    accuracy = np.array([np.mean(values) for values in measured.values()])
    tasks = tuple(key[1] or "" for key in keys)
    texts = tuple(key[0] for key in keys)
    return Predictions(texts, mean, spread, intervals, accuracy, tasks, source)


def _write(path: Path, report: "Report") -> None:
    from surrogate.page import render

    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(render(report), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        what = f"the page cannot be written ({error.strerror})"
        action = "Check the folder"
        raise SurrogateError(problem(what, str(path), "a file to write to", action)) from error
