"""Lines to positions: what the encoders read of a parsed text.

An activation, norm or dropout that stands between two lines and has no other reader is told as part
of its neighbour (`Relu, Conv, BatchNorm` is one position), which nearly halves the length of most
networks and with it the time of a score. Everything else is a position of its own. In: `Parsed` and
the facts of its lines; out: `Positions`, plain arrays.
Axes: L positions, S slots for merged lines (one before, three behind), F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surrogate.features import (
    DYNAMIC,
    LINE_FEATURES,
    TOKENS,
    VARIANTS,
    Facts,
    log2,
    static_features,
)
from surrogate.parse import Line

SLOTS = 4
NO_ROW = TOKENS + VARIANTS
"""Where no line is merged: the first row of the merged lines' table, which holds zeros."""


@dataclass(frozen=True)
class Positions:
    """A text as the encoders read it."""

    rows_LR: np.ndarray
    """Rows of one table: TOKENS operators, VARIANTS, `NO_ROW`, TOKENS for each slot.

    One each for the line's operator and its variant, one for each slot of merged lines.
    """
    features_LF: np.ndarray
    reads_LL: np.ndarray
    """True where the row's position reads the column's."""
    reaches_LL: np.ndarray
    """The same over any number of references."""

    def __len__(self) -> int:
        return len(self.rows_LR)


def positions(lines: Sequence[Line], facts: Sequence[Facts]) -> Positions:
    """Merge the light lines of a text and lay the rest out as arrays."""
    readers = _readers(lines)
    host, before, behind = _hosts(lines, facts, readers)
    kept = [index for index, other in enumerate(host) if index == other]
    place = dict(zip(kept, range(len(kept)), strict=True))
    rows = [place[other] for other in host]
    reads = np.zeros((len(kept), len(kept)), bool)
    for index, line in enumerate(lines):
        for source in line.sources:
            if rows[source] != rows[index] or source >= index:
                reads[rows[index], rows[source]] = True
    features = np.empty((len(kept), LINE_FEATURES), np.float32)
    table = np.full((len(kept), 2 + SLOTS), NO_ROW)
    for row, index in enumerate(kept):
        line = lines[index]
        features[row, :-DYNAMIC] = static_features(line.words, line.parameters, line.macs)
        sources, users = min(len(line.sources), 16), min(len(readers[index]), 16)
        features[row, -DYNAMIC:] = (log2(line.repeats - 1) / 4, sources / 4, users / 4)
        table[row, :2] = facts[index].token, TOKENS + facts[index].variant
        if index in before:
            table[row, 2] = NO_ROW + 1 + facts[before[index]].token
        for slot, other in enumerate(behind.get(index, ()), start=1):
            table[row, 2 + slot] = NO_ROW + 1 + slot * TOKENS + facts[other].token
    return Positions(
        rows_LR=table,
        features_LF=features,
        reads_LL=reads,
        reaches_LL=closure(reads),
    )


def closure(reads_LL: np.ndarray) -> np.ndarray:
    """What can be reached over any number of references, by repeated squaring."""
    reach_LL = reads_LL.astype(np.float32)
    known = -1
    while (count := np.count_nonzero(reach_LL)) != known:
        known = count
        reach_LL = np.minimum(reach_LL + reach_LL @ reach_LL, 1.0)
    return reach_LL > 0


def _readers(lines: Sequence[Line]) -> list[list[int]]:
    readers: list[list[int]] = [[] for _ in lines]
    for index, line in enumerate(lines):
        for source in line.sources:
            readers[source].append(index)
    return readers


def _hosts(
    lines: Sequence[Line], facts: Sequence[Facts], readers: Sequence[Sequence[int]]
) -> tuple[list[int], dict[int, int], dict[int, list[int]]]:
    """The line that each line is told with; what is told before and behind a line."""
    host = list(range(len(lines)))
    behind: dict[int, list[int]] = {}
    before: dict[int, int] = {}
    free = [index for index, fact in enumerate(facts) if fact.is_free]
    for index in free:
        line = lines[index]
        source = line.sources[0] if len(line.sources) == 1 else index
        is_only = len(readers[source]) == 1 and lines[source].repeats == line.repeats
        if is_only and 0 < source < index:
            told = behind.setdefault(host[source], [])
            if len(told) < SLOTS - 1:
                host[index] = host[source]
                told.append(index)
    for index in free:
        if host[index] != index or index in behind or len(readers[index]) != 1:
            continue
        reader = readers[index][0]
        other = lines[reader]
        is_only = other.sources == (index,) and other.repeats == lines[index].repeats
        if is_only and host[reader] == reader and reader > index:
            host[index] = reader
            before[reader] = index
    return host, before, behind
