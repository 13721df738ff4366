"""The charts of a run: best so far, predicted against measured, front, rank correlation, funnel.

In: a history and a width in pixels. Out: SVG at that size, drawn anew for phones instead of
shrunk. Colours and text styles come from `svg.STYLE`; tooltips are `<title>` elements.
"""

import math
from collections.abc import Callable, Sequence

from evoprompt.view.heatmap import NARROW, robust_low
from evoprompt.view.history import History
from evoprompt.view.records import STEPS, Candidate, Funnel
from evoprompt.view.svg import (
    Scale,
    circle,
    diamond,
    drawing,
    line,
    path,
    rect,
    text,
    ticks,
)
from evoprompt.view.words import count, origin, percent, points, share, short_count, tau

Labels = Callable[[float], str]
_LEFT, _RIGHT, _TOP, _FOOT, _HEIGHT = 50.0, 14.0, 30.0, 42.0, 340.0


def best_so_far(history: History, width: float = 500) -> str:
    """Draw the best accuracy after each trained child, with the seeds as baselines."""
    steps = [p for p in history.progress if p.generation == 0][-1:]
    steps += [p for p in history.progress if p.generation > 0]
    reference = history.reference
    level = reference.accuracy if reference else None
    lines = [v for p in steps for v in (p.best, p.small, level) if v is not None]
    x = Scale(0, max(1, history.totals.trained_count), _LEFT, width - _RIGHT)
    y = _up(lines)
    parts = _axes(x, y, "trained children", "validation accuracy", count, _percent)
    for seed in history.seeds:
        if seed.accuracy is not None and seed.accuracy >= y.low:
            parts.append(line(x.start, y(seed.accuracy), x.end, y(seed.accuracy), "faint"))
    if level is not None:
        parts.append(line(x.start, y(level), x.end, y(level), "faint dashed"))
        parts.append(text(x.start + 5, y(level) + 13, f"reference {percent(level)}", "tiny muted"))
    limit = f"at most {count(reference.parameters)} parameters" if reference else ""
    last = history.progress[-1] if history.progress else None
    series = (
        ("second", "two", limit, 16, [(p.trained_count, p.small) for p in steps]),
        ("first", "one", "any size", -7, [(p.trained_count, p.best) for p in steps]),
    )
    for kind, ink, word, shift, values in series:
        known = [(at, value) for at, value in values if value is not None]
        parts.append(path(_stairs(known, x, y), f"line {kind}"))
        if known and last:
            label = f"{word} {percent(known[-1][1])}"
            height = y(known[-1][1]) + shift
            parts.append(text(x.end - 4, height, label, f"small strong {ink}", "end"))
    return drawing(width, _HEIGHT, "best validation accuracy by trained children", parts)


def predicted_measured(history: History, width: float = 500) -> str:
    """Draw the score before training against the measured accuracy, random reserve marked."""
    audited = [c for c in history.measured if c.score and not c.is_seed]
    means = [c.score.mean for c in audited if c.score]
    measured = [c.accuracy or 0.0 for c in audited]
    x = Scale(*_padded(means), _LEFT, width - _RIGHT)
    y = _up(measured)
    parts = _axes(x, y, "score before training", "validation accuracy", _percent, _percent)
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low < high:
        parts.append(path([(x(low), y(low)), (x(high), y(high))], "faint"))
    for c in sorted(audited, key=lambda c: c.is_random_draw):
        if c.score is None:
            continue
        title = (
            f"{c.id[:8]}, {origin(c)}\nscore {percent(c.score.mean)} \u00b1 "
            f"{percent(c.score.spread)}, measured {percent(c.accuracy)}, chosen: {c.why}"
        )
        draw, kind = (diamond, "hollow") if c.is_random_draw else (circle, "dot")
        parts.append(draw(x(c.score.mean), y(c.accuracy or 0.0), 4.5, kind, title))
    parts += _legend(x.start + 4, 12, [("dot", "chosen"), ("hollow", "drawn by lot")])
    if not audited:
        parts.append(_nothing(x, y, "no scored candidate has been trained yet"))
    return drawing(width, _HEIGHT, "predicted against measured accuracy", parts)


