"""Empty cells beside filled ones: where the archive could grow next, as sizes to aim at.

In: the archive's axes and elites. Out: for each empty cell that touches a filled one the parameters
and MACs of its middle, and the elites that it touches. An axis of depth gives no size, so with one
of the two figures is missing. Not promised: that a network of such figures exists.
"""

from dataclasses import dataclass

from evoprompt.archive.grid import Archive, Cell, Elite
from evoprompt.config import ArchiveSettings


@dataclass(frozen=True)
class Gap:
    """An empty cell that touches filled ones."""

    cell: Cell
    parameters: int | None
    """In the middle of the cell; None where the axes do not say."""
    macs: int | None
    neighbours: tuple[Elite, ...]
    """The elites that it touches, sorted by cell."""


def gaps(
    archive: Archive, settings: ArchiveSettings, max_parameters: int, max_macs: int
) -> list[Gap]:
    """Return the empty cells beside filled ones whose middles are within the limits, by cell."""
    elites = {elite.cell: elite for elite in archive.elites()}
    around = {each for cell in elites for each in _around(cell, settings.cells)}
    found: list[Gap] = []
    for cell in sorted(around - set(elites)):
        parameters, macs = sizes(cell, settings)
        if (parameters or 1) > max_parameters or (macs or 1) > max_macs:
            continue
        near = tuple(elites[c] for c in sorted(_around(cell, settings.cells)) if c in elites)
        found.append(Gap(cell, parameters, macs, near))
    return found


def sizes(cell: Cell, settings: ArchiveSettings) -> tuple[int | None, int | None]:
    """Return parameters and MACs in the middle of a cell; None where the axes leave one open."""
    middle = {
        axis: low + (place + 0.5) * (high - low) / count
        for axis, place, low, high, count in zip(
            settings.axes, cell, settings.low, settings.high, settings.cells, strict=True
        )
    }
    parameters, macs = middle.get("log_parameters"), middle.get("log_macs")
    intensity = middle.get("log_intensity")
    if intensity is not None:
        if macs is None and parameters is not None:
            macs = parameters + intensity
        elif parameters is None and macs is not None:
            parameters = macs - intensity
    return _whole(parameters), _whole(macs)


def _whole(power: float | None) -> int | None:
    return None if power is None else max(1, round(10**power))


def _around(cell: Cell, cells: Cell) -> set[Cell]:
    """The up to eight cells that touch this one."""
    near = {(cell[0] + i, cell[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} - {cell}
    return {each for each in near if 0 <= each[0] < cells[0] and 0 <= each[1] < cells[1]}
