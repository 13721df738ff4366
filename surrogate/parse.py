"""Reads the text of a graph back: lines with operators, attributes, edges, shapes and their cost.

In: a text as `encode` writes it, from anywhere; out: one `Line` per folded line, with the edges
that its references stand for. This is all that the predictor knows of a network: there is no side
channel. Malformed texts raise `SurrogateError`.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from surrogate.cost import GATES
from surrogate.errors import SurrogateError, problem
from surrogate.text import unfold

LINE_LIMIT = 20_000
POSITION_LIMIT = 2048  # folded lines that an encoder reads
NORMS = {"BatchNorm", "InstanceNorm", "LayerNorm", "GroupNorm"}
_REFERENCE = re.compile(r"\^(\d+)(?:\.(\d+))?")
_SHARED = re.compile(r"=(\d+)\.(\d+)")
_WEIGHT = re.compile(r"W([\dx]+)(?::\w+)?")
_NUMBERED = re.compile(r"([ksdgpai])(-?[\dx-]+)")
_DIM = re.compile(r"(\d*)(B?)([+-]\d+)?")


@dataclass(frozen=True)
class Words:
    """One line, word by word."""

    op: str
    attributes: tuple[tuple[str, str], ...]
    channels: tuple[int, int] | None
    references: tuple[int, ...]
    """Lines back; 0 is the graph input."""
    shared_count: int
    weight_sizes: tuple[int, ...]
    shape: tuple[int, ...]
    """For a batch of one, without the batch axis where it comes first."""

    def get(self, key: str, default: str = "") -> str:
        """The text of an attribute."""
        return next((value for name, value in self.attributes if name == key), default)

    def numbers(self, key: str) -> tuple[int, ...]:
        """The numbers of an attribute such as `k3x5`."""
        return tuple(int(part) for part in self.get(key).split("x") if part.lstrip("-").isdigit())


@dataclass(frozen=True)
class Line:
    """One folded line of a graph."""

    words: Words
    repeats: int
    sources: tuple[int, ...]
    """Positions (in the folded list) that it reads, over all repetitions."""
    parameters: int
    """Of one repetition."""
    macs: int
    """Of one repetition, for one example."""

    @property
    def elements(self) -> int:
        """Numbers in the output, for one example."""
        return math.prod(self.words.shape)


@dataclass(frozen=True)
class Parsed:
    """A whole text; `lines[0]` is the input."""

    lines: tuple[Line, ...]
    classes: int

    @property
    def parameters(self) -> int:
        """Trained numbers."""
        return sum(line.parameters * line.repeats for line in self.lines)

    @property
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
        return sum(line.elements * line.repeats for line in self.lines)


def parse(text: str) -> Parsed:
    """Return the lines of a text; raises `SurrogateError` if it is not one of `encode`."""
    rows = [row for row in text.split("\n") if row]
    if len(rows) < 2 or len(rows) > LINE_LIMIT or not rows[0].startswith("NET "):
        raise _bad(rows[0] if rows else "", "a text as `python -m surrogate encode` prints it")
    sizes, _, classes = rows[0][4:].rpartition(">")
    source = Words("NET", (), None, (), 0, (), _shape(sizes))
    folded, repeats, position = _positions(rows[1:])
    words = [source, *(read_words(row) for row in folded)]
    order = [0, *position]
    costs: list[tuple[int, int]] = [(0, 0)] * len(words)
    sources: list[set[int]] = [set() for _ in words]
    for index, place in enumerate(order[1:], start=1):
        back = words[place].references
        if any(distance > index for distance in back):
            raise _bad(folded[place - 1], "references to lines before it")
        read = [order[index - distance] if distance else 0 for distance in back]
        if not sources[place]:
            costs[place] = _cost(words[place], [words[i].shape for i in read])
        sources[place].update(read)
    lines = zip(words, [1, *repeats], sources, costs, strict=True)
    return Parsed(
        tuple(Line(w, r, tuple(sorted(s)), *c) for w, r, s, c in lines),
        _shape(classes)[-1],
    )


def _bad(line: str, expected: str) -> SurrogateError:
    return SurrogateError(
        problem("not a graph text", f"line '{line[:80]}'", expected, "Encode the ONNX file again")
    )


def _positions(rows: list[str]) -> tuple[list[str], list[int], list[int]]:
    """The folded lines, how often each stands, and which one each unfolded line is."""
    folded, repeats, marked = [], [], []
    count = 1
    for row in rows:
        if row == "}":
            count = 1
            marked.append(row)
        elif row.startswith("x") and row.endswith("{") and row[1:-1].isdigit():
            count = int(row[1:-1])
            marked.append(row)
        else:
            folded.append(row)
            repeats.append(count)
            marked.append(str(len(folded)))
        if count > LINE_LIMIT:
            raise _bad(row, f"at most {LINE_LIMIT} repetitions")
    position = [int(mark) for mark in unfold(marked)]
    if len(position) > LINE_LIMIT:
        raise _bad(rows[0], f"at most {LINE_LIMIT} lines")
    return folded, repeats, position


@lru_cache(maxsize=65_536)
def read_words(row: str) -> Words:
    """One line word by word."""
    op, *rest = row.split(" ")
    if not rest or not rest[-1].startswith("@"):
        raise _bad(row, "an output shape (@...) at the end")
    attributes, references, weights = [], [], []
    channels, shared = None, 0
    for word in rest[:-1]:
        if word == "IN":
            references.append(0)
        elif match := _REFERENCE.fullmatch(word):
            references.append(int(match[1]))
        elif match := _SHARED.fullmatch(word):
            shared += 1
        elif match := _WEIGHT.fullmatch(word):
            weights.append(math.prod(int(part) for part in match[1].split("x")))
        elif match := re.fullmatch(r"(\d+)>(\d+)", word):
            channels = int(match[1]), int(match[2])
        elif match := _NUMBERED.fullmatch(word):
            attributes.append((match[1], match[2]))
        else:
            key, _, value = word.partition("=")
            attributes.append((key, value))
    return Words(
        op,
        tuple(attributes),
        channels,
        tuple(references) or (1,),
        shared,
        tuple(weights),
        _shape(rest[-1][1:]),
    )


def _shape(text: str) -> tuple[int, ...]:
    """Sizes for a batch of one; an axis that is only the batch is left out."""
    sizes = []
    for part in text.lstrip("=").split("x"):
        match = _DIM.fullmatch(part)
        if not match or not part:
            raise _bad(text, "a shape such as 8x20")
        if part != "B":
            sizes.append(int(match[1] or 1) + int(match[3] or 0))
    return tuple(sizes) or (1,)


def _cost(words: Words, inputs: list[tuple[int, ...]]) -> tuple[int, int]:
    """Parameters and multiply-accumulates of one repetition."""
    elements = math.prod(words.shape)
    extra = sum(words.weight_sizes)
    if words.op in NORMS:
        return _norm_parameters(words), 0
    if words.op == "MatMul" and inputs:
        return extra, elements * inputs[0][-1]
    if words.channels is None:
        return extra, 0
    fan_in, width = words.channels
    bias = 0 if "nobias" in dict(words.attributes) else width
    if words.op == "Linear":
        weights = fan_in * width
        return (0, elements * fan_in) if words.shared_count else (weights + bias, elements * fan_in)
    if words.op in GATES:
        return _recurrent_cost(words, inputs)
    rank = len(words.shape) - 1
    kernel = words.numbers("k")
    area = math.prod(kernel) if len(kernel) == rank else kernel[0] ** rank if kernel else 1
    groups = (words.numbers("g") or (1,))[0]
    weights = fan_in * width // groups * area
    positions = elements // max(1, width)
    if words.op == "ConvTranspose" and inputs:
        positions = math.prod(inputs[0]) // max(1, fan_in)
    return (0 if words.shared_count else weights + bias), weights * positions


def _norm_parameters(words: Words) -> int:
    flags = dict(words.attributes)
    if words.shared_count or "noaffine" in flags:
        return 0
    axes = words.numbers("a")
    width = math.prod(words.shape[axes[0] - 1 :]) if axes and axes[0] else words.shape[0]
    return width if "nobias" in flags else 2 * width


def _recurrent_cost(words: Words, inputs: list[tuple[int, ...]]) -> tuple[int, int]:
    assert words.channels is not None
    fan_in, hidden = words.channels
    flags = dict(words.attributes)
    directions = 2 if "bi" in flags else 1
    bias = 0 if "nobias" in flags else 2
    gates = directions * GATES[words.op] * hidden
    steps = inputs[0][0] if inputs else 1
    parameters = 0 if words.shared_count else gates * (fan_in + hidden + bias)
    return parameters, gates * (fan_in + hidden) * steps
