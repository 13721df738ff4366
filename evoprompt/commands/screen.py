"""`evoprompt screen FILE.py...`: would these programs be accepted, and what networks are they?

Each program goes through rules, recorder and checker as in a search; of a valid one the ONNX file
is written beside the source (or into --out). Exit code 0 if all are valid, 1 if some are rejected.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evoprompt.candidate import Rejected, TaskShape, normalise
from evoprompt.commands.files import STDIN, decode, read_program, split_words, task_shape
from evoprompt.commands.screen_report import Report, print_reports, report_invalid, report_valid
from evoprompt.config import ScreenSettings
from evoprompt.errors import ConfigError
from evoprompt.storage import write_atomically

PRODUCER = "evoprompt"  # stands in every file that this command writes
_SWITCHES = ("--help", "--json", "--screen.unsafe", "--screen.no-unsafe")


@dataclass(frozen=True)
class ScreenCommand:
    """Screen programs: verdict, figures, graph text and ONNX file of each; `-` reads stdin."""

    task: Literal["mnist1d", "digits", "arrays"] = "mnist1d"
    """Task whose input shape and classes the programs are built for."""
    path: Path | None = None
    """For --task arrays: the .npz file."""
    json: bool = False
    """Print one JSON object per program, each on a line of its own."""
    out: Path | None = None
    """Folder of the ONNX files; without it each is written beside its source (stdin's is not)."""
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    """Limits of the jail."""


def run_screen(given: list[str]) -> None:
    """Screen the files and print what became of them; exits with 1 if one was rejected."""
    import tyro

    files, flags = split_words(given, _SWITCHES)
    command = tyro.cli(ScreenCommand, args=flags, prog="evoprompt screen FILE.py...")
    if not files:
        raise ConfigError("no file given. Expected Python source: evoprompt screen net.py")
    targets = _targets(files, command.out)
    sources = [_read(file) for file in files]
    shape = task_shape(command.task, command.path)
    notes: list[str] = []
    reports = screen_sources(files, sources, targets, shape, command.screen, notes)
    if not print_reports(reports, len(files), command.json, notes):
        sys.exit(1)


def screen_sources(
    files: list[Path],
    sources: list[str],
    targets: list[Path | None],
    shape: TaskShape,
    settings: ScreenSettings,
    notes: list[str],
) -> Iterator[Report]:
    """Yield a report for each program, in the order given; writes the ONNX files.

    Before the first one, `notes` is given what the jail lacks on this machine.

    Raises:
        JailError: The machine cannot run candidates as safely as asked.
        StorageError: A graph cannot be written.
    """
    from evoprompt.screen import Screener
    from evoprompt.screen.latency import LatencyMeter

    with (
        tempfile.TemporaryDirectory() as scratch,
        closing(Screener(settings, shape, Path(scratch))) as screener,
        closing(LatencyMeter(settings.unsafe)) as meter,
    ):
        notes += screener.start()
        for file, source, target in zip(files, sources, targets, strict=True):
            (verdict,) = screener.screen_all([source])
            prepared = screener.prepare(source)
            text = normalise(source) if isinstance(prepared, Rejected) else prepared.source
            if isinstance(verdict, Rejected):
                yield report_invalid(file, source, text, verdict)
                continue
            graph = (Path(scratch) / verdict.graph_path).read_bytes()
            if target is not None:
                write_atomically(target, _signed(graph))
            latency = meter.measure(graph, shape.in_shape)
            yield report_valid(file, verdict, shape, latency, target)


def _read(file: Path) -> str:
    return decode(sys.stdin.buffer.read()) if file == STDIN else read_program(file)


def _targets(files: list[Path], out: Path | None) -> list[Path | None]:
    """Return where each graph goes; a file that this command did not write stays as it is."""
    targets: list[Path | None] = []
    for file in files:
        name = "stdin.onnx" if file == STDIN else f"{file.stem}.onnx"
        if file == STDIN and out is None:
            targets.append(None)
            continue
        target = (out or file.parent) / name
        if target in targets:
            raise ConfigError(
                f"two graphs would be written to {target}. Expected programs with different "
                "names. Screen them one at a time, each with its own --out."
            )
        if target.exists() and not _is_ours(target):
            raise ConfigError(
                f"{target} is there already and was not written by this command. Expected a free "
                "name. Move it, or name another folder with --out."
            )
        targets.append(target)
    return targets


def _signed(graph: bytes) -> bytes:
    """Return the graph with this program's name in it."""
    import onnx

    model = onnx.ModelProto.FromString(graph)
    model.producer_name = PRODUCER
    return model.SerializeToString(deterministic=True)


def _is_ours(file: Path) -> bool:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.ModelProto.FromString(file.read_bytes()).producer_name == PRODUCER
    except (OSError, DecodeError):
        return False
