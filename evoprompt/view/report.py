"""The report of a run: one self-contained HTML file, for a screen of any width, light or dark.

In: a run folder and its events, of a finished run or of one cut off anywhere. Out: report.html,
written atomically. It needs no network and no script; every text from a ledger or a source is
cleaned and escaped here, whoever wrote it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from evoprompt import __version__
from evoprompt.ledger import Event
from evoprompt.storage import write_atomically
from evoprompt.view import figures, svg, words
from evoprompt.view.choices import by_part, by_template
from evoprompt.view.heatmap import heatmap, strip
from evoprompt.view.history import History, is_child, is_locked, replay
from evoprompt.view.lineage import Step, story
from evoprompt.view.novelty import duplicates
from evoprompt.view.novelty import lines as new_lines
from evoprompt.view.records import STEPS, Candidate, Comparison

Draw = Callable[[float], str]
WIDE, HALF, PHONE = 1040, 500, 342
"""Widths in pixels at which pictures are drawn."""


@dataclass(frozen=True)
class Winner:
    """A program whose lineage and source are told in full."""

    candidate: Candidate
    role: str
    steps: Sequence[Step]
    source: Markup | None


@dataclass(frozen=True)
class Headline:
    """One figure of the first screen."""

    value: str
    name: str
    note: str


def write_report(run_folder: Path, events: Sequence[Event]) -> Path:
    """Write report.html into the run folder and return its path.

    Raises:
        StorageError: The disk is full or not writable; an older report stays.
    """
    is_running = is_locked(run_folder / "lock")
    page = render(replay(events, run_folder, is_running=is_running))
    path = run_folder / "report.html"
    write_atomically(path, page.encode("utf-8"))
    return path


def render(history: History) -> str:
    """Return the report as text."""
    template = _environment().get_template("report.html.jinja")
    children = history.funnel()
    return template.render(
        history=history,
        state=_state(history),
        verdict=verdict(history),
        headlines=headlines(history),
        children=children,
        generations=[(g, history.funnel(g).counts) for g in range(1, history.generation + 1)],
        by_version=[
            (v, history.funnel_of(lambda p, v=v: is_child(p) and p.version == v).counts)
            for v in history.versions()
        ],
        choices=[("template", by_template(history)), ("part to change", by_part(history))],
        duplicates=duplicates(history),
        new_lines=new_lines(history),
        repairs=history.repairs(),
        steps=STEPS,
        winners=winners(history),
        settings=words.flatten(history.settings),
        command=words.search_command(history.settings, f"{history.name}-again"),
        pictures={
            "heatmap": _both(lambda w: heatmap(history, w), WIDE),
            "strip": _both(lambda w: strip(history, w), WIDE),
            "funnel": _both(lambda w: figures.funnel_bars(children, w), WIDE),
            "best": _both(lambda w: figures.best_so_far(history, w), HALF),
            "front": _both(lambda w: figures.front_scatter(history, w), HALF),
            "predicted": _both(lambda w: figures.predicted_measured(history, w), HALF),
            "correlation": _both(lambda w: figures.correlation(history, w), HALF),
        },
        edge=_edge(history.comparisons),
        version=__version__,
    )


def _edge(comparisons: Sequence[Comparison]) -> float:
    """Return the end of one scale on which all differences and their intervals fit."""
    ends = [v for c in comparisons for v in (c.difference, c.low, c.high) if v is not None]
    return 1.1 * max((abs(v) for v in ends), default=0.0) or 0.01


def winners(history: History) -> list[Winner]:
    """Return the winners with their lineage and highlighted source."""
    roles = {tested.candidate: tested.role for tested in history.tested}
    told: list[Winner] = []
    for candidate in history.winners():
        source = history.source(candidate.id)
        code = Markup(_highlight(words.clean(source))) if source is not None else None
        role = roles.get(candidate.id, "best so far")
        told.append(Winner(candidate, role, story(history, candidate.id), code))
    return told


def headlines(history: History) -> list[Headline]:
    """Return the figures of the first screen."""
    return [*_best_headlines(history), *_work_headlines(history)]


def _best_headlines(history: History) -> list[Headline]:
    shown: list[Headline] = []
    last = history.progress[-1] if history.progress else None
    reference = history.reference
    best = history.candidates.get(last.best_candidate or "") if last else None
    if last and best:
        note = f"{words.count(best.parameters)} parameters, {words.origin(best)}"
        shown.append(Headline(words.percent(last.best), "best validation accuracy", note))
    small = history.candidates.get(last.small_candidate or "") if last else None
    if last and small and reference:
        name = f"best with at most {words.count(reference.parameters)} parameters"
        note = f"reference {words.percent(reference.accuracy)}; {words.origin(small)}"
        shown.append(Headline(words.percent(last.small), name, note))
    cells = history.cells_at(history.generation)
    first, second = (history.settings.get("archive") or {}).get("cells") or (12, 8)
    note = f"{len(history.cells_at(0))} of them by the seeds alone"
    shown.append(Headline(f"{len(cells)} of {first * second}", "archive cells filled", note))
    score = history.quality_diversity(history.generation)
    note = f"sum of the elites' accuracies; seeds alone {history.quality_diversity(0):.1f}"
    shown.append(Headline(f"{score:.1f}", "QD-score", note))
    return shown


def _work_headlines(history: History) -> list[Headline]:
    totals, counts = history.totals, history.funnel().counts
    fresh = words.share(counts["new graph"], counts["proposed"])
    shown = [
        Headline(
            words.count(totals.trained_count),
            "children trained",
            f"of {words.count(totals.proposal_count)} proposals, {fresh} valid and new",
        )
    ]
    audit = history.audits[-1] if history.audits else None
    if audit and audit.tau_predictor is not None:
        note = f"prior {words.tau(audit.tau_prior)}, {audit.pairs} pairs; judge: {audit.judge}"
        note += f"; {words.held(audit)}" if words.held(audit) else ""
        shown.append(Headline(words.tau(audit.tau_predictor), "predictor's Kendall tau", note))
    tried = [t for t in history.tunings if t.promoted is not None]
    if tried:
        promoted = sum(bool(t.promoted) for t in tried)
        note = f"serving: {history.tunings[-1].serving}"
        shown.append(Headline(f"{promoted} of {len(tried)}", "tuned proposers promoted", note))
    seconds = totals.seconds
    note = f"{words.short_count(totals.token_count)} tokens written"
    if totals.prompt_token_count:
        note += f", {words.short_count(totals.prompt_token_count)} read"
    shown.append(Headline(words.duration(seconds.get("train", 0.0)), "worker time training", note))
    return shown


def verdict(history: History) -> str:
    """Return what the final comparison says, in one sentence; empty before it."""
    known = [c for c in history.comparisons if c.difference is not None]
    small = [c for c in known if (c.parameters or 0) <= (c.reference_parameters or 0)]
    if not known:
        return ""
    chosen = max(small or known, key=lambda c: _believed(history, c))
    difference = chosen.difference or 0.0
    low, high = chosen.low, chosen.high
    clear = low is not None and high is not None and (low > 0 or high < 0)
    word = "beats" if difference > 0 else "loses to"
    if not clear:
        word = "cannot be told apart from"
    size = "no more parameters than" if small else "more parameters than"
    tests = history.task.get("test_count")
    samples = f" on {words.count(tests)} test samples" if isinstance(tests, int) else ""
    interval = (
        f" (95\u202f% interval {words.points(low)} to {words.points(high)})"
        if low is not None
        else ""
    )
    return (
        f"The best program found with {size} the reference {word} it{samples}: "
        f"{words.percent(chosen.accuracy, 2)} against "
        f"{words.percent(chosen.accuracy_reference, 2)}, "
        f"a difference of {words.points(difference)} points{interval}."
    )


def _believed(history: History, comparison: Comparison) -> float:
    """Validation accuracy: the test samples measure the best program, they do not pick it."""
    candidate = history.candidates.get(comparison.candidate)
    return (candidate.accuracy if candidate else None) or 0.0


def _state(history: History) -> str:
    if history.state == "ended":
        reason = history.stop_reason
        return f"ended with its budget of {reason} spent" if reason else "ended"
    return "still running" if history.state == "running" else "not finished"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "points", "tau", "count", "short_count", "duration", "moment", "share",
                 "line", "origin"):  # fmt: skip
        environment.filters[name] = getattr(words, name)
    environment.globals["interval_bar"] = lambda *ends: Markup(figures.interval_bar(*ends))
    environment.globals["style"] = Markup(_style())
    return environment


def _shown(value: object) -> object:
    """Clean what a template prints; escaping follows."""
    return words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _both(draw: Draw, wide: float) -> Markup:
    return Markup(f'<div class="wide">{draw(wide)}</div><div class="phone">{draw(PHONE)}</div>')


def _highlight(source: str) -> str:
    return highlight(source, PythonLexer(), HtmlFormatter(cssclass="code", nobackground=True))


def _style() -> str:
    light, dark = (
        HtmlFormatter(style=name, nobackground=True).get_style_defs(".code")
        for name in ("friendly", "github-dark")
    )
    return (
        f":root{{color-scheme:light dark;{svg.VARIABLES}}}{svg.STYLE}{light}"
        f"@media(prefers-color-scheme:dark){{:root{{{svg.DARK_VARIABLES}}}{dark}}}"
    )
