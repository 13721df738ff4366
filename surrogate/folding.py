"""Folds repeated blocks of lines, and unfolds them: `xN{`, the block, `}`.

A text of at most `FLAT_LIMIT` folded lines has blocks of at most `LONGEST_BLOCK` lines, none in
another. A longer one is folded again, blocks in blocks, until it is that short or nothing repeats.
"""

import re
from collections.abc import Sequence

import numpy as np

from surrogate.errors import SurrogateError, problem

LONGEST_BLOCK = 64  # lines of a repeated block
LONGEST_NESTED_BLOCK = 2048  # lines or blocks of a block that holds blocks
FLAT_LIMIT = 1024  # folded lines up to which no block stands in another
FEWEST_SAVED = 3  # lines that a repetition must save to be folded
LINE_LIMIT = 20_001  # unfolded lines: as many operators as a file may have, and the header
NESTING_LIMIT = 8
OPENING = re.compile(r"x([1-9]\d{0,5})\{")


def fold(lines: Sequence[str]) -> list[str]:
    """Replace runs of identical neighbouring blocks by `xN{`, the block, `}`."""
    if len(set(lines)) == len(lines):
        return list(lines)
    folded = _folded(lines)
    for _ in range(NESTING_LIMIT - 1):
        if len(folded) <= FLAT_LIMIT:
            break
        again = _folded_again(folded)
        if len(again) == len(folded):
            break
        folded = again
    return folded


def _folded(lines: Sequence[str]) -> list[str]:
    letters = {line: chr(number) for number, line in enumerate(dict.fromkeys(lines))}
    word = "".join([letters[line] for line in lines])
    folded: list[str] = []
    start = 0
    while start < len(lines):
        saved, period, count = _longest_run(word, start)
        if saved < FEWEST_SAVED:
            folded.append(lines[start])
            start += 1
            continue
        folded += [f"x{count}{{", *lines[start : start + period], "}"]
        start += period * count
    return folded


def _longest_run(word: str, start: int) -> tuple[int, int, int]:
    """Saved lines, period and repetitions of the best block that begins here.

    A letter is a line. Where a repetition saves `FEWEST_SAVED` lines, so many from here stand there
    again.
    """
    best = (0, 0, 0)
    head = word[start : start + FEWEST_SAVED]
    limit = start + LONGEST_BLOCK + FEWEST_SAVED
    end = word.find(head, start + 1, limit)
    while end > 0:
        period = end - start
        block = word[start:end]
        count = 1
        while word.startswith(block, start + count * period):
            count += 1
        best = max(best, ((count - 1) * period, -period, count))
        end = word.find(head, end + 1, limit)
    return best[0], -best[1], best[2]


def _folded_again(lines: list[str]) -> list[str]:
    """The same with whole blocks as single lines."""
    units = _units(lines)
    numbers: dict[tuple[str, ...], int] = {}
    ids = np.array([numbers.setdefault(unit, len(numbers)) for unit in units])
    saved, periods = _best_runs(ids, np.array([len(unit) for unit in units]))
    folded: list[str] = []
    start = 0
    while start < len(units):
        if saved[start] < FEWEST_SAVED:
            folded += units[start]
            start += 1
            continue
        period = int(periods[start])
        count = 1
        block = ids[start : start + period]
        while np.array_equal(ids[start + count * period : start + (count + 1) * period], block):
            count += 1
        folded.append(f"x{count}{{")
        for unit in units[start : start + period]:
            folded += unit
        folded.append("}")
        start += period * count
    return folded


def _units(lines: list[str]) -> list[tuple[str, ...]]:
    """Lines, and outermost blocks in one piece."""
    units: list[tuple[str, ...]] = []
    depth, begin = 0, 0
    for place, line in enumerate(lines):
        if line[-1] == "{":
            begin = place if depth == 0 else begin
            depth += 1
        elif line == "}":
            depth -= 1
            if depth == 0:
                units.append(tuple(lines[begin : place + 1]))
        elif depth == 0:
            units.append((line,))
    return units


def _best_runs(ids: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every place: the lines that the best run of blocks from there saves, and its period."""
    total = len(ids)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    saved = np.zeros(total, np.int64)
    periods = np.ones(total, np.int64)
    places = np.arange(total)
    for period in range(1, min(LONGEST_NESTED_BLOCK, total // 2) + 1):
        differs = np.where(ids[:-period] != ids[period:], places[:-period], total - period)
        next_difference = np.minimum.accumulate(differs[::-1])[::-1]
        count = (next_difference - places[:-period]) // period  # repetitions beside the first
        lines = (ends[period:] - ends[:-period])[: len(count)] * count
        is_better = lines > saved[: len(count)]
        saved[: len(count)][is_better] = lines[is_better]
        periods[: len(count)][is_better] = period
    return saved, periods


def unfold(lines: Sequence[str], limit: int = LINE_LIMIT) -> list[str]:
    """The inverse of `fold`; raises `SurrogateError` for blocks that do not close or fit."""
    unfolded: list[str] = []
    opened: list[tuple[int, int]] = []
    for line in lines:
        if line == "}":
            if not opened:
                raise _bad(line, "as many '}' as blocks")
            start, count = opened.pop()
            if len(unfolded) + (len(unfolded) - start) * (count - 1) > limit:
                raise _bad(f"x{count}{{", f"at most {limit} lines")
            unfolded += unfolded[start:] * (count - 1)
        elif match := OPENING.fullmatch(line):
            opened.append((len(unfolded), int(match[1])))
            if len(opened) > NESTING_LIMIT:
                raise _bad(line, f"blocks at most {NESTING_LIMIT} deep")
        else:
            unfolded.append(line)
    if opened:
        raise _bad(f"x{opened[-1][1]}{{", "a '}' for every block")
    if len(unfolded) > limit:
        raise _bad(f"{len(unfolded)} lines", f"at most {limit} lines")
    return unfolded


def _bad(line: str, expected: str) -> SurrogateError:
    where = f"line '{line[:80]}'"
    return SurrogateError(
        problem("not a graph text", where, expected, "Encode the ONNX file again")
    )
