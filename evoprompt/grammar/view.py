"""The numbered view: which of a program's lines prompts show, and which stand behind them.

In: Python source. Out: the lines that are numbered and edited. Of a program whose `Net` has a body
and a head of one layer per line that is `Net` alone: classes of its own are hidden like those of
the library, and come back with the lines that use them. Of any other program, all its own lines.
Not promised: that the lines of a broken program are split as its author meant.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evoprompt.grammar.canonical import MAXIMUM_LINES, dressed, is_library, own_lines, segments
from evoprompt.grammar.spec import FLAT_FORWARD, FORWARD

MAXIMUM_DONOR_LINES = 60  # the built-in model has one token per donor line, up to D60
BODY = "        self.body = nn.Sequential("
HEAD = "        self.head = nn.Sequential("
_DEFINED = re.compile(r"(?:class|def) (\w+)")
Part = tuple[str, tuple[str, ...]]
"""A top-level statement: the name that it defines or "", and its lines."""


@dataclass(frozen=True)
class View:
    """A program's own lines, as prompts treat them."""

    lines: tuple[str, ...]
    """Numbered, 1 to 99 of them."""
    hidden: tuple[Part, ...]
    """The program's other own statements."""


@lru_cache(maxsize=512)
def view_of(source: str) -> View | None:
    """The view of a program, also of one that Python cannot parse; None if it has over 99 lines."""
    lines = own_lines(source) or ([] if _parses(source) else _lines_as_they_stand(source))
    if not lines:
        return None
    parts = [(_name(part), tuple(part)) for _, part in segments(lines)]
    net = next((part for part in parts if part[0] == "Net"), None)
    if net is not None and _has_layers(net[1]):
        view = View(net[1], tuple(part for part in parts if part is not net))
    else:
        view = View(tuple(lines), ())
    return view if len(view.lines) <= MAXIMUM_LINES else None


def shown_lines(source: str) -> list[str] | None:
    """The lines that are numbered; None where there is no view."""
    view = view_of(source)
    return None if view is None else list(view.lines)


def number_lines(lines: Sequence[str], letter: str = "L") -> str:
    """The lines with their numbers in front: "L1class Net(nn.Module):" and so on, one per line."""
    return "".join(f"{letter}{number}{line}\n" for number, line in enumerate(lines, 1))


def numbered(source: str) -> str | None:
    """The numbered view as text; None if there is none."""
    lines = shown_lines(source)
    return None if lines is None else number_lines(lines)


def body_lines(lines: Sequence[str]) -> list[str]:
    """The lines between `self.body = nn.Sequential(` and its closing parenthesis."""
    if BODY not in lines:
        return []
    start = lines.index(BODY) + 1
    end = lines.index("        )", start) if "        )" in lines[start:] else start
    return list(lines[start:end])


@dataclass(frozen=True)
class Donor:
    """What a second parent offers."""

    lines: tuple[str, ...] = ()
    """The layers of its body, numbered D1, D2, ..., up to D60."""
    classes: tuple[Part, ...] = ()
    """Its own classes that they use, under names that the first parent does not have."""


def donor_of(source: str, first: str) -> Donor:
    """What a program offers to a first parent; nothing where it has no body of layers.

    A class that both define differently gets another name in the donor.
    """
    view = view_of(source)
    body = body_lines(view.lines)[:MAXIMUM_DONOR_LINES] if view else []
    if view is None or not body:
        return Donor()
    classes = used_parts(body, (part for part in view.hidden if part[0]))
    own = view_of(first)
    names = _new_names(classes, dict(own.hidden) if own else {})
    renamed = [(names.get(name, name), _renamed(lines, names)) for name, lines in classes]
    return Donor(_renamed(body, names), tuple(renamed))


def used_parts(lines: Iterable[str], parts: Iterable[Part]) -> list[Part]:
    """Those of the statements that the lines need, directly or not; nameless ones always."""
    parts = list(parts)
    texts = ["\n".join(lines), *("\n".join(lines) for name, lines in parts if not name)]
    needed: set[str] = set()
    while texts:
        words = set(re.findall(r"\w+", texts.pop()))
        found = [part for part in parts if part[0] in words - needed]
        needed.update(name for name, _ in found)
        texts += ["\n".join(part) for _, part in found]
    return [part for part in parts if not part[0] or part[0] in needed]


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _lines_as_they_stand(source: str) -> list[str]:
    lines = [line.rstrip() for line in source.splitlines()]
    lines = [line for line in lines if line and not re.match(r"(import|from) ", line)]
    parts = segments(dressed(lines))
    return [line for _, part in parts if not is_library(part) for line in part]


def _name(part: Sequence[str]) -> str:
    """What a statement defines, decorated or not."""
    found = (_DEFINED.match(line) for line in part if not line.startswith("@"))
    match = next(found, None)
    return match[1] if match else ""


def _has_layers(net: Sequence[str]) -> bool:
    """Whether `Net` holds a body and a head of layers and runs one behind the other."""
    texts = {line.strip() for line in net}
    runs = {FORWARD.strip(), FLAT_FORWARD.strip()}
    return {BODY.strip(), HEAD.strip()} <= texts and not runs.isdisjoint(texts)


def _new_names(classes: Sequence[Part], taken: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """New names for those classes whose name stands for another text among those taken.

    A class that uses a renamed one becomes another text itself.
    """
    known = {*taken, *(name for name, _ in classes)}
    names: dict[str, str] = {}
    while True:
        clashing = [
            name
            for name, lines in classes
            if name in taken and name not in names and _renamed(lines, names) != taken[name]
        ]
        if not clashing:
            return names
        for name in clashing:
            names[name] = _free(name, known)
            known.add(names[name])


def _free(name: str, known: set[str]) -> str:
    stem = name.rstrip("0123456789")
    number = 2
    while f"{stem}{number}" in known:
        number += 1
    return f"{stem}{number}"


def _renamed(lines: Iterable[str], names: dict[str, str]) -> tuple[str, ...]:
    if not names:
        return tuple(lines)
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    return tuple(pattern.sub(lambda match: names[match[1]], line) for line in lines)
