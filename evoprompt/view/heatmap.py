"""The archive as a heatmap, and a strip of small ones over the generations.

In: a history. Out: SVG. Colour is the elite's measured validation accuracy on one scale for the
whole run, so that pictures of different generations compare; axes carry real units. On narrow
pages the axes change places, so that numbers stay readable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoprompt.view.history import History
from evoprompt.view.records import Candidate, Cell
from evoprompt.view.svg import circle, colour, drawing, ink_on, line, n, rect, text, ticks
from evoprompt.view.words import origin, percent, short_count

_NAMES = {
    "log_parameters": "parameters",
    "log_macs": "multiply-accumulates for one example",
    "log_intensity": "multiply-accumulates per parameter",
    "depth": "depth: weighted operators on the longest path",
}
NARROW = 500  # pixels below which a picture is drawn for a phone


@dataclass(frozen=True)
class Axis:
    """One axis of the archive."""

    descriptor: str
    count: int
    low: float
    high: float

    @property
    def title(self) -> str:
        """What it measures."""
        return _NAMES.get(self.descriptor, self.descriptor)

    def marks(self) -> list[tuple[float, str]]:
        """Return (position in cells, label) of round values."""
        is_log = self.descriptor.startswith("log_")
        values = ticks(self.low, self.high, 4)
        if is_log:
            values = [v for v in values if abs(v - round(v)) < 1e-9]
        width = (self.high - self.low) or 1.0
        return [
            ((v - self.low) / width * self.count, short_count(10**v if is_log else v))
            for v in values
        ]

    def bounds(self, position: int) -> str:
        """Return the values between which a cell lies."""
        width = (self.high - self.low) / self.count
        ends = (self.low + position * width, self.low + (position + 1) * width)
        is_log = self.descriptor.startswith("log_")
        return " to ".join(short_count(10**v if is_log else v) for v in ends)


@dataclass(frozen=True)
class Shades:
    """The scale of colours: accuracies between two ends; what is outside takes the end's colour."""

    low: float
    high: float

    def place(self, accuracy: float | None) -> float:
        """Return 0..1 on the palette."""
        return ((accuracy or 0.0) - self.low) / ((self.high - self.low) or 1.0)


def axes(history: History) -> tuple[Axis, Axis]:
    """Return the archive's axes from the run's settings."""
    archive: Mapping[str, Any] = history.settings.get("archive") or {}
    names = archive.get("axes") or ("log_parameters", "log_intensity")
    cells = archive.get("cells") or (12, 8)
    low, high = archive.get("low") or (2.0, -0.5), archive.get("high") or (6.0, 2.5)
    first, second = (Axis(names[i], int(cells[i]), low[i], high[i]) for i in (0, 1))
    return first, second


def shades(history: History) -> Shades:
    """Return one scale of colours for all generations of a run."""
    values = [p.accuracy for p in history.placements if p.status != "kept"]
    if not values:
        return Shades(0.0, 1.0)
    low, high = robust_low(values), max(values)
    return Shades(low, high) if high > low else Shades(low - 0.05, high + 0.05)


def robust_low(values: Sequence[float]) -> float:
    """Return where a scale may begin so that a few bad programs do not flatten the good ones."""
    return sorted(values)[int(0.15 * len(values))] if values else 0.0


def heatmap(history: History, width: float = 1040, generation: int | None = None) -> str:
    """Draw the archive at the end of a generation (the last one if none is given)."""
    first, second = axes(history)
    is_narrow = width < NARROW
    across, up = (second, first) if is_narrow else (first, second)
    left, top, right = 46.0, 8.0, (2.0 if is_narrow else 78.0)
    step = (width - left - right) / across.count
    rise = 30.0 if is_narrow else min(46.0, step * 0.62)
    grid = _Grid(left, top, step, rise, up.count, is_narrow)
    cells = history.cells_at(history.generation if generation is None else generation)
    scale = shades(history)
    parts = _all_cells(history, grid, (first, second), cells, scale)
    bottom = top + rise * up.count
    parts += _frame(grid, across, up, bottom, width)
    if is_narrow:
        parts += _legend_flat(scale, left, bottom + 46, width - left - right)
        height = bottom + 84
    else:
        parts += _legend_tall(scale, width - right + 16, top, rise * up.count)
        height = bottom + 42
    label = f"archive heatmap: {len(cells)} of {first.count * second.count} cells filled"
    return drawing(width, height, label, parts)


