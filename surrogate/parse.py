"""Reads the text of a graph back: lines with operators, attributes, edges, shapes and their cost.

In: a text as `encode` writes it, from anywhere; out: one `Line` per folded line, with the edges
that its references stand for. This is all that the predictor knows of a network: there is no side
channel. Malformed texts raise `SurrogateError`.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from surrogate.cost import GATES
from surrogate.errors import SurrogateError, problem
from surrogate.folding import LINE_LIMIT, OPENING, unfold

POSITION_LIMIT = 2048  # folded lines that an encoder reads
NORMS = {"BatchNorm", "InstanceNorm", "LayerNorm", "GroupNorm"}
_REFERENCE = re.compile(r"\^(\d+)(?:\.(\d+))?")
_SHARED = re.compile(r"=(\d+)\.(\d+)(?::[\dx()]+)?")
_WEIGHT = re.compile(r"W(\d+(?:x\d+)*|\(\))(?::\w+)?(?:/((?:\d+|=[\d.]+)(?:\+(?:\d+|=[\d.]+))*))?")
_HEADER = re.compile(
    r"NET (?P<input>\S+)>(?P<classes>[^\s>]+)(?: task=(?P<task>\S+))?(?: \w+=\w+)*"
)
_NUMBERED = re.compile(r"([ksdgpai])(-?[\dx-]+)")
_CHANNELS = re.compile(r"(\d+)>(\d+)")
_DIM = re.compile(r"(\d*)(B?)([+-]\d+)?")


@dataclass(frozen=True, eq=False)
class Words:
    """One line, word by word; the same object for the same line."""

    op: str
    attributes: tuple[tuple[str, str], ...]
    channels: tuple[int, int] | None
    references: tuple[int, ...]
    """Lines back; 0 is the graph input."""
    shared_count: int
    weight_sizes: tuple[int, ...]
    shape: tuple[int, ...]
    """For a batch of one, without the batch axis where it comes first."""
    is_given: bool = False
    """Whether the weights of a layer are other than its attributes say, and all written."""

    @cached_property
    def elements(self) -> int:
        """Numbers in the output, for one example."""
        return math.prod(self.shape)

    @cached_property
    def named(self) -> dict[str, str]:
        """The text of each attribute, by its name; the first one counts."""
        return dict(reversed(self.attributes))

    def numbers(self, key: str) -> tuple[int, ...]:
        """The numbers of an attribute such as `k3x5`."""
        value = self.named.get(key, "")
        if value.isdigit():
            return (int(value),)
        return tuple([int(part) for part in value.split("x") if part.lstrip("-").isdigit()])


class Line(NamedTuple):
    """One folded line of a graph."""

    words: Words
    repeats: int
    sources: tuple[int, ...]
    """Positions (in the folded list) that it reads, over all repetitions, ascending."""
    parameters: int
    """Of one repetition."""
    macs: int
    """Of one repetition, for one example."""


@dataclass(frozen=True)
class Parsed:
    """A whole text; `lines[0]` is the input."""

    lines: tuple[Line, ...]
    classes: int
    task: str = ""
    order: Sequence[int] = ()
    """Which folded line each unfolded one is."""

    @cached_property
    def parameters(self) -> int:
        """Trained numbers."""
        return sum(line.parameters * line.repeats for line in self.lines)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates for one example."""
        return sum(line.macs * line.repeats for line in self.lines)

    @property
    def node_count(self) -> int:
        """Operators."""
        return sum(line.repeats for line in self.lines) - 1

    @property
    def activations(self) -> int:
        """Numbers in all outputs together, for one example."""
        return sum(line.words.elements * line.repeats for line in self.lines)


def parse(text: str) -> Parsed:
    """Return the lines of a text; raises `SurrogateError` if it is not one of `encode`."""
    rows = [row for row in text.split("\n") if row]
    header = _HEADER.fullmatch(rows[0]) if rows else None
    if header is None or len(rows) < 2:
        raise _bad(rows[0] if rows else "", "a text as `python -m surrogate encode` prints it")
    source = Line(read_header(header["input"]), 1, (), 0, 0)
    lines, order = _lines(rows[1:], source)
    classes = read_shape(header["classes"])[-1]
    return Parsed(tuple(lines), classes, header["task"] or "", order)


def _bad(line: str, expected: str) -> SurrogateError:
    return SurrogateError(
        problem("not a graph text", f"line '{line[:80]}'", expected, "Encode the ONNX file again")
    )


