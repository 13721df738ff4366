"""A program of the grammar as a small frozen record, its rendering, and its recovery from source.

In: block definitions, the layers of `self.body` and of `self.head`, and the task's shapes.
Out: canonical source (helper classes first, `Net` last, one layer per line), or the record again.
Not promised: that a record built by hand is legal; `shapes.repair` makes it so.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from evoprompt.grammar.blocks import ARGUMENTS, TEMPLATES, WRAPPER, Block, block_lines, parse_block
from evoprompt.grammar.canonical import canonical_lines, segments, source_of

ACTIVATION_NAMES = ("ReLU", "ReLU", "GELU", "SiLU", "ELU", "Mish", "LeakyReLU")
INDENT = " " * 12
FORWARD = "        return self.head(self.body(x))"
FLAT_FORWARD = (
    "        return self.head(self.body(x.unsqueeze(1)))"  # a flat input becomes one channel
)

_OPENING = [
    "class Net(nn.Module):",
    "    def __init__(self, in_shape, num_classes):",
    "        super().__init__()",
    "        self.body = nn.Sequential(",
]
_MIDDLE = ["        )", "        self.head = nn.Sequential("]
_CLOSING = ["        )", "    def forward(self, x):"]


@dataclass(frozen=True)
class Entry:
    """One line of `self.body`.

    `kind` is a block of `blocks.TEMPLATES` (arguments as in `ARGUMENTS`; a SequenceBlock has only
    `hidden`), or conv (channels, kernel, stride, padding), norm (), activation (name), pool (name),
    dropout (rate).
    """

    kind: str
    arguments: tuple = ()
    concat: bool = False


@dataclass(frozen=True)
class Hidden:
    """One hidden linear layer of the head; no activation: "", no dropout: 0.0."""

    width: int
    activation: str = "ReLU"
    dropout: float = 0.0


@dataclass(frozen=True)
class Head:
    """The layers behind the body; `pool` is Avg, Max or "" (flatten everything)."""

    pool: str = ""
    positions: int = 1
    dropout: float = 0.0
    hidden: tuple[Hidden, ...] = ()


@dataclass(frozen=True)
class Spec:
    """A whole program; `blocks` in the order of the source."""

    in_shape: tuple[int, ...]
    num_classes: int
    blocks: tuple[Block, ...]
    body: tuple[Entry, ...]
    head: Head

    @property
    def dimensions(self) -> int:
        """Spatial dimensions of the layers: 2 for images, else 1."""
        return 2 if len(self.in_shape) == 3 else 1

    @property
    def is_flat(self) -> bool:
        """Whether the input has no channel axis."""
        return len(self.in_shape) == 1


def needed_kinds(body: tuple[Entry, ...]) -> list[str]:
    """The block classes that the entries use, in order of first use, the wrapper last."""
    kinds = list(dict.fromkeys(entry.kind for entry in body if entry.kind in TEMPLATES))
    return [*kinds, WRAPPER] if any(entry.concat for entry in body) else kinds


@lru_cache(maxsize=8192)
def entry_line(entry: Entry, dimensions: int, is_flat: bool = False) -> str:
    """The line of `self.body`, without indentation, with its comma."""
    d = f"{dimensions}d"
    match entry.kind:
        case "conv":
            text = f"nn.LazyConv{d}({', '.join(map(str, entry.arguments))})"
        case "norm":
            text = f"nn.LazyBatchNorm{d}()"
        case "activation":
            text = f"nn.{entry.arguments[0]}()"
        case "pool":
            text = f"nn.{entry.arguments[0]}Pool{d}(2)"
        case "dropout":
            text = f"nn.Dropout({entry.arguments[0]})"
        case "SequenceBlock":
            inputs = "1" if is_flat else "in_shape[0]"
            text = f"SequenceBlock({inputs}, {entry.arguments[0]})"
        case _:
            text = f"{entry.kind}({', '.join(map(str, entry.arguments))})"
    return f"{WRAPPER}({text})," if entry.concat else f"{text},"


_ENTRY_PATTERNS = {
    "conv": r"nn\.LazyConv[12]d\((\d+), (\d+), (\d+), (\d+)\),",
    "norm": r"nn\.LazyBatchNorm[12]d\(\),",
    "activation": rf"nn\.({'|'.join(dict.fromkeys(ACTIVATION_NAMES))})\(\),",
    "pool": r"nn\.(Max|Avg)Pool[12]d\(2\),",
    "dropout": r"nn\.Dropout\((0\.\d+)\),",
    "SequenceBlock": r"SequenceBlock\((?:1|in_shape\[0\]), (\d+)\),",
}


def _value(text: str) -> int | float | str:
    return int(text) if text.isdigit() else float(text) if text[0].isdigit() else text


@lru_cache(maxsize=8192)
def parse_entry(line: str) -> Entry | None:
    """The entry that a line of `self.body` stands for (with or without indentation), or None."""
    text = line.strip()
    for kind, pattern in _ENTRY_PATTERNS.items():
        match = re.fullmatch(pattern, text)
        if match:
            return Entry(kind, tuple(_value(group) for group in match.groups()))
    wrapped = re.fullmatch(rf"{WRAPPER}\((.*)\),", text)
    if wrapped:
        inner = parse_entry(wrapped[1] + ",")
        is_block = inner is not None and inner.kind in TEMPLATES and not inner.concat
        return Entry(inner.kind, inner.arguments, True) if inner and is_block else None
    match = re.fullmatch(r"(\w+)\((\d+(?:, \d+)*)\),", text)
    if not match or match[1] not in TEMPLATES or match[1] == WRAPPER:
        return None
    values = tuple(int(value) for value in match[2].split(", "))
    return Entry(match[1], values) if len(values) == len(ARGUMENTS[match[1]]) else None


def _head_lines(head: Head, dimensions: int) -> list[str]:
    lines = []
    if head.pool:
        lines.append(f"nn.Adaptive{head.pool}Pool{dimensions}d({head.positions}),")
    lines.append("nn.Flatten(),")
    if head.dropout:
        lines.append(f"nn.Dropout({head.dropout}),")
    for hidden in head.hidden:
        lines.append(f"nn.LazyLinear({hidden.width}),")
        if hidden.activation:
            lines.append(f"nn.{hidden.activation}(),")
        if hidden.dropout:
            lines.append(f"nn.Dropout({hidden.dropout}),")
    return [*lines, "nn.LazyLinear(num_classes),"]


def spec_segments(spec: Spec) -> list[tuple[str, list[str]]]:
    """(name, canonical lines) of every class, `Net` last."""
    dimensions = spec.dimensions
    body = [entry_line(entry, dimensions, spec.is_flat) for entry in spec.body]
    net = [
        *_OPENING,
        *(INDENT + line for line in body),
        *_MIDDLE,
        *(INDENT + line for line in _head_lines(spec.head, dimensions)),
        *_CLOSING,
        FLAT_FORWARD if spec.is_flat and spec.body else FORWARD,
    ]
    blocks = [(f"class {b.kind}", list(block_lines(b, dimensions))) for b in spec.blocks]
    return [*blocks, ("class Net", net)]


def spec_lines(spec: Spec) -> list[str]:
    """The canonical lines of the program."""
    return [line for _, lines in spec_segments(spec) for line in lines]


def render(spec: Spec) -> str:
    """The source of the program."""
    return source_of(spec_lines(spec))


def parse(source: str, in_shape: tuple[int, ...], num_classes: int) -> Spec | None:
    """The record of a source that reads exactly as the grammar would write it, else None."""
    lines = canonical_lines(source)
    if lines is None:
        return None
    parts = segments(lines)
    dimensions = 2 if len(in_shape) == 3 else 1
    blocks = [parse_block(tuple(part), dimensions) for _, part in parts[:-1]]
    bodies = _net_entries(parts[-1][1])
    if bodies is None or any(block is None for block in blocks):
        return None
    body_lines, head_lines = bodies
    entries = [parse_entry(line) for line in body_lines]
    head = _parse_head(head_lines)
    known = [block for block in blocks if block is not None]
    body = tuple(entry for entry in entries if entry is not None)
    if head is None or len(body) != len(entries):
        return None
    if not set(needed_kinds(body)) <= {block.kind for block in known}:
        return None
    return Spec(in_shape, num_classes, tuple(known), body, head)


def _net_entries(lines: list[str]) -> tuple[list[str], list[str]] | None:
    """The lines inside `self.body` and `self.head` of a canonical `Net`, without indentation."""
    start, end = len(_OPENING), len(lines) - len(_CLOSING) - 1
    if lines[:start] != _OPENING or lines[end:-1] != _CLOSING:
        return None
    inner = lines[start:end]
    if _MIDDLE[0] not in inner or lines[-1] not in (FORWARD, FLAT_FORWARD):
        return None
    middle = inner.index(_MIDDLE[0])
    if inner[middle : middle + len(_MIDDLE)] != _MIDDLE:
        return None
    head = inner[middle + len(_MIDDLE) :]
    return [line.strip() for line in inner[:middle]], [line.strip() for line in head]


_NAMES = "|".join(dict.fromkeys(ACTIVATION_NAMES))
_DROP = r"(?:nn\.Dropout\((0\.\d+)\),)?"
_LAYER = rf"nn\.LazyLinear\((\d+)\),(?:nn\.({_NAMES})\(\),)?{_DROP}"
_UNGROUPED = rf"nn\.LazyLinear\(\d+\),(?:nn\.(?:{_NAMES})\(\),)?(?:nn\.Dropout\(0\.\d+\),)?"
_HEAD = re.compile(
    rf"(?:nn\.Adaptive(Avg|Max)Pool[12]d\((\d+)\),)?nn\.Flatten\(\),{_DROP}"
    rf"((?:{_UNGROUPED})*)"
    r"nn\.LazyLinear\(num_classes\),"
)


def _parse_head(lines: list[str]) -> Head | None:
    match = _HEAD.fullmatch("".join(lines))
    if not match:
        return None
    pool, positions, dropout, layers = match.groups()
    hidden = tuple(Hidden(int(w), a, float(p or 0)) for w, a, p in re.findall(_LAYER, layers))
    return Head(pool or "", int(positions or 1), float(dropout or 0), hidden)
