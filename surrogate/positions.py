"""Lines to positions: what the encoders read of a parsed text.

An activation, norm or dropout that stands between two lines and has no other reader is told as part
of its neighbour (`Relu, Conv, BatchNorm` is one position), which nearly halves the length of most
networks and with it the time of a score. Everything else is a position of its own. In: `Parsed` and
the facts of its lines; out: `Positions`, plain arrays.
Axes: L positions, R rows of tables (operator, variant, merged lines: one before, three behind),
F features.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surrogate.features import (
    LINE_FEATURES,
    SLOTS,
    TOKENS,
    Facts,
    line_features,
)
from surrogate.parse import Line


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
    parts = []
    for index in kept:
        words, repeats, sources, parameters, macs = lines[index]
        count = len(readers[index])
        parts.append(line_features(words, parameters, macs, repeats, len(sources), count))
    features = np.frombuffer(b"".join(parts), np.float32).reshape(len(kept), LINE_FEATURES)
    width = 2 + SLOTS
    table = array("q", b"".join([facts[index].rows for index in kept]))
    for index, other in before.items():
        table[place[index] * width + 2] += 1 + facts[other].token
    for index, others in behind.items():
        first = place[index] * width + 2
        for slot, other in enumerate(others, start=1):
            table[first + slot] += 1 + slot * TOKENS + facts[other].token
    reads = _reads(lines, [place[other] for other in host], len(kept))
    rows = np.frombuffer(table, np.int64).reshape(len(kept), width)
    return Positions(rows, features, *_matrices(reads))


def _reads(lines: Sequence[Line], rows: Sequence[int], count: int) -> list[list[int]]:
    """Which positions each position reads; `rows` are the positions of the lines."""
    reads: list[list[int]] = [[] for _ in range(count)]
    for index, (line, row) in enumerate(zip(lines, rows, strict=True)):
        for source in line.sources:
            if rows[source] != row or source >= index:
                reads[row].append(rows[source])
    return reads


def _matrices(reads: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """References and their closure as (L, L), from sets of bits."""
    count = len(reads)
    bits = [1 << place for place in range(count)]
    direct = []
    for sources in reads:
        found = 0
        for source in sources:
            found |= bits[source]
        direct.append(found)
    width = (count + 7) // 8
    data = b"".join([found.to_bytes(width, "little") for found in direct + closure(reads)])
    rows = np.frombuffer(data, np.uint8).reshape(2, count, width)
    both = np.unpackbits(rows, axis=2, count=count, bitorder="little").view(bool)
    return both[0], both[1]


def closure(reads: Sequence[Sequence[int]]) -> list[int]:
    """For every position the set, as bits, of what it reaches over any number of references.

    Nearly all read backward: one pass in order settles them. What a repeated block reads of its
    last repetition stands further on; paths through those few are added as Warshall's algorithm
    does it (Warshall 1962), with them alone in the middle.
    """
    looping = [row for row, sources in enumerate(reads) if sources and max(sources) >= row]
    held = set(looping)
    reach = [0] * len(reads)
    known = [1 << row for row in range(len(reads))]  # what is reached by reading a position
    for row in [*(row for row in range(len(reads)) if row not in held), *looping]:
        found = 0
        for source in reads[row]:
            found |= known[source]
        reach[row] = found
        if row not in held:
            known[row] |= found
    for middle in looping:
        bit, more = 1 << middle, reach[middle]
        reach = [found | more if found & bit else found for found in reach]
    return reach


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
