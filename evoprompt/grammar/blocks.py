"""The helper classes ("blocks") of the grammar, as text templates with open places.

In: the kind of a block, the texts for its open places, the number of spatial dimensions (1 or 2).
Out: the lines of its class, the block recovered from such lines, and its parameter count.
Every number is legal in every argument (kernels are odd): no edit of one number breaks a program.
Not promised: that a block fits everywhere; `shapes` knows where strides and sequences are allowed.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from random import Random

TEMPLATES = {
    "ConvBlock": """
class ConvBlock(nn.Module):
    def __init__(self, channels, kernel, stride):
        super().__init__()
        self.conv = nn.LazyConv<d>d(channels, kernel, stride, kernel // 2)
        self.norm = <norm>
    def forward(self, x):
        return F.<activation>(self.norm(self.conv(x)))
""",
    "ResBlock": """
class ResBlock(nn.Module):
    def __init__(self, channels, kernel, stride):
        super().__init__()
        self.first = nn.LazyConv<d>d(channels, kernel, stride, kernel // 2)
        self.norm = <norm>
        self.second = nn.Conv<d>d(channels, channels, kernel, 1, kernel // 2)
        self.skip = nn.LazyConv<d>d(channels, 1, stride)
    def forward(self, x):
        y = F.<activation>(self.norm(self.first(x)))
        return self.second(y) + self.skip(x)
""",
    "SeparableBlock": """
class SeparableBlock(nn.Module):
    def __init__(self, channels, kernel, stride):
        super().__init__()
        self.pointwise = nn.LazyConv<d>d(channels, 1)
        self.depthwise = nn.Conv<d>d(channels, channels, kernel, stride, kernel // 2, groups=channels)
        self.norm = <norm>
    def forward(self, x):
        return F.<activation>(self.norm(self.depthwise(self.pointwise(x))))
""",  # noqa: E501
    "SqueezeExciteBlock": """
class SqueezeExciteBlock(nn.Module):
    def __init__(self, channels, kernel, stride):
        super().__init__()
        self.conv = nn.LazyConv<d>d(channels, kernel, stride, kernel // 2)
        self.squeeze = nn.Linear(channels, channels // <reduction>)
        self.excite = nn.Linear(channels // <reduction>, channels)
    def forward(self, x):
        y = F.<activation>(self.conv(x))
        scale = self.excite(F.<activation>(self.squeeze(y.mean(<spatial>))))
        return y * torch.<gate>(scale)<expand>
""",
    "DilatedBlock": """
class DilatedBlock(nn.Module):
    def __init__(self, channels, kernel, dilation):
        super().__init__()
        self.conv = nn.LazyConv<d>d(channels, kernel, 1, kernel // 2 * dilation, dilation)
        self.norm = <norm>
    def forward(self, x):
        return F.<activation>(self.norm(self.conv(x)))
""",
    "AttentionBlock": """
class AttentionBlock(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.project = nn.LazyConv<d>d(heads * width, 1)
        self.norm = <layer_norm>
        self.attention = nn.MultiheadAttention(heads * width, heads, batch_first=True)
    def forward(self, x):
        y = self.project(x)<to_sequence>
        z = self.norm(y)
        y = y + self.attention(z, z, z)[0]
        return y<from_sequence>
""",
    "RecurrentBlock": """
class RecurrentBlock(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.project = nn.LazyConv<d>d(hidden, 1)
        self.cell = nn.<cell>(hidden, hidden, batch_first=True, bidirectional=True)
    def forward(self, x):
        y = self.project(x)<to_sequence>
        return self.cell(y)[0]<from_sequence>
""",
    "SequenceBlock": """
class SequenceBlock(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.cell = nn.<cell>(inputs, hidden, batch_first=True, bidirectional=True)
    def forward(self, x):
        y = x<to_sequence>
        return self.cell(y)[0]<from_sequence>
""",
    "MultiScaleBlock": """
class MultiScaleBlock(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.narrow = nn.LazyConv<d>d(channels, 3, stride, 1)
        self.wide = nn.LazyConv<d>d(channels, <wide>, stride, <wide> // 2)
        self.norm = <double_norm>
    def forward(self, x):
        y = torch.cat([self.narrow(x), self.wide(x)], 1)
        return F.<activation>(self.norm(y))
""",
    "GatedBlock": """
class GatedBlock(nn.Module):
    def __init__(self, channels, kernel, stride):
        super().__init__()
        self.conv = nn.LazyConv<d>d(2 * channels, kernel, stride, kernel // 2)
        self.norm = <norm>
    def forward(self, x):
        signal, gate = self.conv(x).chunk(2, 1)
        return self.norm(signal * torch.<gate>(gate))
""",
    "Concat": """
class Concat(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block
    def forward(self, x):
        return torch.cat([x, self.block(x)], 1)
""",
}

DIMENSION_TEXTS = {
    1: {
        "d": "1",
        "spatial": "2",
        "expand": ".unsqueeze(2)",
        "to_sequence": ".transpose(1, 2)",
        "from_sequence": ".transpose(1, 2)",
    },
    2: {
        "d": "2",
        "spatial": "(2, 3)",
        "expand": "[:, :, None, None]",
        "to_sequence": ".flatten(2).transpose(1, 2)",
        "from_sequence": ".transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])",
    },
}

# A text that stands twice is drawn twice as often; the first one is the default of `complete`.
SLOT_CHOICES = {
    "norm": (
        "nn.BatchNorm<d>d(channels)",
        "nn.BatchNorm<d>d(channels)",
        "nn.GroupNorm(1, channels)",
        "nn.Identity()",
    ),
    "double_norm": (
        "nn.BatchNorm<d>d(2 * channels)",
        "nn.BatchNorm<d>d(2 * channels)",
        "nn.GroupNorm(1, 2 * channels)",
        "nn.Identity()",
    ),
    "layer_norm": ("nn.LayerNorm(heads * width)", "nn.Identity()"),
    "activation": ("relu", "relu", "gelu", "silu", "elu", "mish", "leaky_relu"),
    "reduction": ("4", "2"),
    "gate": ("sigmoid", "sigmoid", "tanh"),
    "cell": ("GRU", "GRU", "LSTM"),
    "wide": ("7", "5", "9"),
}

WRAPPER = "Concat"
BLOCK_KINDS = tuple(kind for kind in TEMPLATES if kind != WRAPPER)
_SLOT = re.compile(r"<(\w+)>")
SLOTS = {
    kind: tuple(dict.fromkeys(name for name in _SLOT.findall(text) if name in SLOT_CHOICES))
    for kind, text in TEMPLATES.items()
}
ARGUMENTS = {
    kind: tuple(re.findall(r"__init__\(self, (.*)\)", text)[0].split(", "))
    for kind, text in TEMPLATES.items()
}


@dataclass(frozen=True)
class Block:
    """One helper class: its kind, and one text for each open place, in the order of `SLOTS`."""

    kind: str
    choices: tuple[str, ...] = ()


def default_block(kind: str) -> Block:
    """The variant that is added when a program uses a known class without defining it."""
    return Block(kind, tuple(SLOT_CHOICES[slot][0] for slot in SLOTS[kind]))


def random_block(kind: str, rng: Random) -> Block:
    """A variant drawn at random."""
    return Block(kind, tuple(rng.choice(SLOT_CHOICES[slot]) for slot in SLOTS[kind]))


def change_block(block: Block, rng: Random) -> Block:
    """The same kind with another text in one open place; the same block where nothing is open."""
    if not block.choices:
        return block
    place = rng.randrange(len(block.choices))
    others = [t for t in SLOT_CHOICES[SLOTS[block.kind][place]] if t != block.choices[place]]
    return Block(
        block.kind, (*block.choices[:place], rng.choice(others), *block.choices[place + 1 :])
    )


def _fill(text: str, values: dict[str, str]) -> str:
    return _SLOT.sub(lambda match: values.get(match[1], match[0]), text)


@cache
def block_lines(block: Block, dimensions: int) -> tuple[str, ...]:
    """The lines of the class, without blank lines."""
    texts = DIMENSION_TEXTS[dimensions]
    choices = {s: _fill(c, texts) for s, c in zip(SLOTS[block.kind], block.choices, strict=True)}
    return tuple(_fill(TEMPLATES[block.kind].strip("\n"), texts | choices).split("\n"))


@cache
def _pattern(kind: str, dimensions: int) -> re.Pattern[str]:
    """The template as a regular expression: one named group per open place."""
    texts = DIMENSION_TEXTS[dimensions]
    out, seen = "", set()
    for piece in re.split(r"(<\w+>)", TEMPLATES[kind].strip("\n")):
        slot = piece[1:-1]
        if slot not in SLOT_CHOICES or not piece.startswith("<"):
            out += re.escape(_fill(piece, texts))
        elif slot in seen:
            out += f"(?P={slot})"
        else:
            seen.add(slot)
            choices = sorted({_fill(c, texts) for c in SLOT_CHOICES[slot]}, key=len, reverse=True)
            out += f"(?P<{slot}>{'|'.join(map(re.escape, choices))})"
    return re.compile(out)


@lru_cache(maxsize=4096)
def parse_block(lines: tuple[str, ...], dimensions: int) -> Block | None:
    """The block whose class reads exactly so, or None."""
    name = re.match(r"class (\w+)\(", lines[0]) if lines else None
    if not name or name[1] not in TEMPLATES:
        return None
    match = _pattern(name[1], dimensions).fullmatch("\n".join(lines))
    if not match:
        return None
    texts = DIMENSION_TEXTS[dimensions]
    unfilled = {s: {_fill(c, texts): c for c in SLOT_CHOICES[s]} for s in SLOTS[name[1]]}
    return Block(name[1], tuple(unfilled[slot][match[slot]] for slot in SLOTS[name[1]]))


def block_parameters(block: Block, values: tuple[int, ...], inputs: int, dimensions: int) -> int:
    """Trainable parameters of one use on `inputs` channels; `values` in `ARGUMENTS`' order."""
    slot = dict(zip(SLOTS[block.kind], block.choices, strict=True))
    argument = dict(zip(ARGUMENTS[block.kind], values, strict=True))
    width = argument.get("channels", 0)
    window = argument.get("kernel", 1) ** dimensions
    norm = 0 if "Identity" in slot.get("norm", "Identity") else 2 * width
    conv = inputs * width * window + width
    match block.kind:
        case "ConvBlock" | "DilatedBlock":
            return conv + norm
        case "ResBlock":
            return conv + norm + width * width * window + width + inputs * width + width
        case "SeparableBlock":
            return inputs * width + width + width * window + width + norm
        case "SqueezeExciteBlock":
            small = width // int(slot["reduction"])
            return conv + 2 * width * small + width + small
        case "GatedBlock":
            return 2 * conv + norm
        case "MultiScaleBlock":
            windows = 3**dimensions + int(slot["wide"]) ** dimensions
            norm = 0 if "Identity" in slot["double_norm"] else 4 * width
            return inputs * width * windows + 2 * width + norm
        case "AttentionBlock":
            full = argument["heads"] * argument["width"]
            norm = 0 if "Identity" in slot["layer_norm"] else 2 * full
            return inputs * full + full + norm + 4 * full * full + 4 * full
    return _recurrent_parameters(block.kind, slot["cell"], argument["hidden"], inputs)


def _recurrent_parameters(kind: str, cell: str, hidden: int, inputs: int) -> int:
    """Both directions of a GRU (3 gates) or an LSTM (4), with the projection if there is one."""
    gates = 3 if cell == "GRU" else 4
    if kind == "SequenceBlock":
        return 2 * gates * hidden * (inputs + hidden + 2)
    return inputs * hidden + hidden + 2 * gates * hidden * (2 * hidden + 2)


def block_outputs(kind: str, values: tuple[int, ...]) -> int:
    """Channels that the block hands on."""
    argument = dict(zip(ARGUMENTS[kind], values, strict=True))
    match kind:
        case "MultiScaleBlock":
            return 2 * argument["channels"]
        case "AttentionBlock":
            return argument["heads"] * argument["width"]
        case "RecurrentBlock" | "SequenceBlock":
            return 2 * argument["hidden"]
    return argument["channels"]
