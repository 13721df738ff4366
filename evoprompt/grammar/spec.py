"""A program of the grammar as a small frozen record, its rendering, and its recovery from source.

In: the layers of `self.body`, a tree, and of `self.head`, and the task's shapes. Out: canonical
source (what it needs of the library first, `Net` last, one layer per line), or the record again.
Not promised: that a record built by hand is legal; `shapes.repair` makes it so.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from evoprompt.grammar.canonical import INDENT, own_lines, source_of
from evoprompt.grammar.layer_texts import CONVOLUTIONS, GATES, SEQUENCES, WRAPPERS
from evoprompt.grammar.library import arguments

ACTIVATION_NAMES = ("ReLU", "ReLU", "GELU", "SiLU", "ELU", "Mish", "LeakyReLU", "Tanh")
ACTIVATION_FUNCTIONS = ("gelu", "silu", "elu", "mish", "leaky_relu", "tanh")
"""Of `F`, as a block's last argument; relu is the default and is not written."""
BLOCKS = tuple(CONVOLUTIONS | GATES | SEQUENCES)
CHAIN = "nn.Sequential"
"""Several layers as one branch of a `Concat` or `Sum`."""
BRANCHED = ("Concat", "Sum")
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
SKELETON_LINES = (*_OPENING, *_MIDDLE, *_CLOSING, FORWARD)
"""What every `Net` has; `FLAT_FORWARD` stands last where the input is flat."""


@dataclass(frozen=True)
class Layer:
    """One line of `self.body`, or a wrapper with the layers inside.

    `kind` is a class of the library, `CHAIN`, or conv (channels, kernel, stride, padding), up
    (channels), norm (), activation (name), pool (name, window), dropout (rate). A block's arguments
    are its class's; an activation function stands last, as text. A SequenceBlock has only `hidden`.
    """

    kind: str
    arguments: tuple = ()
    inner: "tuple[Layer, ...]" = ()

    @property
    def is_wrapper(self) -> bool:
        """Whether it holds layers."""
        return self.kind in WRAPPERS or self.kind == CHAIN


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
    """A whole program."""

    in_shape: tuple[int, ...]
    num_classes: int
    body: tuple[Layer, ...]
    head: Head = Head()

    @property
    def dimensions(self) -> int:
        """Spatial dimensions of the layers: 2 for images, else 1."""
        return 2 if len(self.in_shape) == 3 else 1

    @property
    def is_flat(self) -> bool:
        """Whether the input has no channel axis."""
        return len(self.in_shape) == 1