def _lines(rows: list[str], source: Line) -> tuple[list[Line], list[int]]:
    """The folded lines behind the header, and which one each unfolded line is.

    A block needs no walk through all its repetitions: once a reference stays inside the block, it
    reads the same folded line in every further one.
    """
    order = [0]  # the folded line that each unfolded one is
    lines = [source]
    words: list[Words] = [source.words]
    start = 0
    while start < len(rows):
        if rows[start][-1] != "{":
            own, index = read_words(rows[start]), len(order)
            order.append(len(lines))
            words.append(own)
            start += 1
            back = own.references
            if len(back) == 1 and back[0] <= index:  # as most lines are
                read = order[index - back[0]] if back[0] else 0
                lines.append(Line(own, 1, (read,), *_cost(own, words[read].shape)))
            else:
                lines.append(_placed(words, order, index, (0, 1, 1)))
            continue
        end, count = _block(rows, start)
        if end is None:
            return _nested(rows, source)
        first, begin, period = len(lines), len(order), end - start - 1
        words += [read_words(row) for row in rows[start + 1 : end]]
        order += range(first, first + period)
        if begin + period * count > LINE_LIMIT:
            raise _bad(rows[start], f"at most {LINE_LIMIT} lines")
        for place in range(period):
            own = words[first + place]
            back = own.references
            if len(back) == 1 and back[0] <= place:  # as most lines are
                read = first + place - back[0] if back[0] else 0
                lines.append(Line(own, count, (read,), *_cost(own, words[read].shape)))
            else:
                lines.append(_placed(words, order, begin + place, (place, period, count)))
        order += order[begin:] * (count - 1)
        start = end + 1
    if len(order) > LINE_LIMIT:
        raise _bad(f"{len(order)} lines", f"at most {LINE_LIMIT} lines")
    return lines, order


def _block(rows: list[str], start: int) -> tuple[int | None, int]:
    """The end of a block and its repetitions; no end if there are blocks in it."""
    opening = OPENING.fullmatch(rows[start])
    end = start + 1
    while end < len(rows) and rows[end] != "}":
        if rows[end][-1] == "{":
            return None, 0
        end += 1
    if opening is None or end == len(rows) or end == start + 1:
        raise _bad(rows[start], "a repetition such as 'x3{', lines and '}'")
    return end, int(opening[1])


