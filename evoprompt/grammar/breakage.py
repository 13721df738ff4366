"""Programs broken on purpose, in the ways in which language models break them.

In: a legal program of the grammar. Out: its canonical lines with one fault, the reason for which
the screen would reject it and the numbered line that its message names, if any: what a model needs
to learn to mend programs. Not promised: that every fault of every model is among them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from evoprompt.grammar.canonical import INDENT, bare, dressed, source_of
from evoprompt.grammar.choices import random_leaf
from evoprompt.grammar.layer_sizes import Shape
from evoprompt.grammar.shapes import parameter_count
from evoprompt.grammar.spec import BRANCHED, CHAIN, Spec, layer_text, parse, spec_lines

TOO_LARGE = (5_000_000, 100_000_000)
"""Parameters that the screen's default limit refuses and its memory still holds."""
BLOCKS_1D = ("ConvBlock", "ResBlock")
"""What complains of an input without channels; a plain convolution takes the batch for them."""
Lines = list[str]
_CALL = re.compile(r"^((?:nn\.)?[A-Z]\w*)\((.+)\),$")
_SHORT_NAMES = {"nn.Lazy": "nn.", "Block(": "(", "Conv": "Conf", "Norm": "Norms", "Pool": "Pooling"}


@dataclass(frozen=True)
class Broken:
    """A program with a fault."""

    lines: tuple[str, ...]
    """Canonical lines, as the numbered view shows them."""
    reason: str
    """A value of `candidate.Reason`."""
    line: int | None
    """The numbered line that the message names."""


def breakage(spec: Spec, rng: Random) -> Broken:
    """The program with one fault drawn at random."""
    whole = bare(spec_lines(spec))
    while True:
        fault, reason = rng.choice(FAULTS)
        lines = fault(list(whole), spec, rng)
        if lines is None or lines == whole:
            continue
        shown = tuple(dressed(lines))
        if reason == "syntax":
            place = syntax_line([*shown])
            if place is not None:
                return Broken(shown, reason, place)
            continue
        return Broken(shown, reason, _named_line(whole, lines, reason))


def _named_line(whole: Lines, lines: Lines, reason: str) -> int | None:
    """Where the prompt of a repair points: at the call that does not build; else, where `forward`
    fails, at its end, since a line inside a class of the library is not shown.
    """
    if reason == "forward_error":
        return len(lines)
    if reason != "build_error":
        return None
    pairs = zip(whole, lines, strict=False)
    return next(place for place, (old, new) in enumerate(pairs, 1) if old != new)


def syntax_line(lines: Lines) -> int | None:
    """The line of which Python complains; None where it does not."""
    try:
        compile("\n".join(lines), "program", "exec")
    except SyntaxError as error:
        return min(len(lines), max(1, error.lineno or 1))
    return None


def _layers(lines: Lines, pattern: re.Pattern[str] = _CALL) -> list[int]:
    """The places of the lines that call a layer with arguments, the classifier's aside."""
    return [
        place
        for place, line in enumerate(lines)
        if pattern.match(line) and "num_classes" not in line
    ]


def _body_end(lines: Lines) -> int:
    """The place of the parenthesis that closes `self.body`."""
    return lines.index("        self.head = nn.Sequential(") - 1


def _replaced(lines: Lines, place: int, *new: str) -> Lines:
    return [*lines[:place], *new, *lines[place + 1 :]]


