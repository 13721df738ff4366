"""MAP-Elites cells over pyribs' GridArchive, holding row numbers; ids are kept beside it.

Comes in: measured (or, for the archive inside a generation, predicted) accuracies with their
descriptors. Goes out: where each one landed. An elite leaves its cell only for a better one; ties
keep the old one. Descriptors outside the axes are clipped by pyribs; they are counted here.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from ribs.archives import GridArchive

from evoprompt.archive.descriptors import descriptors
from evoprompt.config import ArchiveSettings

Cell = tuple[int, int]
_STATUS: dict[int, Literal["kept", "improved", "new"]] = {0: "kept", 1: "improved", 2: "new"}


@dataclass(frozen=True)
class Elite:
    """The best of one cell."""

    candidate: str
    accuracy: float
    parameters: int
    macs: int
    cell: Cell


@dataclass(frozen=True)
class Placement:
    """What happened to a candidate that was offered to the archive."""

    cell: Cell
    clipped: bool
    """True if a descriptor lay outside the axes and was moved to the border cell."""
    status: Literal["new", "improved", "kept"]
    """new cell filled, elite improved upon, or the old elite kept."""
    replaced: str | None


class Archive:
    """Elites by cell; see Mouret & Clune 2015 for MAP-Elites."""

    def __init__(self, settings: ArchiveSettings):
        self._settings = settings
        self._grid = GridArchive(
            solution_dim=1,
            dims=settings.cells,
            ranges=list(zip(settings.low, settings.high, strict=True)),
        )
        self._rows: list[Elite] = []
        self._elites: dict[Cell, Elite] = {}
        self.clipped_count = 0

    def locate(self, parameters: int, macs: int, depth: int) -> tuple[Cell, bool]:
        """Return the cell of a candidate and whether a descriptor had to be clipped."""
        measures = descriptors(self._settings.axes, parameters, macs, depth)
        flat = self._grid.index_of_single(measures)
        row, column = (int(i) for i in self._grid.int_to_grid_index(np.asarray([flat]))[0])
        bounds = zip(measures, self._settings.low, self._settings.high, strict=True)
        return (row, column), any(not low <= value <= high for value, low, high in bounds)

    def add(
        self, candidate: str, accuracy: float, parameters: int, macs: int, depth: int
    ) -> Placement:
        """Offer a candidate to its cell."""
        cell, clipped = self.locate(parameters, macs, depth)
        self.clipped_count += clipped
        measures = descriptors(self._settings.axes, parameters, macs, depth)
        self._rows.append(Elite(candidate, accuracy, parameters, macs, cell))
        answer = self._grid.add_single([len(self._rows) - 1], accuracy, measures)
        status = _STATUS[int(answer["status"])]
        before = self._elites.get(cell)
        if status == "kept":
            return Placement(cell, clipped, status, None)
        self._elites[cell] = self._rows[-1]
        return Placement(cell, clipped, status, before.candidate if before else None)

    def elites(self) -> list[Elite]:
        """Return the elites, sorted by cell."""
        return [self._elites[cell] for cell in sorted(self._elites)]

    def incumbent(self, cell: Cell) -> float | None:
        """Return the accuracy of a cell's elite, or None for an empty cell."""
        elite = self._elites.get(cell)
        return elite.accuracy if elite else None

    @property
    def coverage(self) -> float:
        """Share of the cells that are filled, 0..1."""
        return float(self._grid.stats.coverage)

    @property
    def qd_score(self) -> float:
        """Sum of the elites' accuracies."""
        return float(self._grid.stats.qd_score)


def front(elites: list[Elite]) -> list[Elite]:
    """Return the accuracy-parameters front: no other is both smaller and at least as accurate."""
    ordered = sorted(elites, key=lambda e: (e.parameters, -e.accuracy, e.candidate))
    best = -1.0
    kept: list[Elite] = []
    for elite in ordered:
        if elite.accuracy > best:
            kept.append(elite)
            best = elite.accuracy
    return kept
