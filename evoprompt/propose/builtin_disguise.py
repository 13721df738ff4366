"""Foreign layers in the corpus: lines that read as those of people's programs, written again.

In: the canonical lines of a program of the grammar. Out: the same lines with some layers under
another name, as `rewrite` leaves what the grammar has no layer for: classes of the program's own,
which the numbered view hides, and calls of PyTorch that the grammar never makes. The model learns
to work around what it does not know.
Not promised: that the program runs; only its text is used.
"""

import re
from random import Random

from evoprompt.grammar.view import body_lines

_NUMBERS = re.compile(r"<n>")
_LAYER = re.compile(r"(?:nn\.)?[A-Z]\w*\(.*\),$")
POOLING = "nn.Adaptive"  # a head's; what it does is often written by hand
BODY_TEXTS = (
    *("Part1(),", "Part1(),", "Part2(),", "Part3(),", "Channels(Part1),", "Features(Part2),"),
    *("Features(nn.LayerNorm),", "Features(nn.LayerNorm),", "SelfAttention(2, False),"),
    *("nn.LazyLinear(<n>),", "nn.LazyLinear(<n>),", "nn.LazyLinear(<n>, bias=False),"),
    *("nn.LazyConv{d}d(<n>, 3, 1, 1, bias=False),", "nn.LazyConv{d}d(<n>, 1, 1, 0, bias=False),"),
    *("nn.LazyConv{d}d(<n>, 3, 1, 0, dilation=2),", "nn.GLU(1),", "nn.Identity(),"),
    *("nn.ZeroPad1d((2, 0)),", "nn.CircularPad1d((2, 2)),", 'nn.GELU(approximate="tanh"),'),
    "Channels(lambda c: nn.Conv{d}d(c, c, 5, 2, 2, groups=c, bias=False)),",
)
HEAD_TEXTS = ("Part2(),", "Part3(),", "Channels(Part1),", "nn.AdaptiveMaxPool{d}d(<n>),")
WIDTHS = (8, 10, 12, 16, 24, 32, 48)


def disguise(lines: list[str], dimensions: int, rng: Random) -> dict[str, str]:
    """Text of a layer -> foreign text, for up to four layers of the program and its pooling."""
    body = sorted({line.strip() for line in body_lines(lines) if _LAYER.match(line.strip())})
    chosen = rng.sample(body, min(len(body), rng.randint(1, 4)))
    out = {text: _foreign(rng, BODY_TEXTS, dimensions) for text in chosen}
    for line in lines:
        if line.strip().startswith(POOLING) and rng.random() < 0.7:
            out[line.strip()] = _foreign(rng, HEAD_TEXTS, dimensions)
    return out


def _foreign(rng: Random, texts: tuple[str, ...], dimensions: int) -> str:
    text = rng.choice(texts).replace("{d}", str(dimensions))
    return _NUMBERS.sub(lambda _: str(rng.choice(WIDTHS)), text)


def disguised(lines: list[str], names: dict[str, str]) -> list[str]:
    """The lines with those layers under their foreign names."""
    return [
        line[: len(line) - len(text)] + names.get(text, text)
        for line, text in ((line, line.strip()) for line in lines)
    ]
