"""The library: helper classes and functions that programs of the grammar are composed of.

In: a name and the number of spatial dimensions (1 or 2). Out: the lines of its definition, and
which others it needs. Every layer takes and gives (B, C, L) or (B, C, H, W) and is legal on any
shape; wrappers bring shapes that differ together themselves. The texts are fixed: a program that
holds one of them word for word uses a known class, which an edit may leave out or take for granted.
"""

import re
from functools import cache

from evoprompt.grammar.layer_texts import CONVOLUTIONS, FUNCTIONS, GATES, SEQUENCES, WRAPPERS
from evoprompt.grammar.sized_texts import SIZED

LIBRARY = FUNCTIONS | WRAPPERS | CONVOLUTIONS | GATES | SEQUENCES | SIZED
"""Name -> text with open places, in the order in which a program defines what it uses."""

DIMENSION_TEXTS = {
    1: {
        "d": "1",
        "spatial": "2",
        "expand": ".unsqueeze(2)",
        "expand_transposed": "",
        "to_sequence": ".transpose(1, 2)",
        "from_sequence": ".transpose(1, 2)",
        "flat": "",
        "unflat": "",
        "unflat_waves": "",
    },
    2: {
        "d": "2",
        "spatial": "(2, 3)",
        "expand": "[:, :, None, None]",
        "expand_transposed": ".unsqueeze(3)",
        "to_sequence": ".flatten(2).transpose(1, 2)",
        "from_sequence": ".transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])",
        "flat": ".flatten(2)",
        "unflat": ".reshape(x.shape)",
        "unflat_waves": ".reshape(x.shape[1:])",
    },
}

_PLACE = re.compile(r"<(\w+)>")


@cache
def definition(name: str, dimensions: int) -> tuple[str, ...]:
    """The lines of a class or function, without blank lines."""
    texts = DIMENSION_TEXTS[dimensions]
    return tuple(_PLACE.sub(lambda m: texts[m[1]], LIBRARY[name].strip("\n")).split("\n"))


@cache
def needs(name: str) -> tuple[str, ...]:
    """The other names of the library that a definition uses itself."""
    words = set(re.findall(r"\w+", LIBRARY[name]))
    return tuple(other for other in LIBRARY if other in words and other != name)


def closure(names: set[str]) -> list[str]:
    """Those names and what they need, in the library's order."""
    found = set(names)
    while more := {other for name in found for other in needs(name)} - found:
        found |= more
    return [name for name in LIBRARY if name in found]


@cache
def arguments(name: str) -> tuple[str, ...]:
    """The names of a class's arguments without `self`; `*layers` and `*branches` keep the star."""
    found = re.search(r"__init__\(self, (.*)\):", LIBRARY[name])
    return tuple(part.split("=")[0] for part in found[1].split(", ")) if found else ()
