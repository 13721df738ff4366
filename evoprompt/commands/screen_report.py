"""What `evoprompt screen` says of one program: as JSON for programs, as text for people.

Text of a candidate (its lines, its exceptions' messages) is hostile: what could steer a terminal
is replaced before it is printed.
"""

import difflib
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from evoprompt.candidate import Rejected, Screened, TaskShape

_LINE = re.compile(r"^line (\d+): (?:`(.*)`: )?")


@dataclass(frozen=True)
class Report:
    """One program's verdict; every key is in the JSON, null where it does not apply."""

    file: str
    verdict: str
    """valid or rejected."""
    stage: str | None = None
    reason: str | None = None
    detail: str | None = None
    """The message, without the quoted line."""
    line: int | None = None
    """Line of the file that failed."""
    quoted: str | None = None
    """That line."""
    candidate: str | None = None
    graph: str | None = None
    """SHA-256 of the canonical graph."""
    adapted: tuple[str, ...] = ()
    """What was changed so that the program fits the contract."""
    in_shape: tuple[int, ...] | None = None
    """Without the batch axis, as out_shape."""
    out_shape: tuple[int, ...] | None = None
    parameters: int | None = None
    macs: int | None = None
    activation_bytes: int | None = None
    """Most memory that activations of one example take at a time."""
    depth: int | None = None
    node_count: int | None = None
    latency_ms: float | None = None
    """Median of latency_runs runs of onnxruntime, one example, one thread."""
    latency_runs: int | None = None
    text: str | None = None
    """The graph, a line for each operator with the shape of its output."""
    onnx: str | None = None
    """The file that was written; the weights are its inputs, by the module's own names."""


def report_valid(
    file: Path,
    verdict: Screened,
    shape: TaskShape,
    latency: object,
    target: Path | None,
) -> Report:
    """Return the report of an accepted program."""
    milliseconds = getattr(latency, "milliseconds", None)
    return Report(
        file=str(file),
        verdict="valid",
        detail=None if milliseconds is not None else f"latency: {latency}",
        candidate=verdict.candidate,
        graph=verdict.graph,
        adapted=verdict.adapted,
        in_shape=shape.in_shape,
        out_shape=(shape.num_classes,),
        parameters=verdict.parameters,
        macs=verdict.macs,
        activation_bytes=verdict.activation_bytes,
        depth=verdict.depth,
        node_count=verdict.node_count,
        latency_ms=milliseconds,
        latency_runs=getattr(latency, "runs", None),
        text=verdict.text,
        onnx=str(target) if target is not None else None,
    )


def report_invalid(file: Path, source: str, screened: str, verdict: Rejected) -> Report:
    """Return the report of a rejected program.

    Args:
        file: Its name.
        source: The text as it stands in the file.
        screened: The text that the screen numbered the lines of: normalised, perhaps adapted.
        verdict: Why it was rejected.
    """
    found = _LINE.match(verdict.detail)
    number = _line_in_file(int(found[1]), screened, source) if found else None
    return Report(
        file=str(file),
        verdict="rejected",
        stage=str(verdict.stage),
        reason=str(verdict.reason),
        detail=verdict.detail[found.end() :] if found else verdict.detail,
        line=number,
        quoted=found[2] if found else None,
    )


def _line_in_file(number: int, screened: str, source: str) -> int | None:
    """Return the number of a screened line in the file; None for one that the screen added."""
    theirs = [line.rstrip() for line in screened.split("\n")]
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    ours = [line.rstrip() for line in text.split("\n")]
    if len(text) > len(screened) + 10_000:  # mostly empty lines: not worth the comparison
        return None
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    for block in matcher.get_matching_blocks():
        if block.a <= number - 1 < block.a + block.size:
            return block.b + number - block.a
    return None


def print_reports(reports: Iterable[Report], total: int, as_json: bool, notes: list[str]) -> bool:
    """Print reports as they come; returns whether all programs are valid.

    Args:
        reports: One for each program.
        total: How many there will be.
        as_json: One line of JSON for each.
        notes: What a person should know; complete once the first report is there.
    """
    are_valid = True
    status = Console(stderr=True)
    with status.status("starting the jail") as shown:
        console = status if as_json else Console()
        for done, report in enumerate(reports, start=1):
            while notes:
                status.print(f"evoprompt: {escape(notes.pop(0))}", highlight=False)
            shown.update(f"screened {done} of {total}")
            are_valid = are_valid and report.verdict == "valid"
            if as_json:
                sys.stdout.write(json.dumps(asdict(report)) + "\n")
                sys.stdout.flush()
            else:
                console.print(_panel(report))
    return are_valid


def _panel(report: Report) -> Panel:
    name = escape(printable(report.file))
    if report.verdict == "valid":
        figures = _table(report)
        text = Text(printable(report.text or ""), style="dim")
        return Panel(
            Group(figures, Text(), text),
            title=f"[green]valid[/]  {name}",
            title_align="left",
            border_style="green",
        )
    where = f"line {report.line}: " if report.line else ""
    lines = [Text(f"{report.reason} (at stage {report.stage})", style="bold")]
    if report.quoted:
        lines.append(Text(f"{where}{printable(report.quoted)}", style="cyan"))
        where = ""
    lines.append(Text(f"{where}{printable(report.detail or '')}"))
    return Panel(
        Group(*lines), title=f"[red]rejected[/]  {name}", title_align="left", border_style="red"
    )


def _table(report: Report) -> Table:
    rows = {
        "input": f"batch x {_shape(report.in_shape)}, float32",
        "output": f"batch x {_shape(report.out_shape)}, float32",
        "parameters": f"{report.parameters:,}",
        "MACs": f"{report.macs:,} for one example",
        "activations": _bytes(report.activation_bytes),
        "depth": f"{report.depth} weighted layers, {report.node_count} operators",
        "latency": _latency(report),
        "graph": report.graph,
        "adapted": ", ".join(report.adapted),
        "written": printable(report.onnx) if report.onnx else "nothing (stdin without --out)",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        if value:
            table.add_row(Text(name, style="bold"), Text(value))
    return table


def _shape(sizes: tuple[int, ...] | None) -> str:
    return " x ".join(str(size) for size in sizes or ())


def _bytes(count: int | None) -> str:
    return f"{count / 1024:,.1f} KiB at most, for one example" if count is not None else ""


def _latency(report: Report) -> str:
    if report.latency_ms is None:
        return printable(report.detail or "")
    runs = f"median of {report.latency_runs} runs"
    return f"{report.latency_ms:.3f} ms on onnxruntime, one example, one thread ({runs})"


def printable(text: str) -> str:
    """Return text whose characters cannot steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
