"""Edits: a child told as changes to its parent's numbered lines, or taken from a donor.

In: canonical lines of the parent, and the child's lines or a reply, and the prompt's donor lines.
Out: an edit script (`derive`) or the child's source (`apply`). A script is `@L4-L6` replace or
`@L4+` insert after, with new lines below or donor lines behind it (` D2-D5`), ended by `@end`.
Not promised: that the child runs.
"""

import difflib
import re
from random import Random

from evoprompt.grammar.blocks import TEMPLATES, block_lines, default_block
from evoprompt.grammar.canonical import canonical_lines, header_of, segments, source_of
from evoprompt.grammar.spec import parse_entry
from evoprompt.grammar.variation import has_parameters, pick_run

END = "@end"
MAXIMUM_DONOR_LINES = 60  # the built-in model has one token per donor line, up to D60
_ADDRESS = re.compile(r"@L(\d+)(?:(\+)|-L(\d+))?(?: D(\d+)(?:-D(\d+))?)?$")


class EditError(Exception):
    """A reply that is no edit of the parent.

    `reason` is no_edit, bad_edit, unchanged or truncated.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def number_lines(lines: list[str], letter: str = "L") -> str:
    """The lines with their numbers in front: "L1class Net(nn.Module):" and so on, one per line."""
    return "".join(f"{letter}{number}{line}\n" for number, line in enumerate(lines, 1))


def numbered(source: str) -> str | None:
    """The numbered view of a program; None if it has none (unparsable, or more than 99 lines)."""
    lines = canonical_lines(source)
    return None if lines is None else number_lines(lines)


def apply(parent_source: str, reply: str, donor: list[str] | tuple[str, ...] = ()) -> str:
    """The child's source: the parent's lines with the reply's changes, behind its imports.

    Raises:
        EditError: no_edit, truncated (no `@end`), bad_edit or unchanged.
    """
    lines = canonical_lines(parent_source)
    if lines is None:
        raise EditError("bad_edit", "the parent has no numbered view")
    child = apply_lines(lines, _script(reply), donor)
    if child == lines:
        raise EditError("unchanged")
    return source_of(child, header_of(parent_source))


def _script(reply: str) -> list[str]:
    """The lines of the reply from its first edit to `@end`, without code fences and blank lines."""
    lines = [line.rstrip() for line in reply.splitlines()]
    lines = [line for line in lines if line and not line.startswith("```")]
    if not any(line.startswith("@") for line in lines):
        raise EditError("no_edit")
    if END not in lines:
        raise EditError("truncated", f"no {END}")
    return lines[: lines.index(END)]


def apply_lines(
    lines: list[str], script: list[str], donor: list[str] | tuple[str, ...] = ()
) -> list[str]:
    """The child's lines for a script without its `@end`; raises EditError."""
    changes = _changes(script, len(lines), donor)
    out: list[str] = []
    position = 1
    for start, end, new in changes:
        if start < position:
            raise EditError("bad_edit", f"line {start} is edited twice or out of order")
        out += lines[position - 1 : start - 1] + new
        position = end + 1
    return out + lines[position - 1 :]


def _changes(
    script: list[str], count: int, donor: list[str] | tuple[str, ...]
) -> list[tuple[int, int, list[str]]]:
    """(first line, last line, new lines) per edit; an insertion has last = first - 1."""
    changes: list[tuple[int, int, list[str]]] = []
    for line in script:
        if not line.startswith("@"):
            if not changes:
                raise EditError("bad_edit", f"text before the first address: {line[:60]}")
            changes[-1][2].append(line)
            continue
        match = _ADDRESS.match(line)
        if not match:
            raise EditError("bad_edit", f"not an address: {line[:60]}")
        start = int(match[1])
        end = int(match[3] or start)
        inserts = match[2] is not None
        if not (0 if inserts else 1) <= start <= end <= count:
            raise EditError("bad_edit", f"{line[:60]} of {count} lines")
        new = _donor_range(match[4], match[5], donor)
        changes.append((start + 1 if inserts else start, end, new))
    if not changes:
        raise EditError("no_edit")
    return changes


def _donor_range(
    first: str | None, last: str | None, donor: list[str] | tuple[str, ...]
) -> list[str]:
    if first is None:
        return []
    start, end = int(first), int(last or first)
    if not 1 <= start <= end <= len(donor):
        raise EditError("bad_edit", f"D{start}-D{end} of {len(donor)} donor lines")
    return list(donor[start - 1 : end])


def derive(
    parent: list[str], child: list[str], donor: list[str] | tuple[str, ...] = ()
) -> list[str]:
    """The script, without `@end`, that turns the parent's lines into the child's.

    Classes are aligned by name, lines inside a class by difflib; new lines that stand in the donor
    become a reference. Where classes changed places the whole text is aligned instead.
    """
    script = _derive_by_class(parent, child, donor)
    if script and apply_lines(parent, script, donor) == child:
        return script
    return _derive_block(parent, child, 0, donor)


