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
        parts = _open(after[first:last], {}) if last > first else ""
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
        return [_without_one(before, start)]
    if stop == start:
        return [f".unsqueeze({start})"]
    ours, theirs = list(before[start:stop]), list(after[first:last])
    texts = _moved(ours, theirs, start, known)
    if len(ours) > 1:
        is_end = (stop, last) == (len(before), len(after)) and not texts
        ends = f"{start}" if is_end else f"{start}, {start + len(ours) - 1}"
        texts.append(f".flatten({ends})")
    if len(theirs) > 1:
        texts.append(f".unflatten({start}, ({_open(theirs, known)}))")
    return texts


def _without_one(before: Shape, axis: int) -> str:
    """An axis of one goes; joined to its neighbour it may be of another size."""
    if axis and axis + 1 < len(before):
        return f".flatten({axis}, {axis + 1})"
    return f".flatten({axis - 1}, {axis})" if axis > 1 else f".squeeze({axis})"


def _moved(ours: list[Dim], theirs: list[Dim], start: int, known: Mapping[int, str]) -> list[str]:
    """Factors that go from one axis to its neighbour, from the last axis on; takes what is done."""
    texts: list[str] = []
    while len(ours) > 1 and len(theirs) > 1:
        (scale, have), (more_scale, want) = ours[-1], theirs[-1]
        place = start + len(ours) - 1
        if scale or more_scale or (want % have and have % want):
            break
        if want > have:
            factor, left = want // have, ours[-2]
            if left.scale % factor or left.offset % factor:
                break
            text = known.get(factor, str(factor)) if left.scale else str(factor)
            texts += [f".unflatten({place - 1}, (-1, {text}))", f".flatten({place}, {place + 1})"]
            ours[-2] = Dim(left.scale // factor, left.offset // factor)
        elif have > want:
            factor = have // want
            texts += [f".unflatten({place}, ({factor}, -1))", f".flatten({place - 1}, {place})"]
            ours[-2] = Dim(ours[-2].scale * factor, ours[-2].offset * factor)
        ours.pop()
        theirs.pop()
    return texts


def _open(dims: Sequence[Dim], known: Mapping[int, str]) -> str:
    """The sizes of a split: that of the batch is left open, else the largest."""
    growing = [place for place, dim in enumerate(dims) if dim.scale]
    largest = max(range(len(dims)), key=lambda place: (dims[place].offset, place))
    names = known if growing else {}
    texts = [names.get(dim.offset, str(dim.offset)) for dim in dims]
    texts[growing[0] if growing else largest] = "-1"
    return ", ".join(texts)
