"""A run in the terminal: archive, front, funnel, predictor, proposer and the final comparison.

In: a run folder, finished or not. Out: text on a rich console. Everything that a model or a
program wrote is cleaned of escapes and printed as plain text, never as markup.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from evoprompt.view.choices import Choice, by_part, by_template
from evoprompt.view.heatmap import axes, shades
from evoprompt.view.history import History, open_history
from evoprompt.view.novelty import duplicates
from evoprompt.view.novelty import lines as new_lines
from evoprompt.view.records import STEPS, Funnel
from evoprompt.view.svg import colour, ink_on
from evoprompt.view.words import (
    clean,
    count,
    duration,
    held,
    line,
    origin,
    percent,
    points,
    share,
    short_count,
    tau,
)


def show(run_folder: Path, console: Console) -> None:
    """Print what a run has found so far.

    Raises:
        LedgerError: The folder is missing, is no run, is damaged, or of another version.
    """
    history = open_history(run_folder)
    task = clean(history.task.get("name", "unknown task"))
    where = f"{task}, {history.generation} generations, {history.state}"
    console.print(Text.assemble((f"{clean(history.name)}  ", "bold"), where))
    console.print()
    _print_archive(history, console)
    console.print(front_table(history))
    console.print(funnel_table(history.funnel()))
    for title, name, rows in (
        ("templates", "template", by_template(history)),
        ("parts to change", "part", by_part(history)),
    ):
        if rows:
            console.print(choice_table(title, name, rows))
    console.print()
    _print_novelty(history, console)
    _print_learning(history, console)
    if history.comparisons:
        console.print(comparison_table(history))
    console.print()
    totals = history.totals
    spent = (
        f"{count(totals.trained_count)} children trained in "
        f"{duration(totals.seconds.get('train', 0.0))} of worker time, "
        f"{totals.cache_hit_count} known from an equal graph, "
        f"{short_count(totals.token_count)} tokens written, "
        f"{short_count(totals.prompt_token_count)} read, {totals.clipped_count} outside the axes"
    )
    _say(console, "spent", spent)
    _say(console, "content", history.content_hash)
    if history.state == "stopped":
        _say(console, "resume", f"evoprompt resume {clean(run_folder)}")
    if (run_folder / "report.html").exists():
        _say(console, "report", clean(run_folder / "report.html"))


def _say(console: Console, label: str, words: str) -> None:
    console.print(Text.assemble((f"{label:<10}", "dim"), words), soft_wrap=True)


def _print_archive(history: History, console: Console) -> None:
    """Print the heatmap as coloured blocks; numbers stand for themselves without colour."""
    across, up = axes(history)
    cells, scale = history.cells_at(history.generation), shades(history)
    total = across.count * up.count
    held = Text.assemble(("archive  ", "bold"), f"{len(cells)} of {total} cells, accuracy in %")
    console.print(held)
    marks = {int(place): label for place, label in up.marks()}
    width = 5
    for row in range(up.count - 1, -1, -1):
        text = Text()
        text.append(f"{marks.get(row, ''):>6} ", style="dim")
        for column in range(across.count):
            elite = cells.get((column, row))
            if elite is None:
                text.append("\u00b7".center(width), style="dim")
                continue
            place = scale.place(elite.accuracy)
            block = Style(color=ink_on(place), bgcolor=colour(place))
            text.append(f"{100 * (elite.accuracy or 0):.1f}".center(width), style=block)
        console.print(text, no_wrap=True, overflow="crop")
    foot = [" "] * (across.count * width + 8)
    for place, label in across.marks():
        start = min(round(place * width), len(foot) - len(label))
        foot[start : start + len(label)] = label
    console.print(Text(" " * 7 + "".join(foot).rstrip(), style="dim"), no_wrap=True)
    titles = f"across: {across.title}; up: {up.title}"
    console.print(Text(" " * 7 + titles, style="dim"))
    console.print()


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def front_table(history: History) -> Table:
    """Return the accuracy-parameters front as a table, best first."""
    table = _table("front: accuracy against parameters")
    table.add_column("program", no_wrap=True)
    for name in ("accuracy", "parameters", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("origin", overflow="ellipsis", no_wrap=True)
    table.add_column("proposer", no_wrap=True)
    for candidate in reversed(history.front()):
        table.add_row(
            Text(candidate.id[:8]),
            percent(candidate.accuracy, 2),
            count(candidate.parameters),
            count(candidate.macs),
            Text(line(origin(candidate), 40)),
            Text(line(candidate.version, 12)),
        )
    return table


def funnel_table(counted: Funnel) -> Table:
    """Return the steps of a funnel with the reasons that stopped proposals before each."""
    table = _table("\nfunnel of the children")
    table.add_column("step", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("stopped before it")
    whole = counted.counts.get("proposed", 0)
    for step in STEPS:
        reasons = [
            f"{loss.reason.replace('_', ' ')} {count(loss.count)}"
            for loss in counted.losses
            if loss.step == step
        ]
        reached = counted.counts.get(step, 0)
        words = Text(line(", ".join(reasons), 300), style="dim")
        table.add_row(step, count(reached), share(reached, whole), words)
    return table


def choice_table(title: str, name: str, rows: Sequence[Choice]) -> Table:
    """Return what each template or part was worth."""
    table = _table(f"\n{title}")
    table.add_column(name, no_wrap=True)
    for head in ("share", "last", "proposed", "valid", "new", "trained", "entered", "tokens",
                 "per 1k"):  # fmt: skip
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        counts = (row.proposed, row.valid, row.new, row.trained, row.entered, row.token_count)
        table.add_row(
            Text(line(row.name, 24)),
            percent(row.share, 0),
            percent(row.last_share, 0),
            *(short_count(each) for each in counts),
            short_count(row.entered_per_thousand),
        )
    return table


def _print_novelty(history: History, console: Console) -> None:
    known, lines = duplicates(history), new_lines(history)
    if known.proposed:
        kinds = ", ".join(f"{words} {count(each)}" for words, each in known.kinds() if each)
        _say(console, "known", f"{share(known.total, known.proposed)} of the proposals: {kinds}")
    if lines.added:
        words = f"{share(lines.again, lines.added)} of {count(lines.added)} new lines came back"
        _say(console, "old lines", f"{words} from an earlier ancestor")
    mended = history.repairs().counts
    if mended["proposed"]:
        words = (
            f"{mended['valid']} of {mended['proposed']} mended, {mended['new graph']} of them new"
        )
        _say(console, "repairs", words)
    if history.rewritten_count:
        words = f"{history.rewritten_count} programs shown in the canonical style, not their own"
        _say(console, "rewritten", words)


def comparison_table(history: History) -> Table:
    """Return the final comparison on the test samples."""
    table = _table("\ntest samples, new seeds: against the reference")
    table.add_column("program", no_wrap=True)
    for name in ("parameters", "accuracy", "reference", "difference", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in history.comparisons:
        table.add_row(
            Text(clean(row.candidate[:8])),
            count(row.parameters),
            percent(row.accuracy, 2),
            percent(row.accuracy_reference, 2),
            points(row.difference),
            f"{points(row.low)} to {points(row.high)}",
        )
    return table


def _print_learning(history: History, console: Console) -> None:
    console.print()
    for audit in history.audits:
        words = (
            f"generation {audit.generation}: tau {tau(audit.tau_predictor)}, "
            f"prior {tau(audit.tau_prior)} on {audit.pairs} pairs; by lot "
            f"{tau(audit.tau_predictor_reserve)} and {tau(audit.tau_prior_reserve)} "
            f"on {audit.reserve_pairs}; judge {clean(audit.judge)}"
        )
        words += f"; {held(audit)}" if held(audit) else ""
        _say(console, "predictor", words)
    for tuning in history.tunings:
        verdict = {True: "promoted", False: "refused", None: "not tuned"}[tuning.promoted]
        gate = ""
        if tuning.old and tuning.new:
            gate = (
                f", valid and new {tuning.new.valid_new} of {tuning.new.samples} "
                f"against {tuning.old.valid_new} of {tuning.old.samples}"
                f", inherited {_two(tuning.new.heredity)} against {_two(tuning.old.heredity)}"
                f", held-out pairs {percent(tuning.held_out_accuracy, 0)}"
            )
        words = f"generation {tuning.generation}: {line(tuning.version, 20)} {verdict}{gate}"
        _say(console, "proposer", f"{words}; serving {line(tuning.serving, 20)}")


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