def _derive_by_class(
    parent: list[str], child: list[str], donor: list[str] | tuple[str, ...]
) -> list[str] | None:
    parts, child_parts = segments(parent), dict(segments(child))
    names = [name for name, _ in parts]
    if len(set(names)) < len(names):
        return None
    script: list[str] = []
    before = 0
    new = [line for name, part in child_parts.items() if name not in names for line in part]
    if new:
        script += _edit(1, 0, new, donor)
    for name, lines in parts:
        script += _derive_block(lines, child_parts.get(name, []), before, donor)
        before += len(lines)
    return script


def _derive_block(
    old: list[str], new: list[str], before: int, donor: list[str] | tuple[str, ...]
) -> list[str]:
    """The edits that turn `old`, which stands behind `before` lines, into `new`."""
    script: list[str] = []
    if old == new:
        return script
    if not new:
        return _edit(before + 1, before + len(old), [], donor)
    for tag, i, j, a, b in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            script += _edit(before + i + 1, before + j, new[a:b], donor)
    return script


def _edit(start: int, end: int, new: list[str], donor: list[str] | tuple[str, ...]) -> list[str]:
    """One edit of the lines start..end (end = start - 1: an insertion)."""
    address = f"@L{start}" if start == end else f"@L{start}-L{end}"
    if end < start:
        address = f"@L{end}+"
    for first in range(len(donor) - len(new) + 1 if new else 0):
        if list(donor[first : first + len(new)]) == new:
            last = f"-D{first + len(new)}" if len(new) > 1 else ""
            return [f"{address} D{first + 1}{last}"]
    return [address, *new]


def donor_lines(source: str, rng: Random) -> list[str]:
    """One to three entries of a second parent's body, with the classes they use.

    Up to three lines of `Net` where it has no `self.body` of one layer per line; [] if it has none.
    """
    lines = canonical_lines(source)
    if lines is None:
        return []
    entries = body_lines(lines)
    if not entries:
        return _loose_lines(lines, rng)
    start, end = pick_run([has_parameters(parse_entry(line)) for line in entries], rng)
    return with_classes(lines, entries[start:end])[-MAXIMUM_DONOR_LINES:]


def body_lines(lines: list[str]) -> list[str]:
    """The lines between `self.body = nn.Sequential(` and its closing parenthesis."""
    opening = "        self.body = nn.Sequential("
    if opening not in lines:
        return []
    start = lines.index(opening) + 1
    closing = [i for i in range(start, len(lines)) if lines[i].strip() == ")"]
    return lines[start : closing[0]] if closing else []


def with_classes(lines: list[str], run: list[str]) -> list[str]:
    """The classes that the lines use, directly or through each other, then the lines."""
    parts = {name.removeprefix("class "): part for name, part in segments(lines)}
    needed: set[str] = set()
    texts = list(run)
    while texts:
        words = set(re.findall(r"\w+", texts.pop()))
        found = [name for name in parts if name in words - needed and name != "Net"]
        needed.update(found)
        texts += ["\n".join(parts[name]) for name in found]
    return [line for name, part in parts.items() if name in needed for line in part] + run


def _loose_lines(lines: list[str], rng: Random) -> list[str]:
    """One to three neighbouring assignments of the last class, with the classes they use."""
    last = [line for line in segments(lines)[-1][1] if line.startswith("        self.")]
    if not last:
        return []
    start = rng.randrange(len(last))
    run = last[start : start + rng.choice((1, 1, 2, 3))]
    return with_classes(lines, run)[-MAXIMUM_DONOR_LINES:]


def complete(source: str) -> tuple[str, tuple[str, ...]]:
    """The source with its block classes in order, and the names of those that were added.

    Known classes that it uses but does not define are put in front (two in five failing edits of
    the built-in model forgot one: facts.md, "The same with edits"). Known classes that it defines
    but does not use are dropped, so that an edit need not delete them.
    """
    lines = canonical_lines(source)
    if lines is None:
        return source, ()
    parts = segments(lines)
    kept = _without_unused(parts)
    text = "\n".join(line for _, part in kept for line in part)
    defined = {name for name, _ in kept}
    used = dict.fromkeys(re.findall(rf"\b({'|'.join(TEMPLATES)})\(", text))
    missing = tuple(name for name in used if f"class {name}" not in defined)
    if not missing and len(kept) == len(parts):
        return source, ()
    dimensions = 2 if "2d(" in text else 1
    new = [line for name in missing for line in block_lines(default_block(name), dimensions)]
    old = [line for _, part in kept for line in part]
    return source_of(new + old, header_of(source)), missing


def _without_unused(parts: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The top-level statements without known block classes that no other statement names."""
    kept = list(parts)
    for item in parts:
        kind = item[0].removeprefix("class ")
        others = "\n".join(line for other in kept if other is not item for line in other[1])
        if kind in TEMPLATES and not re.search(rf"\b{kind}\b", others):
            kept.remove(item)
    return kept