def _placed(words: list[Words], order: list[int], index: int, block: tuple[int, int, int]) -> Line:
    """The line at an unfolded place; `block` is its place in a block, whose length and count."""
    place, period, count = block
    own = words[order[index]]
    back = own.references
    if back and max(back) > index:
        raise _bad(own.op, "references to lines before it")
    read = [order[index - distance] if distance else 0 for distance in back]
    first = words[read[0]].shape if read else ()
    if count > 1:
        for distance in back:
            if distance > place:
                for again in range(1, min(count - 1, -(-(distance - place) // period)) + 1):
                    read.append(order[index + again * period - distance])
    sources = tuple(read) if len(read) < 2 else tuple(sorted(set(read)))
    parameters, macs = _cost(own, first)
    return Line(own, count, sources, parameters, macs)


def _nested(rows: list[str], source: Line) -> tuple[list[Line], list[int]]:
    """The same for blocks in blocks: every repetition is walked through."""
    folded = [row for row in rows if row != "}" and row[-1] != "{"]
    numbers = iter(range(1, len(folded) + 1))
    marked = [row if row == "}" or row[-1] == "{" else str(next(numbers)) for row in rows]
    order = [0, *map(int, unfold(marked))]
    words = [source.words, *(read_words(row) for row in folded)]
    repeats = Counter(order)
    first: list[tuple[int, ...]] = [()] * len(words)
    sources: list[set[int]] = [set() for _ in words]
    for index, place in enumerate(order[1:], start=1):
        back = words[place].references
        if any(distance > index for distance in back):
            raise _bad(folded[place - 1], "references to lines before it")
        read = [order[index - distance] if distance else 0 for distance in back]
        if read and not sources[place]:
            first[place] = words[read[0]].shape
        sources[place].update(read)
    rest = [
        Line(words[i], repeats[i], tuple(sorted(sources[i])), *_cost(words[i], first[i]))
        for i in range(1, len(words))
    ]
    return [source, *rest], order


@lru_cache(maxsize=4096)
def read_header(sizes: str) -> Words:
    """The words of the graph's input."""
    return Words("NET", (), None, (), 0, (), read_shape(sizes))


@lru_cache(maxsize=65_536)
def read_words(row: str) -> Words:
    """One line word by word."""
    op, *rest = row.split(" ")
    if not rest or not rest[-1].startswith("@"):
        raise _bad(row, "an output shape (@...) at the end")
    attributes, references, weights = [], [], []
    channels, shared = None, 0
    for word in rest[:-1]:
        letter = word[:1]
        if word == "IN":
            references.append(0)
        elif letter == "^" and (match := _REFERENCE.fullmatch(word)):
            references.append(int(match[1]))
        elif letter == "=" and _SHARED.fullmatch(word):
            shared += 1
        elif letter == "W" and (match := _WEIGHT.fullmatch(word)):
            weights.append(_weight_size(match))
        elif letter in "ksdgpai" and (match := _NUMBERED.fullmatch(word)):
            attributes.append((match[1], match[2]))
        elif match := _CHANNELS.fullmatch(word):
            channels = int(match[1]), int(match[2])
        elif word != "()":
            is_long = ":=" in word and letter != "#"
            key, _, value = word.partition(":=" if is_long else "=")
            attributes.append((key, value))
    return Words(
        op,
        tuple(attributes),
        channels,
        tuple(references) or (() if "()" in rest else (1,)),
        shared,
        tuple(weights),
        read_shape(rest[-1][1:].partition(",")[0]),
        "given" in rest,
    )


def _weight_size(match: re.Match) -> int:
    """Trained numbers that are read here for the first time."""
    if match[2]:
        return sum(int(part) for part in match[2].split("+") if part[0] != "=")
    return math.prod(int(part) for part in match[1].split("x")) if match[1] != "()" else 1


@lru_cache(maxsize=16_384)
def read_shape(text: str) -> tuple[int, ...]:
    """Sizes for a batch of one; an axis that is only the batch is left out."""
    sizes = []
    for part in text.lstrip("=").split("x") if text != "=" else ():
        match = _DIM.fullmatch(part)
        if not match or not part:
            raise _bad(text, "a shape such as 8x20")
        if part != "B":
            sizes.append(int(match[1] or 1) + int(match[3] or 0))
    return tuple(sizes) or (1,)


@lru_cache(maxsize=65_536)
def _cost(words: Words, first: tuple[int, ...]) -> tuple[int, int]:
    """Parameters and multiply-accumulates of one repetition."""
    parameters, macs = _usual_cost(words, first)
    return (sum(words.weight_sizes) if words.is_given else parameters), macs


def _usual_cost(words: Words, first: tuple[int, ...]) -> tuple[int, int]:
    """The same for weights that follow from the attributes."""
    elements = words.elements
    extra = sum(words.weight_sizes)
    if words.op in NORMS:
        return _norm_parameters(words), 0
    if words.op == "MatMul" and first:
        return extra, elements * first[-1]
    if words.channels is None:
        return extra, 0
    fan_in, width = words.channels
    bias = 0 if "nobias" in dict(words.attributes) else width
    if words.op == "Linear":
        weights = fan_in * width
        return (0, elements * fan_in) if words.shared_count else (weights + bias, elements * fan_in)
    if words.op in GATES:
        return _recurrent_cost(words, first)
    rank = len(words.shape) - 1
    kernel = words.numbers("k")
    area = math.prod(kernel) if len(kernel) == rank else kernel[0] ** rank if kernel else 1
    groups = (words.numbers("g") or (1,))[0]
    weights = fan_in * width // groups * area
    positions = elements // max(1, width)
    if words.op == "ConvTranspose" and first:
        positions = math.prod(first) // max(1, fan_in)
    return (0 if words.shared_count else weights + bias), weights * positions


def _norm_parameters(words: Words) -> int:
    flags = dict(words.attributes)
    if words.shared_count or "noaffine" in flags:
        return 0
    axes = words.numbers("a")
    width = math.prod(words.shape[axes[0] - 1 :]) if axes and axes[0] else words.shape[0]
    return width if "nobias" in flags else 2 * width


def _recurrent_cost(words: Words, first: tuple[int, ...]) -> tuple[int, int]:
    assert words.channels is not None
    fan_in, hidden = words.channels
    flags = dict(words.attributes)
    directions = 2 if "bi" in flags else 1
    bias = 0 if "nobias" in flags else 2
    gates = directions * GATES[words.op] * hidden
    steps = first[0] if first else 1
    parameters = 0 if words.shared_count else gates * (fan_in + hidden + bias)
    return parameters, gates * (fan_in + hidden) * steps