def walk(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    """Every layer, wrappers before what is inside them."""
    for layer in layers:
        yield layer
        yield from walk(layer.inner)


@lru_cache(maxsize=8192)
def layer_text(layer: Layer, dimensions: int, is_flat: bool = False) -> str:
    """The call of a layer that holds no others, without indentation and comma."""
    d = f"{dimensions}d"
    match layer.kind:
        case "conv":
            return f"nn.LazyConv{d}({', '.join(map(str, layer.arguments))})"
        case "up":
            return f"nn.LazyConvTranspose{d}({layer.arguments[0]}, 2, 2)"
        case "norm":
            return f"nn.LazyBatchNorm{d}()"
        case "activation":
            return f"nn.{layer.arguments[0]}()"
        case "pool":
            name, window = layer.arguments
            return f"nn.{name}Pool{d}({'2' if window == 2 else '3, 2, 1'})"
        case "dropout":
            return f"nn.Dropout({layer.arguments[0]})"
        case "SequenceBlock":
            return f"SequenceBlock({'1' if is_flat else 'in_shape[0]'}, {layer.arguments[0]})"
    texts = [f"F.{a}" if isinstance(a, str) else str(a) for a in layer.arguments]
    return f"{layer.kind}({', '.join(texts)})"


def layer_lines(layer: Layer, dimensions: int, is_flat: bool, depth: int = 0) -> list[str]:
    """The lines of a layer, `depth` wrappers deep."""
    space = INDENT * (3 + depth)
    if not layer.is_wrapper:
        return [f"{space}{layer_text(layer, dimensions, is_flat)},"]
    inside = [
        line for child in layer.inner for line in layer_lines(child, dimensions, is_flat, depth + 1)
    ]
    return [f"{space}{layer.kind}(", *inside, f"{space}),"]


_NAMES = "|".join(dict.fromkeys(ACTIVATION_NAMES))
_PATTERNS = {
    "conv": r"nn\.LazyConv[12]d\((\d+), (\d+), (\d+), (\d+)\)",
    "up": r"nn\.LazyConvTranspose[12]d\((\d+), 2, 2\)",
    "norm": r"nn\.LazyBatchNorm[12]d\(\)",
    "activation": rf"nn\.({_NAMES})\(\)",
    "pool": r"nn\.(Max|Avg)Pool[12]d\((2|3)(?:, 2, 1)?\)",
    "dropout": r"nn\.Dropout\((0\.\d+)\)",
    "SequenceBlock": r"SequenceBlock\((?:1|in_shape\[0\]), (\d+)\)",
}
_CALL = re.compile(r"(\w+)\((.*)\)")


def _value(text: str) -> int | float | str:
    return int(text) if text.isdigit() else float(text) if text[0].isdigit() else text


@lru_cache(maxsize=8192)
def parse_layer(line: str) -> Layer | None:
    """The layer that a line stands for (with or without indentation), or None; no wrappers."""
    text = line.strip().removesuffix(",")
    for kind, pattern in _PATTERNS.items():
        match = re.fullmatch(pattern, text)
        if match:
            return Layer(kind, tuple(_value(group) for group in match.groups()))
    call = _CALL.fullmatch(text)
    if not call or call[1] not in BLOCKS or call[1] == "SequenceBlock":
        return None
    values = call[2].split(", ") if call[2] else []
    wanted = len([name for name in arguments(call[1]) if name != "activation"])
    numbers, rest = values[:wanted], values[wanted:]
    if len(numbers) < wanted or not all(value.isdigit() for value in numbers):
        return None
    has_choice = "activation" in arguments(call[1])
    if rest and not (has_choice and rest[0] in [f"F.{a}" for a in ACTIVATION_FUNCTIONS]):
        return None
    if len(rest) > 1:
        return None
    return Layer(call[1], (*map(int, numbers), *(text.removeprefix("F.") for text in rest)))


def parse_layers(lines: list[str]) -> tuple[Layer, ...] | None:
    """The tree that the lines inside `nn.Sequential(` stand for, or None."""
    open_kinds: list[str] = []
    levels: list[list[Layer]] = [[]]
    for line in lines:
        text = line.strip()
        if text.endswith("(") and (text[:-1] in WRAPPERS or text[:-1] == CHAIN):
            open_kinds.append(text[:-1])
            levels.append([])
        elif text == "),":
            if not open_kinds:
                return None
            inner = tuple(levels.pop())
            levels[-1].append(Layer(open_kinds.pop(), (), inner))
        else:
            layer = parse_layer(text) if text.endswith(",") else None
            if layer is None:
                return None
            levels[-1].append(layer)
    return None if open_kinds else tuple(levels[0])


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


def spec_lines(spec: Spec) -> list[str]:
    """The canonical lines of the program: `Net` alone, as the numbered view shows it."""
    dims, is_flat = spec.dimensions, spec.is_flat
    body = [line for layer in spec.body for line in layer_lines(layer, dims, is_flat)]
    head = [INDENT * 3 + line for line in _head_lines(spec.head, dims)]
    last = FLAT_FORWARD if is_flat else FORWARD
    return [*_OPENING, *body, *_MIDDLE, *head, *_CLOSING, last]


def render(spec: Spec) -> str:
    """The source of the program."""
    return source_of(spec_lines(spec), dimensions=spec.dimensions)


def parse(source: str, in_shape: tuple[int, ...], num_classes: int) -> Spec | None:
    """The record of a source that reads exactly as the grammar would write it, else None."""
    lines = own_lines(source)
    bodies = _net_layers(lines) if lines else None
    if bodies is None:
        return None
    body, head = parse_layers(bodies[0]), _parse_head(bodies[1])
    if body is None or head is None:
        return None
    spec = Spec(in_shape, num_classes, body, head)
    return spec if spec_lines(spec) == lines else None


def _net_layers(lines: list[str]) -> tuple[list[str], list[str]] | None:
    """The lines inside `self.body` and `self.head` of a canonical `Net`."""
    start, end = len(_OPENING), len(lines) - len(_CLOSING) - 1
    if lines[:start] != _OPENING or lines[end:-1] != _CLOSING:
        return None
    inner = lines[start:end]
    if _MIDDLE[0] not in inner or lines[-1] not in (FORWARD, FLAT_FORWARD):
        return None
    middle = inner.index(_MIDDLE[0])
    if inner[middle : middle + len(_MIDDLE)] != _MIDDLE:
        return None
    return inner[:middle], inner[middle + len(_MIDDLE) :]


_DROP = r"(?:nn\.Dropout\((0\.\d+)\),)?"
_LINEAR = rf"nn\.LazyLinear\((\d+)\),(?:nn\.({_NAMES})\(\),)?{_DROP}"
_UNGROUPED = rf"nn\.LazyLinear\(\d+\),(?:nn\.(?:{_NAMES})\(\),)?(?:nn\.Dropout\(0\.\d+\),)?"
_HEAD = re.compile(
    rf"(?:nn\.Adaptive(Avg|Max)Pool[12]d\((\d+)\),)?nn\.Flatten\(\),{_DROP}"
    rf"((?:{_UNGROUPED})*)"
    r"nn\.LazyLinear\(num_classes\),"
)


def _parse_head(lines: list[str]) -> Head | None:
    match = _HEAD.fullmatch("".join(line.strip() for line in lines))
    if not match:
        return None
    pool, positions, dropout, layers = match.groups()
    hidden = tuple(Hidden(int(w), a, float(p or 0)) for w, a, p in re.findall(_LINEAR, layers))
    return Head(pool or "", int(positions or 1), float(dropout or 0), hidden)
