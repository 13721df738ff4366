"""`explain FILE.onnx`: what each line of a network's text is worth to the predictor."""

import argparse
from pathlib import Path

from surrogate.commands.basis import basis
from surrogate.commands.folder import open_predictor
from surrogate.encode import read
from surrogate.errors import SurrogateError, problem
from surrogate.explain import Explanation, LineWorth, explain

BAR_WIDTH = 12  # characters on either side
SHOWN = 5  # most and least valuable lines


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    command = commands.add_parser("explain", help="say what each line of a network is worth")
    command.add_argument("file", type=Path, metavar="FILE.onnx")
    command.add_argument("--model", type=Path, help="folder of a predictor with labels")
    command.add_argument("--task", help="task whose accuracy is explained")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the text with a bar beside each line, then the extremes."""
    graph = read(options.file, options.task or "")
    surrogate = open_predictor(options.model)
    if not surrogate.label_count:
        what = "the predictor has seen no labels, so there is nothing to explain"
        expected, action = "a predictor with labels", "Make one with `fit` and name it with --model"
        where = str(options.model or "the built-in predictor")
        raise SurrogateError(problem(what, where, expected, action))
    found = explain(surrogate, graph.text, options.task)
    _print_lines(found)
    _print_extremes(found)
    print(f"Predictor {surrogate.version}. {basis(surrogate, options.task)}")
    return 0


def _print_lines(found: Explanation) -> None:
    from rich.table import Table

    from surrogate.commands.terminal import show

    title = f"Expected accuracy {found.mean:.3f} (spread {found.spread:.3f}), line by line"
    table = Table(title=title)
    table.add_column("points", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("line", overflow="fold")
    largest = max((abs(line.points) for line in found.lines if line.points is not None), default=0)
    for line in found.lines:
        words = "  " * line.depth + line.line
        if line.points is None:
            table.add_row("", f"({line.reason})" if line.reason else "", words)
        else:
            others = f"  (with {line.others} that only it needs)" if line.others else ""
            table.add_row(f"{line.points:+.2f}", bar(line.points, largest), words + others)
    show(table)


def bar(points: float, largest: float) -> str:
    """A bar to the right of the middle for what helps, to the left for what harms."""
    length = round(BAR_WIDTH * abs(points) / largest) if largest else 0
    left, right = ("", "█" * length) if points > 0 else ("█" * length, "")
    return f"{left:>{BAR_WIDTH}}│{right:<{BAR_WIDTH}}"


def _print_extremes(found: Explanation) -> None:
    known = [line for line in found.lines if line.points is not None]
    ranked = sorted(known, key=lambda line: -(line.points or 0.0))
    best = [line for line in ranked[:SHOWN] if (line.points or 0.0) > 0]
    worst = [line for line in ranked[::-1][:SHOWN] if (line.points or 0.0) < 0]
    for title, lines in (("Worth most", best), ("Better without", worst)):
        print(f"{title}: {'; '.join(map(_short, lines)) or 'no line'}.")
    print(
        "A line goes in all its repetitions, and with it what nothing reads then; "
        "its readers read its first input."
    )


def _short(line: LineWorth) -> str:
    times = f" (x{line.repeats})" if line.repeats > 1 else ""
    return f"{line.points:+.2f} {line.line}{times}"
