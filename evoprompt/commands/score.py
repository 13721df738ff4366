"""`evoprompt score FILE...`: what the predictor says of programs and graphs, before any training.

A .py file goes through the screen (in the jail) first; a .onnx file is read as it is. With --run
the answer is for that run's task and length of training. Without it only the built-in predictor
speaks, which has seen no result of this task and says so.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evoprompt.candidate import Rejected, TaskShape
from evoprompt.commands.files import read_program, split_words, task_shape
from evoprompt.config import ScreenSettings
from evoprompt.errors import ConfigError, LedgerError
from evoprompt.ledger import Ledger


@dataclass(frozen=True)
class ScoreCommand:
    """Score programs (.py) and graphs (.onnx)."""

    run: Path | None = None
    """Run folder whose newest predictor is asked; the built-in one if not given."""
    task: Literal["mnist1d", "digits", "arrays"] = "mnist1d"
    """Task whose input shape and classes a .py file is built for (ignored with --run)."""
    path: Path | None = None
    """For --task arrays: the .npz file."""


@dataclass(frozen=True)
class Scored:
    """One line of the table."""

    file: Path
    verdict: str
    mean: float | None = None
    spread: float | None = None
    parameters: int | None = None
    macs: int | None = None


def run_score(given: list[str]) -> None:
    """Print a table of the files, best first; rejected ones with their reason."""
    import tyro
    from rich.console import Console

    files, flags = split_words(given)
    command = tyro.cli(ScoreCommand, args=flags, prog="evoprompt score FILE...")
    if not files:
        raise ConfigError("no file given. Expected .py or .onnx files: evoprompt score net.py")
    for file in files:
        if file.suffix not in (".py", ".onnx") or not file.is_file():
            raise ConfigError(f"{file} is not an existing .py or .onnx file. Check the path.")
    scored = score_files(files, command)
    Console().print(_table(scored, command.run))


def score_files(files: list[Path], command: ScoreCommand) -> list[Scored]:
    """Screen and score the files; best first, rejected ones last."""
    from evoprompt.steps.learn import load_predictor
    from surrogate.encode import GraphError, read

    predictor = load_predictor(_predictor(command.run))
    graphs: dict[Path, bytes] = {f: f.read_bytes() for f in files if f.suffix == ".onnx"}
    rejected: list[Scored] = []
    sources = [f for f in files if f.suffix == ".py"]
    if sources:
        screened, rejected = _screen(sources, command)
        graphs.update(screened)
    lines: list[Scored] = []
    for file, data in graphs.items():
        try:
            graph = read(data)
        except GraphError as error:
            rejected.append(Scored(file, str(error)))
            continue
        means, spreads = predictor.score([graph.text])
        figures = (float(means[0]), float(spreads[0]), graph.parameters, graph.macs)
        lines.append(Scored(file, "valid", *figures))
    return sorted(lines, key=lambda line: -(line.mean or 0.0)) + rejected


def _screen(sources: list[Path], command: ScoreCommand) -> tuple[dict[Path, bytes], list[Scored]]:
    from evoprompt.screen import Screener

    shape = _shape_of(command.run) if command.run else task_shape(command.task, command.path)
    graphs: dict[Path, bytes] = {}
    rejected: list[Scored] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        screener = Screener(ScreenSettings(workers=1), shape, folder)
        try:
            for file in sources:
                answer = screener.screen_all([read_program(file)])[0]
                if isinstance(answer, Rejected):
                    verdict = f"{answer.stage}: {answer.reason}: {answer.detail}"
                    rejected.append(Scored(file, verdict))
                else:
                    graphs[file] = (folder / answer.graph_path).read_bytes()
        finally:
            screener.close()
    return graphs, rejected


def _shape_of(run: Path) -> TaskShape:
    """What the programs of a run must map."""
    with Ledger(run / "ledger.sqlite") as ledger:
        started = ledger.find(0, "start", 0)
    if started is None:
        raise LedgerError(
            f"{run} is half written: its ledger does not begin with the start of a search. "
            "Expected a run that has begun. Name another one with --run."
        )
    task = started.payload["task"]
    return TaskShape(task["name"], tuple(task["in_shape"]), task["num_classes"])


def _predictor(run: Path | None) -> Path | None:
    if run is None:
        return None
    versions = sorted((run / "predictor").glob("v[0-9]*"))
    if not versions:
        raise LedgerError(
            f"{run} holds no predictor. Expected a run folder with predictor/v001 or later. "
            "Check the path, or leave --run away for the built-in predictor."
        )
    return versions[-1]


def _table(lines: list[Scored], run: Path | None):
    from rich.table import Table

    rests_on = f"results of {run}" if run else "the built-in predictor, no result of this task"
    table = Table(title=f"Predicted validation accuracy ({rests_on})")
    for name in ("file", "predicted", "±", "parameters", "MACs", "verdict"):
        table.add_column(name, justify="left" if name in ("file", "verdict") else "right")
    for line in lines:
        if line.mean is None:
            table.add_row(str(line.file), "", "", "", "", line.verdict)
        else:
            table.add_row(
                str(line.file),
                f"{line.mean:.3f}",
                f"{line.spread:.3f}",
                f"{line.parameters:,}",
                f"{line.macs:,}",
                line.verdict,
            )
    return table