def _without_closing(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    places = [place for place, line in enumerate(lines) if line in ("),", ")")]
    return _replaced(lines, rng.choice(places))


def _closed_twice(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    place = rng.randint(4, _body_end(lines))
    return [*lines[:place], "),", *lines[place:]]


def _never_closed(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    place = rng.randint(4, _body_end(lines))
    name = rng.choice(("Residual", "Concat", "Gate", "Sum", "Dense", CHAIN))
    return [*lines[:place], f"{name}(", *lines[place:]]


def _without_comma(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    places = [place for place, line in enumerate(lines) if line.endswith("),")]
    place = rng.choice(places)
    return _replaced(lines, place, lines[place][:-1])


def _half_a_call(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    places = _layers(lines)
    if not places:
        return None
    place = rng.choice(places)
    return _replaced(lines, place, lines[place].removesuffix("),") + ",")


def _misspelled(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    places = _layers(lines)
    if not places:
        return None
    place = rng.choice(places)
    name = lines[place].split("(")[0] + "("
    if name.startswith("nn.LazyConv"):
        name = name.removeprefix("nn.Lazy")  # without "Lazy" it builds, and fails later
    found = [part for part in _SHORT_NAMES if part in name]
    if not found:
        return None
    part = rng.choice(found)
    return _replaced(lines, place, lines[place].replace(part, _SHORT_NAMES[part], 1))


def _argument_missing(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    places = _layers(lines, re.compile(r"^\w+\((\d+, .+)\),$"))
    if not places:
        return None
    place = rng.choice(places)
    name, values = lines[place].removesuffix("),").split("(")
    numbers = [value for value in values.split(", ") if value.isdigit()]
    return _replaced(lines, place, f"{name}({', '.join(numbers[:-1])}),")


def _argument_too_many(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    places = [place for place in _layers(lines) if not lines[place].startswith("nn.")]
    if not places:
        return None
    place = rng.choice(places)
    more = ", ".join(str(rng.choice((1, 2, 3, 8))) for _ in range(rng.choice((2, 3))))
    return _replaced(lines, place, lines[place].replace("),", f", {more}),"))


def _without_flatten(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    return _replaced(lines, lines.index("nn.Flatten(),"))


def _without_classifier(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    place = lines.index("nn.LazyLinear(num_classes),")
    new = () if rng.random() < 0.5 else (f"nn.LazyLinear({rng.choice((8, 16, 32, 64))}),",)
    return _replaced(lines, place, *new)


def _layer_behind_flatten(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    place = rng.randint(lines.index("nn.Flatten(),"), lines.index("nn.LazyLinear(num_classes),"))
    kind = rng.choice(("conv", "ConvBlock", "ResBlock") if spec.dimensions == 2 else BLOCKS_1D)
    text = layer_text(random_leaf(rng, kind, Shape(4, (8,))), spec.dimensions)
    return [*lines[: place + 1], f"{text},", *lines[place + 1 :]]


def _other_dimensions(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    """In one dimension only norms complain of it."""
    old, new = f"{spec.dimensions}d(", f"{3 - spec.dimensions}d("
    pattern = re.compile(r"^nn\.\w+2d\(" if spec.dimensions == 2 else r"^nn\.LazyBatchNorm1d\(")
    places = [place for place in _layers(lines, pattern) if place < _body_end(lines)]
    if not places:
        return None
    place = rng.choice(places)
    return _replaced(lines, place, lines[place].replace(old, new))


def _without_batch(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    """A convolution that takes the batch for channels: of images, or behind the flattening."""
    if spec.dimensions == 2:
        return None
    if rng.random() < 0.5:
        place = lines.index("nn.LazyLinear(num_classes),")
        text = layer_text(random_leaf(rng, "conv", Shape(4, (8,))), 1)
        return [*lines[:place], f"{text},", *lines[place:]]
    shown = dressed(lines)
    places = [p for p in _layers(lines) if shown[p].startswith(INDENT * 3 + "nn.LazyConv1d(")]
    if not places:
        return None
    place = rng.choice(places)
    return _replaced(lines, place, lines[place].replace("1d(", "2d("))


def _pool_behind_flatten(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    """Of images: without channels the pooling has too few axes."""
    return _pooled_late(lines, rng, 2) if spec.dimensions == 2 else None


def _pool_without_batch(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    """Of signals: it takes the batch for channels, which the recorder refuses."""
    return _pooled_late(lines, rng, 1) if spec.dimensions == 1 else None


def _pooled_late(lines: Lines, rng: Random, dimensions: int) -> Lines:
    classifier = lines.index("nn.LazyLinear(num_classes),")
    place = rng.randint(lines.index("nn.Flatten(),"), classifier - 1)
    d = f"{dimensions}d"
    text = rng.choice((f"nn.MaxPool{d}(2),", f"nn.AvgPool{d}(2),", f"nn.MaxPool{d}(3, 2, 1),"))
    return [*lines[: place + 1], text, *lines[place + 1 :]]


def _empty_branches(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    place = rng.randint(4, _body_end(lines))
    return [*lines[:place], f"{rng.choice(BRANCHED)}(", "),", *lines[place:]]


def _odd_dropout(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    """A rate that is no share."""
    place = rng.randint(4, _body_end(lines))
    rate = rng.choice(("2", "3", "7", "9", "16", "1.5", "7, 2", "3, 1"))
    return [*lines[:place], f"nn.Dropout({rate}),", *lines[place:]]


def _too_wide_a_window(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    d = f"{spec.dimensions}d"
    side = max(spec.in_shape[-1], 8)
    text = rng.choice((f"nn.LazyConv{d}(8, {2 * side + 1}, 1, 0),", f"nn.MaxPool{d}({2 * side}),"))
    place = rng.randint(4, _body_end(lines))
    return [*lines[:place], text, *lines[place:]]


def _fixed_inputs(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    """A layer that says its input channels, wrongly."""
    places = [place for place in _layers(lines) if "nn.LazyConv" in lines[place]]
    if not places:
        return None
    place = rng.choice(places)
    inputs = rng.choice((5, 7, 9, 11, 13, 36, 72))
    return _replaced(lines, place, re.sub(r"nn\.Lazy(\w+)\(", rf"nn.\1({inputs}, ", lines[place]))


def _far_too_wide(lines: Lines, spec: Spec, rng: Random) -> Lines | None:
    places = _layers(lines, re.compile(r"^(?:nn\.Lazy\w+|ConvBlock|ResBlock)\((\d+)"))
    if not places:
        return None
    place = rng.choice(places)
    width = rng.choice((16384, 20000, 65536, 100000))
    wide = _replaced(lines, place, re.sub(r"\(\d+", f"({width}", lines[place], count=1))
    source = source_of(dressed(wide), dimensions=spec.dimensions)
    program = parse(source, spec.in_shape, spec.num_classes)
    low, high = TOO_LARGE
    return wide if program and low < parameter_count(program) < high else None


Fault = Callable[[Lines, Spec, Random], Lines | None]
FAULTS: list[tuple[Fault, str]] = [
    (_without_closing, "syntax"),
    (_closed_twice, "syntax"),
    (_never_closed, "syntax"),
    (_without_comma, "syntax"),
    (_half_a_call, "syntax"),
    (_misspelled, "build_error"),
    (_argument_missing, "build_error"),
    (_argument_too_many, "build_error"),
    (_without_flatten, "wrong_output"),
    (_without_classifier, "wrong_output"),
    (_layer_behind_flatten, "forward_error"),
    (_other_dimensions, "forward_error"),
    (_without_batch, "batch_dependent"),
    (_too_wide_a_window, "forward_error"),
    (_fixed_inputs, "forward_error"),
    (_pool_behind_flatten, "forward_error"),
    (_pool_without_batch, "unsupported_operation"),
    (_empty_branches, "forward_error"),
    (_odd_dropout, "build_error"),
    (_far_too_wide, "too_large"),
]
