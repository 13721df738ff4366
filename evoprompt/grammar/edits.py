"""Edits: a child told as changes to its parent's numbered lines, or taken from a donor.

In: the parent's view, and the child's lines or a reply, and what the prompt's donor offers.
Out: an edit script (`derive`) or the child's source (`apply`). A script is `@L4-L6` replace or
`@L4+` insert after, with new lines below, ended by `@end`; a new line `D2-D5` takes donor lines,
`L7-L9` lines of the parent. Lines inside an open bracket need no indentation: they get it from how
deep they stand, and the wrappers that an edit leaves open are closed at its end.
Not promised: that the child runs.
"""

import difflib
import re
from collections.abc import Sequence

from evoprompt.grammar.canonical import (
    bare,
    dimensions_of,
    dressed,
    header_of,
    opened_brackets,
    own_lines,
    restored,
    source_of,
)
from evoprompt.grammar.library import LIBRARY
from evoprompt.grammar.view import Part, used_parts, view_of

END = "@end"
SHORT_LINE = 28  # characters
MAXIMUM_NEW_LINES = 500  # of one edit; the screen reads 20,000 characters at most
_ADDRESS = re.compile(r"@L(\d+)(?:(\+)|-L(\d+))?$")
_TAKEN = re.compile(r"([DL])(\d+)(?:-\1(\d+))?$")
_DECORATOR = re.compile(r"@[a-z_]")
_OPENING = re.compile(r"[\w.]+\($")
CLOSING = "),"
_DEFINED = re.compile(r"^(?:class|def) (\w+)", re.MULTILINE)
_USED = re.compile(rf"\b({'|'.join(LIBRARY)})\(")


class EditError(Exception):
    """A reply that is no edit of the parent.

    `reason` is no_edit, bad_edit, unchanged or truncated.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def apply(
    parent_source: str,
    reply: str,
    donor: Sequence[str] = (),
    dimensions: int | None = None,
    classes: Sequence[Part] = (),
) -> str:
    """The child's source: the parent's lines with the reply's changes, and what they need.

    Args:
        parent_source: Its view is what the reply edits; what the view hides comes back where used.
        reply: Holds an edit script.
        donor: Lines that it may take by reference.
        dimensions: 1 or 2, those of the task's layers; read off the parent if not given.
        classes: What the donor's lines need; added where used.

    Raises:
        EditError: no_edit, truncated (no `@end`), bad_edit or unchanged.
    """
    view = view_of(parent_source)
    if view is None:
        raise EditError("bad_edit", "the parent has no numbered view")
    parent = bare([*view.lines])
    child = bare(apply_lines(parent, _script(reply), donor))
    if child == parent:
        raise EditError("unchanged")
    if own_lines(parent_source) is None:  # Python cannot parse it
        child = restored(child)
    child = dressed(child)
    defined = set(_DEFINED.findall("\n".join(child)))
    known = {name for name, _ in view.hidden}
    offered = [*view.hidden, *(part for part in classes if part[0] not in known)]
    needed = used_parts(child, (part for part in offered if part[0] not in defined))
    whole = [line for _, lines in needed for line in lines] + child
    dimensions = dimensions or dimensions_of(parent_source)
    return source_of(whole, header_of(parent_source), dimensions)


def _script(reply: str) -> list[str]:
    """The lines of the reply from its first edit to `@end`, without code fences and blank lines."""
    lines = [line.rstrip() for line in reply.splitlines()]
    lines = [line for line in lines if line and not line.startswith("```")]
    if not any(line.startswith("@") for line in lines):
        raise EditError("no_edit")
    if END not in lines:
        raise EditError("truncated", f"no {END}")
    return lines[: lines.index(END)]


def apply_lines(lines: list[str], script: list[str], donor: Sequence[str] = ()) -> list[str]:
    """The child's lines for a script without its `@end`; raises EditError."""
    out: list[str] = []
    position = 1
    for start, end, new in _changes(script, lines, donor):
        if start < position:
            raise EditError("bad_edit", f"line {start} is edited twice or out of order")
        out += lines[position - 1 : start - 1] + new
        out += [CLOSING] * left_open(new) if is_closed(lines[start - 1 : end]) else []
        position = end + 1
    return out + lines[position - 1 :]


def left_open(new: Sequence[str]) -> int:
    """How many calls the new lines open, each on a line that ends with it, and do not close."""
    calls = 0
    for line in new:
        text = line.strip()
        if text.startswith(")"):
            calls -= 1
        elif _OPENING.match(text):
            calls += 1
        elif opened_brackets(text):
            return 0
        if calls < 0:
            return 0
    return calls


def _changes(
    script: list[str], lines: Sequence[str], donor: Sequence[str]
) -> list[tuple[int, int, list[str]]]:
    """(first line, last line, new lines) per edit; an insertion has last = first - 1."""
    changes: list[tuple[int, int, list[str]]] = []
    offered = {"L": lines, "D": donor}
    for line in script:
        if not line.startswith("@") or _DECORATOR.match(line):
            if not changes:
                raise EditError("bad_edit", f"text before the first address: {line[:60]}")
            match = _TAKEN.match(line.strip())
            changes[-1][2].extend(_range(match, offered[match[1]]) if match else [line])
            if len(changes[-1][2]) > MAXIMUM_NEW_LINES:
                raise EditError("bad_edit", f"over {MAXIMUM_NEW_LINES} new lines at one place")
            continue
        match = _ADDRESS.match(line)
        if not match:
            raise EditError("bad_edit", f"not an address: {line[:60]}")
        start = int(match[1])
        end = int(match[3] or start)
        inserts = match[2] is not None
        if not (0 if inserts else 1) <= start <= end <= len(lines):
            raise EditError("bad_edit", f"{line[:60]} of {len(lines)} lines")
        changes.append((start + 1 if inserts else start, end, []))
    if not changes:
        raise EditError("no_edit")
    return changes


