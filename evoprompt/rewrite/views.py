"""Other shapes of a tensor as calls that say what they do to each axis.

In: the shapes before and behind a view. Out: `.flatten(1, 2)`, `.unflatten(2, (3, -1))` and so on,
or the layers `nn.Flatten` and `nn.Unflatten`. Sizes that follow from the tensor are left open, so
that the line holds for other widths too.
"""

from collections.abc import Mapping, Sequence
from math import prod

from surrogate.ir import BATCH, Dim, Shape

PROBES = (1, 3)
Group = tuple[int, int, int, int]
"""Axes before: first and behind the last; axes behind: the same."""


def calls(before: Shape, after: Shape, known: Mapping[int, str] | None = None) -> str:
    """The calls, chained; `known` are expressions of sizes that the batch may be split by."""
    if _is_flat(before, after):
        return ".flatten(1)"
    texts: list[str] = []
    for group in reversed(_groups(before, after)):
        texts += _group_calls(before, after, group, known or {})
    return "".join(texts)


def layers(before: Shape, after: Shape) -> list[str] | None:
    """The same as lines of `nn.Sequential`; None where they would split or join examples."""
    if before[:1] != (BATCH,) or after[:1] != (BATCH,):
        return None
    if _is_flat(before, after):
        return ["nn.Flatten()"]
    lines: list[str] = []
    for start, stop, first, last in reversed(_groups(before, after)):
        parts = _open(after, first, last, {}) if last > first else ""
        is_joined, is_split = stop - start > 1, last - first > 1
        if last == first:  # an axis of one goes
            start, is_joined = start - 1, True
        if stop == start:  # a new axis of one
            start, is_split = start - 1, True
            parts = "-1, 1"
        if start < 1:
            return None
        if is_joined:
            ends = "" if (start, stop) == (1, len(before)) else f"{start}, {stop - 1}"
            lines.append(f"nn.Flatten({ends})")
        if is_split:
            lines.append(f"nn.Unflatten({start}, ({parts}))")
    return lines


def _is_flat(before: Shape, after: Shape) -> bool:
    return len(after) == 2 < len(before) and before[0] == after[0] == BATCH


def _groups(before: Shape, after: Shape) -> list[Group]:
    """The smallest stretches of axes of which one becomes the other."""
    groups: list[Group] = []
    i = j = 0
    while i < len(before) or j < len(after):
        start, first = i, j
        left = before[i] if i < len(before) else None
        right = after[j] if j < len(after) else None
        if left == right:
            i, j = i + 1, j + 1
            continue
        if right == (0, 1):
            j += 1
        elif left == (0, 1):
            i += 1
        else:
            i, j = i + 1, j + 1
            while not _is_equal(before[start:i], after[first:j]):
                if _count(before[start:i]) < _count(after[first:j]):
                    i += 1
                else:
                    j += 1
        groups.append((start, i, first, j))
    return groups


def _count(dims: Sequence[Dim]) -> int:
    return prod(dim.at(PROBES[1]) for dim in dims)


def _is_equal(ours: Sequence[Dim], theirs: Sequence[Dim]) -> bool:
    return all(prod(d.at(p) for d in ours) == prod(d.at(p) for d in theirs) for p in PROBES)


def _group_calls(before: Shape, after: Shape, group: Group, known: Mapping[int, str]) -> list[str]:
    start, stop, first, last = group
    if last == first:
        return [f".squeeze({start})"]
    if stop == start:
        return [f".unsqueeze({start})"]
    if stop - start == 2 == last - first:
        moved = _moved(before[start:stop], after[first:last], start, known)
        if moved:
            return moved
    texts = []
    if stop - start > 1:
        ends = f"{start}" if stop == len(before) else f"{start}, {stop - 1}"
        texts.append(f".flatten({ends})")
    if last - first > 1:
        texts.append(f".unflatten({start}, ({_open(after, first, last, known)}))")
    return texts


def _moved(ours: Shape, theirs: Shape, start: int, known: Mapping[int, str]) -> list[str] | None:
    """A factor that goes from one axis to its neighbour."""
    (_, right), (other, more) = ours, theirs
    if right.scale or more.scale:
        return None
    if right.offset % more.offset == 0:
        factor = right.offset // more.offset
        return [f".unflatten({start + 1}, ({factor}, -1))", f".flatten({start}, {start + 1})"]
    if more.offset % right.offset == 0 and other.scale:
        factor = more.offset // right.offset
        text = known.get(factor, str(factor))
        return [f".unflatten({start}, (-1, {text}))", f".flatten({start + 1}, {start + 2})"]
    return None


def _open(after: Shape, first: int, last: int, known: Mapping[int, str]) -> str:
    """The sizes of a split: that of the batch is left open, else one that says least."""
    dims = after[first:last]
    growing = [place for place, dim in enumerate(dims) if dim.scale]
    is_last = last == len(after)
    place = growing[0] if growing else len(dims) - 1 if is_last or first == 0 else 0
    names = known if growing else {}
    texts = [names.get(dim.offset, str(dim.offset)) for dim in dims]
    texts[place] = "-1"
    return ", ".join(texts)