@dataclass(frozen=True)
class _Grid:
    left: float
    top: float
    step: float
    rise: float
    row_count: int
    is_swapped: bool

    def corner(self, cell: Cell) -> tuple[float, float]:
        """Return the upper left corner of a cell; rows grow upwards."""
        column, row = (cell[1], cell[0]) if self.is_swapped else cell
        return (
            self.left + column * self.step,
            self.top + (self.row_count - 1 - row) * self.rise,
        )


def _all_cells(
    history: History,
    grid: _Grid,
    both: tuple[Axis, Axis],
    cells: Mapping[Cell, Candidate],
    scale: Shades,
) -> list[str]:
    seeds: dict[Cell, list[str]] = {}
    for seed in history.seeds:
        if seed.cell:
            seeds.setdefault(seed.cell, []).append(seed.name or seed.id[:8])
    first, second = both
    parts: list[str] = []
    for i in range(first.count):
        for j in range(second.count):
            x, y = grid.corner((i, j))
            where = f"{first.title} {first.bounds(i)}\n{second.title} {second.bounds(j)}"
            elite = cells.get((i, j))
            parts.append(_cell(grid, x, y, elite, scale, where))
            if (i, j) in seeds:
                names = "seeds here: " + ", ".join(seeds[i, j])
                parts.append(_seed_mark(grid, x, y, elite, scale, names))
    return parts


def _cell(
    grid: _Grid, x: float, y: float, elite: Candidate | None, scale: Shades, where: str
) -> str:
    box = (x + 1, y + 1, grid.step - 2, grid.rise - 2)
    if elite is None:
        return rect(*box, kind="cell empty", more=' rx="2"', title=f"empty\n{where}")
    place = scale.place(elite.accuracy)
    title = (
        f"{percent(elite.accuracy, 2)}  {elite.id[:8]}\n{origin(elite)}\n"
        f"{short_count(elite.parameters)} parameters, {short_count(elite.macs)} MACs\n{where}"
    )
    value = f"{100 * (elite.accuracy or 0):.1f}"
    number = (
        f'<text x="{n(x + grid.step / 2)}" y="{n(y + grid.rise / 2 + 4)}" class="number small" '
        f'text-anchor="middle" pointer-events="none" style="fill:{ink_on(place)}">{value}</text>'
    )
    fill = f' rx="2" fill="{colour(place)}"'
    return rect(*box, kind="cell filled", more=fill, title=title) + number


def _seed_mark(
    grid: _Grid, x: float, y: float, elite: Candidate | None, scale: Shades, names: str
) -> str:
    ink = ink_on(scale.place(elite.accuracy)) if elite else "var(--muted)"
    holds = elite is not None and elite.is_seed
    fill = ink if holds else "none"
    place = (x + 5.5, y + 5.5, 2.0) if grid.is_swapped else (x + 8, y + 8, 2.6)
    mark = circle(*place, "seed", names + (", still the elite" if holds else ""))
    return mark.replace('class="seed"', f'class="seed" style="fill:{fill};stroke:{ink}"')


def _frame(grid: _Grid, across: Axis, up: Axis, bottom: float, width: float) -> list[str]:
    parts: list[str] = []
    for place, label in across.marks():
        x = grid.left + place * grid.step
        parts += [line(x, bottom, x, bottom + 5, "axis")]
        parts += [text(x, bottom + 18, label, "small muted number", "middle")]
    for place, label in up.marks():
        y = grid.top + (up.count - place) * grid.rise
        parts += [line(grid.left - 5, y, grid.left, y, "axis")]
        parts += [text(grid.left - 8, y + 4, label, "small muted number", "end")]
    end = grid.left + grid.step * across.count
    parts.append(text((grid.left + end) / 2, bottom + 35, across.title, "small", "middle"))
    middle = (grid.top + bottom) / 2
    turn = f' transform="rotate(-90 11 {n(middle)})"'
    parts.append(text(11, middle, up.title, "small", "middle", turn))
    return parts