def _range(match: re.Match[str], offered: Sequence[str]) -> list[str]:
    letter, start, end = match[1], int(match[2]), int(match[3] or match[2])
    if not 1 <= start <= end <= len(offered):
        raise EditError("bad_edit", f"{letter}{start}-{letter}{end} of {len(offered)} lines")
    return list(offered[start - 1 : end])


def derive(parent: list[str], child: list[str], donor: Sequence[str] = ()) -> list[str]:
    """The script, without `@end`, that turns the parent's canonical lines into the child's.

    New lines that stand in the donor become references; where layers are wrapped or unwrapped, so
    do those of the parent.
    """
    old, new = bare(parent), bare(child)
    offered = [line.strip() for line in donor]
    is_broken = not is_closed(old)
    if is_broken:  # its indentation says nothing, and is given back when the edit is applied
        old, new = [line.strip() for line in old], [line.strip() for line in new]
    script: list[str] = []
    for i, j, a, b in _differing(old, new) if is_broken else _balanced(old, new):
        script.append(_address(i + 1, j))
        told = _referred(new[a:b], [line.strip() for line in old], offered)
        closers = _closers(told) if is_closed(old[i:j]) else 0
        if closers and left_open(new[a : b - closers]) == closers:
            told = told[:-closers]  # closed at the end of the edit anyway
        script += told
    return script


def _closers(told: list[str]) -> int:
    """How many closing lines stand at the end."""
    kept = len(told)
    while kept and told[kept - 1].strip() == CLOSING:
        kept -= 1
    return len(told) - kept


def _differing(old: list[str], new: list[str]) -> list[tuple[int, int, int, int]]:
    """The places old[i:j], new[a:b] that differ, as small as they are: they mend brackets."""
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [(i, j, a, b) for tag, i, j, a, b in matcher.get_opcodes() if tag != "equal"]


def _balanced(old: list[str], new: list[str]) -> list[tuple[int, int, int, int]]:
    """The places old[i:j], new[a:b] that differ, joined until both sides close what they open."""
    out: list[tuple[int, int, int, int]] = []
    is_open = False
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, i, j, a, b in matcher.get_opcodes():
        if is_open:
            i, a = out[-1][0], out[-1][2]
            if tag == "equal":  # only as much of it as closes the brackets
                j, b = next(
                    (
                        (end, b - (j - end))
                        for end in range(j - (b - out[-1][3]) + 1, j + 1)
                        if is_closed(old[i:end]) and is_closed(new[a : b - (j - end)])
                    ),
                    (j, b),
                )
            out[-1] = (i, j, a, b)
        elif tag == "equal":
            continue
        else:
            out.append((i, j, a, b))
        is_open = not (is_closed(old[i:j]) and is_closed(new[a:b]))
    return out


def is_closed(lines: Sequence[str]) -> bool:
    """Whether the lines close every bracket that they open and no other."""
    depth = 0
    for line in lines:
        opened = opened_brackets(line)
        if line.lstrip().startswith((")", "]", "}")) and depth == 0:
            return False
        depth += opened
        if depth < 0:
            return False
    return depth == 0


def _address(start: int, end: int) -> str:
    """The address of the lines start..end (end = start - 1: an insertion)."""
    if end < start:
        return f"@L{end}+"
    return f"@L{start}" if start == end else f"@L{start}-L{end}"


def _referred(lines: list[str], parent: list[str], donor: list[str]) -> list[str]:
    """The lines with closed pieces that stand in the donor or the parent told by their numbers.

    A single line of the parent is written out where it is short.
    """
    out: list[str] = []
    place = 0
    while place < len(lines):
        first, length = _longest(lines, place, donor)
        letter = "D"
        own, own_length = _longest(lines, place, parent)
        if own_length > length and (own_length > 1 or not donor):
            first, length, letter = own, own_length, "L"
        if length == 0 or (letter == "L" and length == 1 and len(lines[place]) < SHORT_LINE):
            out.append(lines[place])
            place += 1
            continue
        last = f"-{letter}{first + length}" if length > 1 else ""
        out.append(f"{letter}{first + 1}{last}")
        place += length
    return out


def _longest(lines: list[str], place: int, offered: list[str]) -> tuple[int, int]:
    """(index, length) of the longest closed piece of the offered lines that stands at this place.

    `offered` without indentation.
    """
    best = (0, 0)
    for first in range(len(offered)):
        length = 0
        while (
            place + length < len(lines)
            and first + length < len(offered)
            and offered[first + length] == lines[place + length].strip()
        ):
            length += 1
            if length > best[1] and is_closed(lines[place : place + length]):
                best = (first, length)
    return best


def complete(source: str, dimensions: int | None = None) -> tuple[str, tuple[str, ...]]:
    """The source with the classes of the library that it uses but does not define, and their names.

    A program that lacks none is left as it is, down to its layout. `dimensions` as for `apply`.
    """
    defined = set(_DEFINED.findall(source))
    missing = tuple(dict.fromkeys(n for n in _USED.findall(source) if n not in defined))
    lines = own_lines(source) if missing else None
    if lines is None:
        return source, ()
    return source_of(lines, header_of(source), dimensions or dimensions_of(source)), missing


def added_names(parent_source: str, child_source: str) -> tuple[str, ...]:
    """The library's classes that the child defines and the parent does not."""
    known = set(_DEFINED.findall(parent_source))
    names = dict.fromkeys(_DEFINED.findall(child_source))
    return tuple(name for name in names if name in LIBRARY and name not in known)