def front_scatter(history: History, width: float = 500) -> str:
    """Draw accuracy against parameters: all measured, the front, seeds and the reference."""
    sized = [c for c in history.measured if c.parameters]
    front = [c for c in history.front() if c.parameters]
    logs = [math.log10(c.parameters or 1) for c in sized]
    low, high = (min(logs) - 0.1, max(logs) + 0.1) if logs else (2.0, 6.0)
    x = Scale(low, high, _LEFT, width - _RIGHT)
    accuracies = [c.accuracy or 0.0 for c in sized]
    y = _up([*(v for v in accuracies if v >= robust_low(accuracies))])
    marks = [
        m
        for k in range(12)
        for m in ((k,) if width < NARROW else (k, k + math.log10(3)))
        if low <= m <= high
    ]
    parts = _axes(
        x, y, "parameters", "validation accuracy", lambda v: short_count(round(10**v)), _percent,
        marks,
    )  # fmt: skip
    known = [(math.log10(c.parameters or 1), c.accuracy) for c in front if _is_inside(c, y)]
    parts.append(path(_stairs(known, x, y), "line first"))
    on_front = {c.id for c in front}
    for c in sorted(sized, key=lambda c: (c.id in on_front, c.is_seed)):
        kind = "hollow" if c.is_seed else "dot" if c.id in on_front else "dot-muted"
        if _is_inside(c, y):
            parts.append(circle(_log(c, x), y(c.accuracy or 0.0), 4, kind, _tip(c)))
    reference = history.reference
    if reference and reference.parameters and _is_inside(reference, y):
        at = (_log(reference, x), y(reference.accuracy or 0.0))
        parts.append(diamond(*at, 6.5, "dot-second", "reference\n" + _tip(reference)))
        parts.append(text(at[0] + 11, at[1] + 4, "reference", "small two"))
    keys = [("dot", "front"), ("hollow", "seed"), ("dot-muted", "other")]
    parts += _legend(x.start + 4, 12, keys, 66)
    hidden = sum(not _is_inside(c, y) for c in sized)
    if hidden:
        note = f"{hidden} below {_percent(y.low)}"
        parts.append(text(x.end, 16, note, "tiny muted", "end"))
    return drawing(width, _HEIGHT, "accuracy against parameters", parts)


def correlation(history: History, width: float = 500) -> str:
    """Draw Kendall tau of predictor and prior over the generations, all pairs and reserve."""
    x = Scale(1, max(2, history.generation), _LEFT, width - 90)
    audits = [a for a in history.audits if a.generation > 0 and a.pairs]
    taus = [v for a in audits for v in (a.tau_predictor, a.tau_prior)]
    taus += [v for a in audits for v in (a.tau_predictor_reserve, a.tau_prior_reserve)]
    is_low = min((v for v in taus if v is not None), default=0.0) < -0.25
    y = Scale(-1 if is_low else -0.25, 1, _HEIGHT - _FOOT, _TOP)
    marks = [v for v in ticks(1, x.high, 8) if abs(v - round(v)) < 1e-9]
    parts = _axes(x, y, "generation", "Kendall tau", count, tau, marks)
    parts.append(line(x.start, y(0), x.end, y(0), "axis"))
    series = [
        ("predictor", "first", "one", "", lambda a: a.tau_predictor),
        ("prior", "second", "two", "", lambda a: a.tau_prior),
        ("pred., by lot", "first", "one", "3 3", lambda a: a.tau_predictor_reserve),
        ("prior, by lot", "second", "two", "3 3", lambda a: a.tau_prior_reserve),
    ]
    ends: list[tuple[float, str, str]] = []
    for name, stroke, ink, dash, pick in series:
        known = [(a.generation, pick(a)) for a in audits if pick(a) is not None]
        if not known:
            continue
        more = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(path([(x(g), y(v)) for g, v in known], f"line {stroke}", more))
        if not dash:
            parts += [circle(x(g), y(v), 3, f"dot{'' if ink == 'one' else '-second'}")
                      for g, v in known]  # fmt: skip
        ends.append((y(known[-1][1]), name, ink))
    for level, name, ink in _apart(ends, 13):
        parts.append(text(x.end + 8, level + 4, name, f"tiny {ink}"))
    if not ends:
        parts.append(_nothing(x, y, "no pairs to compare yet"))
    return drawing(width, _HEIGHT, "rank correlation with measured accuracy", parts)


def funnel_bars(counted: Funnel, width: float = 1040) -> str:
    """Draw the steps of a funnel, and under each the reasons that stopped proposals there."""
    is_narrow = width < NARROW
    left, right = (78.0, 88.0) if is_narrow else (110.0, 100.0)
    whole = max(1, counted.counts.get("proposed", 0))
    size = Scale(0, whole, 0, width - left - right)
    room = int((width - left) / 5.9)
    parts: list[str] = []
    y, before = 4.0, whole
    for step in STEPS:
        reached = counted.counts.get(step, 0)
        bar = size(reached)
        parts.append(text(left - 10, y + 15, step, "small", "end"))
        lost = f"{count(before - reached)} stopped before this step"
        parts.append(rect(left, y, size(before), 20, kind="bar-lost", title=lost))
        parts.append(rect(left, y, bar, 20, kind="bar", title=f"{step}: {count(reached)}"))
        end = width - right + 8
        parts.append(text(end + 34, y + 15, count(reached), "small number", "end"))
        parts.append(text(end + 80, y + 15, share(reached, whole), "small muted number", "end"))
        y += 20
        for row in _reason_rows(counted, step, room):
            parts.append(text(left, y + 12, row, "tiny muted"))
            y += 13
        y, before = y + 10, reached
    return drawing(width, y, "funnel from proposals to elites", parts)


