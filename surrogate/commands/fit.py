"""`fit TABLE --out FOLDER`: a predictor that has learned from a table of labelled networks.

The folder appears when everything is done, or not at all. With `--encoder` the vectors come from an
encoder of Hugging Face; `--fine-tune-encoder N` trains it for N steps first, on as many processes
as `accelerate launch -m surrogate fit ...` starts. `--fine-tune` teaches our own encoders.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from surrogate.commands.basis import basis
from surrogate.commands.files import watched
from surrogate.commands.folder import check_target, open_predictor, save_whole
from surrogate.data import Columns, Table, read_table
from surrogate.errors import SurrogateError, problem

if TYPE_CHECKING:
    from surrogate.score import Surrogate


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    command = commands.add_parser("fit", help="learn from a table of labelled networks")
    command.add_argument("table", type=Path, metavar="TABLE", help="CSV or Parquet")
    command.add_argument("--out", type=Path, required=True, help="folder for the predictor")
    command.add_argument("--model", type=Path, help="predictor whose encoders are used")
    add_columns(command)
    command.add_argument(
        *("--fine-tune",),
        action="store_true",
        help="teach copies of the encoders as well; takes minutes, pays from some 200 labels on",
    )
    command.add_argument("--encoder", help="encoder of Hugging Face, by name or folder")
    command.add_argument(
        *("--fine-tune-encoder",),
        type=int,
        default=0,
        metavar="STEPS",
        help="train that encoder on the labels first",
    )
    command.set_defaults(run=run)


def add_columns(command: argparse.ArgumentParser) -> None:
    """Declare how the columns of a table are called."""
    command.add_argument("--label", default="accuracy", help="column of the label, 0..1")
    command.add_argument("--task-column", help="column of the task; default: task, if there is one")
    command.add_argument(
        "--fidelity-column", help="column of the fidelity; default: fidelity, if there is one"
    )


def table_of(options: argparse.Namespace, path: Path) -> Table:
    """Read a table with the columns that were asked for."""
    columns = Columns(options.label, options.task_column, options.fidelity_column)
    return read_table(path, columns, partial(watched, what="reading networks"))


def run(options: argparse.Namespace) -> int:
    """Fit, save, and say how good each member is."""
    check_target(options.out)
    if options.fine_tune_encoder and not options.encoder:
        expected, action = "--encoder NAME beside it", "Name the encoder to train"
        raise SurrogateError(problem("no encoder", "--fine-tune-encoder", expected, action))
    if options.fine_tune and options.encoder:
        expected, action = "--fine-tune-encoder STEPS", "Use that for an encoder of Hugging Face"
        raise SurrogateError(problem("--encoder", "--fine-tune", expected, action))
    if options.model and options.encoder:
        expected, action = "one source of vectors", "Leave one of them out"
        raise SurrogateError(problem("two encoders", "--model and --encoder", expected, action))
    table = table_of(options, options.table)
    if options.encoder:
        return _fit_hub(options, table)
    _finish(open_predictor(options.model), table, options.out, options.fine_tune)
    return 0


def _fit_hub(options: argparse.Namespace, table: Table) -> int:
    from surrogate.hub import HubEncoder
    from surrogate.score import Surrogate

    encoder = HubEncoder.open(options.encoder)
    if options.fine_tune_encoder:
        from surrogate.hub_training import fine_tune

        tuned = fine_tune(encoder, table, options.fine_tune_encoder)
        if not tuned.is_first:
            return 0  # another process writes the predictor
        encoder = tuned.encoder
        processes = f"{tuned.process_count} process{'es' * (tuned.process_count > 1)}"
        print(f"Encoder tuned for {options.fine_tune_encoder} steps on {processes}")
    print(encoder.coverage(table.texts))
    _finish(Surrogate(encoder.projected(table.texts)), table, options.out)
    return 0


def _finish(start: "Surrogate", table: Table, out: Path, is_fine_tuned: bool = False) -> None:
    fitted = start.fit(
        table.texts, table.accuracies, tasks=table.tasks, fidelities=table.fidelities
    )
    if is_fine_tuned:
        fitted = _fine_tuned(fitted)
    save_whole(fitted, out)
    print(f"Predictor {fitted.version} learned {fitted.label_count} labels; written to {out}")
    print(basis(fitted))
    _print_members(fitted)


def _fine_tuned(fitted: "Surrogate") -> "Surrogate":
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("fine-tuning", total=1.0)
        tuned = fitted.fine_tuned(lambda share: bar.update(task, completed=share))
    if tuned.tuned is None:
        print(f"Not fine-tuned: {fitted.label_count} labels are too few for it to pay")
    return tuned


def _print_members(fitted: "Surrogate") -> None:
    from rich.table import Table as RichTable

    from surrogate.commands.terminal import show

    table = RichTable(title="Members, cross-validated")
    table.add_column("member")
    for name in ("Kendall tau", "weight"):
        table.add_column(name, justify="right")
    for member in fitted.members:
        table.add_row(member.name, f"{member.tau:.3f}", f"{member.weight:.2f}")
    show(table)