def _legend_tall(scale: Shades, x: float, top: float, height: float) -> list[str]:
    parts, pieces = [text(x, top + 8, "accuracy", "small")], 40
    start, room = top + 20, height - 24
    for i in range(pieces):
        y = start + room - (i + 1) * room / pieces
        fill = f' fill="{colour((i + 0.5) / pieces)}"'
        parts.append(rect(x, y, 12, room / pieces + 0.5, more=fill))
    for value in ticks(scale.low, scale.high, 5):
        y = start + room * (1 - scale.place(value))
        parts.append(text(x + 18, y + 4, f"{100 * value:.3g} %", "tiny muted number"))
    return parts


def _legend_flat(scale: Shades, x: float, y: float, width: float) -> list[str]:
    parts, pieces = [text(x, y + 12, "accuracy", "small")], 40
    start, room = x + 62, width - 62 - 14
    for i in range(pieces):
        fill = f' fill="{colour((i + 0.5) / pieces)}"'
        parts.append(rect(start + i * room / pieces, y + 2, room / pieces + 0.5, 11, more=fill))
    for value in ticks(scale.low, scale.high, 4):
        place = start + room * scale.place(value)
        parts.append(text(place, y + 27, f"{100 * value:.3g} %", "tiny muted number", "middle"))
    return parts


def strip(history: History, width: float = 1040, limit: int = 8) -> str:
    """Draw the archive generation by generation; new and better elites carry a frame."""
    shown = _spread(history.generation, limit)
    columns = 2 if width < NARROW else max(4, len(shown)) if len(shown) <= 6 else 4
    first, second = axes(history)
    scale, gap = shades(history), 22.0
    panel = (width - gap * (columns - 1)) / columns
    step = panel / first.count
    rise = step * 0.85
    tall = rise * second.count + 50
    parts: list[str] = []
    for number, generation in enumerate(shown):
        x = (number % columns) * (panel + gap)
        y = (number // columns) * tall
        grid = _Grid(x, y + 38, step, rise, second.count, False)
        parts += _panel(history, generation, grid, first.count, scale)
    rows = -(-len(shown) // columns)
    return drawing(width, rows * tall, "the archive over the generations", parts)


def _panel(
    history: History, generation: int, grid: _Grid, column_count: int, scale: Shades
) -> list[str]:
    cells, changed = history.cells_at(generation), history.changed_in(generation)
    best = max((c.accuracy or 0.0 for c in cells.values()), default=None)
    title = "seeds" if generation == 0 else f"generation {generation}"
    parts = [
        text(grid.left, grid.top - 22, title, "strong"),
        text(grid.left, grid.top - 8, f"{len(cells)} cells, best {percent(best)}", "small muted"),
    ]
    for i in range(column_count):
        for j in range(grid.row_count):
            x, y = grid.corner((i, j))
            box = (x + 0.75, y + 0.75, grid.step - 1.5, grid.rise - 1.5)
            elite = cells.get((i, j))
            if elite is None:
                parts.append(rect(*box, kind="empty"))
                continue
            fill = f' fill="{colour(scale.place(elite.accuracy))}"'
            kind = "changed-cell" if generation and (i, j) in changed else ""
            parts.append(rect(*box, kind=kind, more=fill, title=percent(elite.accuracy, 2)))
            if kind:
                parts.append(rect(*box, kind="changed"))
    return parts


def _spread(last: int, limit: int) -> list[int]:
    """Return at most so many generations, evenly spread, with the first and the last."""
    if last < limit:
        return list(range(last + 1))
    return sorted({round(i * last / (limit - 1)) for i in range(limit)})