def _reason_rows(counted: Funnel, step: str, room: int) -> list[str]:
    """Reasons and counts, broken into rows of at most so many characters."""
    rows: list[str] = []
    for loss in counted.losses:
        if loss.step != step:
            continue
        word = f"{loss.reason.replace('_', ' ')} {count(loss.count)}"
        if rows and len(rows[-1]) + len(word) + 3 <= room:
            rows[-1] += f" \u00b7 {word}"
        else:
            rows.append(word)
    return rows


def _axes(
    x: Scale,
    y: Scale,
    x_title: str,
    y_title: str,
    x_label: Labels,
    y_label: Labels,
    x_marks: Sequence[float] | None = None,
) -> list[str]:
    parts: list[str] = []
    for value in ticks(y.low, y.high, 5):
        level = y(value)
        parts.append(line(x.start, level, x.end, level))
        parts.append(text(x.start - 7, level + 4, y_label(value), "tiny muted number", "end"))
    wanted = max(2, int((x.end - x.start) / 70))
    whole = x_label is count
    for value in ticks(x.low, x.high, wanted) if x_marks is None else x_marks:
        if whole and abs(value - round(value)) > 1e-9:
            continue
        parts.append(line(x(value), y.start, x(value), y.start + 4, "axis"))
        parts.append(text(x(value), y.start + 17, x_label(value), "tiny muted number", "middle"))
    parts.append(line(x.start, y.start, x.end, y.start, "axis"))
    parts.append(text((x.start + x.end) / 2, _HEIGHT - 6, x_title, "small", "middle"))
    middle = (y.start + y.end) / 2
    turn = f' transform="rotate(-90 10 {middle:.1f})"'
    parts.append(text(10, middle, y_title, "small", "middle", turn))
    return parts


def _up(values: Sequence[float]) -> Scale:
    return Scale(*_padded(values), _HEIGHT - _FOOT, _TOP)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Ends a little outside the data; chance level is not special, the spread is."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    edge = max(0.01, 0.08 * (high - low))
    return max(0.0, low - edge), high + edge


def _stairs(
    known: Sequence[tuple[float, float | None]], x: Scale, y: Scale
) -> list[tuple[float, float]]:
    """Points of a step line that holds each value until the next, and to the right end."""
    way: list[tuple[float, float]] = []
    for place, value in known:
        if way:
            way.append((x(place), way[-1][1]))
        way.append((x(place), y(value or 0.0)))
    if way:
        way.append((x.end, way[-1][1]))
    return way


def _apart(ends: Sequence[tuple[float, str, str]], gap: float) -> list[tuple[float, str, str]]:
    """Move labels down until none covers another."""
    placed: list[tuple[float, str, str]] = []
    for level, name, ink in sorted(ends):
        floor = placed[-1][0] + gap if placed else level
        placed.append((max(level, floor), name, ink))
    return placed


def _legend(x: float, y: float, keys: Sequence[tuple[str, str]], step: float = 84) -> list[str]:
    parts: list[str] = []
    for number, (kind, word) in enumerate(keys):
        at = x + number * step
        is_lot = word == "drawn by lot"
        parts.append(diamond(at, y, 4.5, kind, word) if is_lot else circle(at, y, 4, kind))
        parts.append(text(at + 9, y + 4, word, "small muted"))
    return parts


def _nothing(x: Scale, y: Scale, words: str) -> str:
    middle = ((x.start + x.end) / 2, (y.start + y.end) / 2)
    return text(*middle, words, "small muted", "middle")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _is_inside(candidate: Candidate, y: Scale) -> bool:
    return candidate.accuracy is not None and candidate.accuracy >= y.low


def _log(candidate: Candidate, x: Scale) -> float:
    return x(math.log10(candidate.parameters or 1))


def _tip(candidate: Candidate) -> str:
    size = f"{count(candidate.parameters)} parameters, {short_count(candidate.macs)} MACs"
    return f"{candidate.id[:8]}, {origin(candidate)}\n{percent(candidate.accuracy, 2)}, {size}"


def interval_bar(
    difference: float, low: float | None, high: float | None, edge: float, width: float = 200
) -> str:
    """Draw one difference with its interval, on a scale from -edge to edge."""
    ends = [difference if end is None else end for end in (low, high)]
    x, middle = Scale(-edge, edge, 6, width - 6), 14.0
    kind, dot = ("first", "dot") if difference >= 0 else ("second", "dot-second")
    title = f"{points(difference)} points"
    parts = [
        line(x.start, middle, x.end, middle),
        line(x(0), 3, x(0), 25, "axis"),
        path([(x(end), middle) for end in ends], f"line {kind}"),
        circle(x(difference), middle, 4.5, dot, title),
    ]
    return drawing(width, 28, title, parts)
