"""A report as tables on the terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from surrogate.commands.terminal import show
from surrogate.report import Report

BAR = 20  # characters of a full bar


def print_report(report: Report) -> None:
    """Print every figure."""
    print(report.title)
    print(report.predictions.source)
    print(report.verdict)
    show(
        _ranking(report),
        _regrets(report),
        _calibration(report),
        *([_transfers(report)] if report.transfers else []),
        _members(report),
    )
    print(report.noise)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _ranking(report: Report) -> Table:
    heads = ("", "networks", "Kendall tau (95 %)", "Spearman rho (95 %)")
    rows = [
        (each.name, str(each.count), _interval(each.tau), _interval(each.rho))
        for each in report.correlations
    ]
    return _table("Rank correlation with what was measured", heads, rows)


def _interval(three: tuple[float, float, float]) -> str:
    return f"{three[0]:.3f} ({three[1]:.3f} .. {three[2]:.3f})"


def _regrets(report: Report) -> Table:
    title = "Points lost by training only the k best predicted"
    heads = ("k", "predictor", "prior (size)", "random, expected")
    rows = [
        (str(each.choice), *(f"{100 * lost:.2f}" for lost in losses))
        for each in report.regrets
        for losses in [(each.predictor, each.prior, each.random)]
    ]
    return _table(title, heads, rows)


def _calibration(report: Report) -> Table:
    title = f"Calibration: the 90 % intervals that `score` prints held {report.served:.1%}"
    heads = ("promised", "conformal", "", "spread alone")
    rows = [
        (f"{each.level:.0%}", f"{each.conformal:.1%}", _bar(each.conformal), f"{each.spread:.1%}")
        for each in report.coverages
    ]
    return _table(title, heads, rows)


def _bar(share: float) -> str:
    full = round(BAR * share)
    return "█" * full + "░" * (BAR - full)


def _transfers(report: Report) -> Table:
    title = "Transfer: learned from all other families, tested on this one"
    heads = ("family", "learned from", "tested on", "Kendall tau", "prior (size)")
    rows = [
        (each.name, str(each.trained), str(each.tested), f"{each.tau:.3f}", f"{each.prior:.3f}")
        for each in report.transfers
    ]
    return _table(title, heads, rows)


def _members(report: Report) -> Table:
    heads = ("member", "Kendall tau", "weight")
    rows = [(each.name, f"{each.tau:.3f}", f"{each.weight:.2f}") for each in report.members]
    return _table("Members, cross-validated", heads, rows)
