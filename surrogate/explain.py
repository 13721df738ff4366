"""What each line of a text is worth: leave-one-line-out on the score.

In: a text and a predictor; out: for every folded line the expected accuracy with it minus that
without it. A line is left out in all its repetitions; what read it reads its first data input
instead, lines that nothing reads any more go too, and shapes stay as they were written. It is the
predictor that is explained, not the network. Lines that cannot go say why.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from surrogate.errors import SurrogateError
from surrogate.folding import fold, unfold
from surrogate.parse import parse
from surrogate.wording import LAYERS

_REFERENCE = re.compile(r"\^(\d+)((?:\.\d+)?)")
_INPUT = re.compile(r"IN(?:\.\d+)?")
_SHARED = re.compile(r"=(\d+)(\.\d+(?::\S+)?)")
_SOURCE = re.compile(r"(?<=[/+])=(\d+)(\.\d+\.\d+)")
Target = tuple[int, str]
"""A line (0: the graph input) and the rest of the word that names its output."""


class Scorer(Protocol):
    """What is asked for expected accuracies."""

    def score(
        self, graphs: Sequence[str], task: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread, one each per text."""
        ...


@dataclass(frozen=True)
class LineWorth:
    """One line of the folded text."""

    line: str
    depth: int
    """How many repeated blocks it stands in."""
    repeats: int
    points: float | None
    """Expected accuracy with it minus without it, in percentage points; None if it cannot go."""
    reason: str = ""
    """Why it cannot go."""
    others: int = 0
    """Lines, repetitions counted, that nothing reads without it."""


@dataclass(frozen=True)
class Explanation:
    """A text, line by line."""

    mean: float
    spread: float
    lines: tuple[LineWorth, ...]
    """In the order of the text, brackets of repetitions included."""


def explain(scorer: Scorer, text: str, task: str | None = None) -> Explanation:
    """Score the text without each of its lines in turn."""
    rows = [row for row in text.split("\n") if row]
    variants: dict[int, tuple[str, int]] = {}
    reasons = {0: "the input"}
    for number in range(1, len(parse(text).lines)):
        try:
            variants[number] = without(rows, number)
        except _CannotGoError as error:
            reasons[number] = str(error)
    asked = [text, *(variant for variant, _ in variants.values())]
    mean, spread = scorer.score(asked) if task is None else scorer.score(asked, task)
    points = (100 * (mean[0] - mean[1:])).tolist()
    known = {
        number: (worth, others)
        for (number, (_, others)), worth in zip(variants.items(), points, strict=True)
    }
    return Explanation(float(mean[0]), float(spread[0]), _worths(rows, known, reasons))


def without(rows: Sequence[str], number: int) -> tuple[str, int]:
    """Return the text without its folded line `number`, and how many other lines go with it.

    Raises:
        _CannotGoError: There is no such text.
    """
    plain = [row for row in rows[1:] if not _is_bracket(row)]
    order = [0, *(int(mark) for mark in unfold(_marks(rows)))]
    lines = [_read(""), *(_read(plain[place - 1]) for place in order[1:])]
    gone = {index for index, place in enumerate(order) if place == number}
    if len(lines) - 1 in gone:
        raise _CannotGoError("the output")
    instead = {index: _first_input(lines[index], index) for index in sorted(gone)}
    live = _live(lines, instead)
    place = (np.cumsum([index in live for index in range(len(lines))]) - 1).tolist()
    kept = [_moved(lines[i], i, instead, live, place) for i in range(1, len(lines)) if i in live]
    return "\n".join([rows[0], *fold(kept)]), len(lines) - len(live) - len(gone)


@dataclass(frozen=True)
class _Words:
    """One line, what goes unsaid written out."""

    words: tuple[str, ...]
    may_imply: bool
    """Whether `^1` alone goes unsaid: see `text`."""

    def targets(self, index: int) -> list[Target]:
        """What it reads."""
        matches = [_REFERENCE.fullmatch(word) for word in self.words]
        return [(index - int(match[1]), match[2]) for match in matches if match]


@lru_cache(maxsize=4096)
def _read(line: str) -> _Words:
    words = line.split(" ")
    shared = [at for at, word in enumerate(words) if _SHARED.fullmatch(word)]
    may_imply = "given" not in words if words[0] in LAYERS else not shared
    if line and may_imply and not any(map(_is_data, words[1:])):
        words.insert(min(shared, default=len(words) - 1), "^1")
    return _Words(tuple(words), may_imply)


class _CannotGoError(SurrogateError):
    """The message is the reason."""


def _is_data(word: str) -> bool:
    is_weight = word[:1] == "W" and (word[1:2].isdigit() or word[1:3] == "()")
    return (
        word in ("-", "()") or word[:1] in ("^", "#") or is_weight or bool(_INPUT.fullmatch(word))
    )


def _first_input(line: _Words, index: int) -> Target:
    for word in line.words:
        if _INPUT.fullmatch(word):
            return 0, word[2:]
        if match := _REFERENCE.fullmatch(word):
            return index - int(match[1]), match[2]
    raise _CannotGoError("it reads no other line")


def _resolved(target: Target, instead: dict[int, Target]) -> Target:
    while target[0] in instead:
        target = instead[target[0]]
    return target


def _live(lines: Sequence[_Words], instead: dict[int, Target]) -> set[int]:
    """The input, and the lines that the output needs."""
    live, open_ = {0}, [len(lines) - 1]
    while open_:
        index = open_.pop()
        if index not in live:
            live.add(index)
            open_ += [_resolved(target, instead)[0] for target in lines[index].targets(index)]
    return live


def _moved(
    line: _Words, index: int, instead: dict[int, Target], live: set[int], place: list[int]
) -> str:
    """One kept line, its references counted over the kept lines only."""

    def weight(match: re.Match) -> str:
        owner = index - int(match[1])
        if owner not in live:
            raise _CannotGoError("another line uses its weights")
        return f"={place[index] - place[owner]}{match[2]}"

    moved = []
    for word in line.words:
        if match := _REFERENCE.fullmatch(word):
            target, output = _resolved((index - int(match[1]), match[2]), instead)
            word = f"^{place[index] - place[target]}{output}" if target else f"IN{output}"
        elif match := _SHARED.fullmatch(word):
            word = weight(match)
        elif word.startswith("W") and "/" in word:
            word = _SOURCE.sub(weight, word)
        moved.append(word)
    if line.may_imply and [word for word in moved[1:] if _is_data(word)] == ["^1"]:
        moved.remove("^1")
    return " ".join(moved)


def _marks(rows: Sequence[str]) -> list[str]:
    """The rows after the header, each line replaced by its number."""
    marks, number = [], 0
    for row in rows[1:]:
        number += not _is_bracket(row)
        marks.append(row if _is_bracket(row) else str(number))
    return marks


def _is_bracket(row: str) -> bool:
    return row == "}" or re.fullmatch(r"x\d+\{", row) is not None


def _worths(
    rows: Sequence[str], known: dict[int, tuple[float, int]], reasons: dict[int, str]
) -> tuple[LineWorth, ...]:
    found, counts, number = [], [1], 0
    for row in rows:
        if row == "}":
            counts.pop()
        if _is_bracket(row):
            found.append(LineWorth(row, len(counts) - 1, 0, None))
        else:
            worth, others = known.get(number, (None, 0))
            reason = reasons.get(number, "")
            found.append(LineWorth(row, len(counts) - 1, counts[-1], worth, reason, others))
            number += 1
        if row.endswith("{") and row != "}":
            counts.append(counts[-1] * int(row[1:-1]))
    return tuple(found)
