"""Rules for picking: indexing with numbers, slices, tensors and masks; gather; sorting.

Negative places count from the end in torch. ONNX's Gather does the same; where places are computed
with, they are brought above zero first.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import cast
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule

T = Tensor
_END = torch.iinfo(torch.int64).max
_WHOLE = slice(None)


@rule(T.__getitem__)
def getitem(tape: Tape, out: Tensor, x: Tensor, index: Any) -> None:
    """One node for each axis that is cut, the whole numbers last to first, tensors at the end."""
    places = full_index(tape, index, x.dim())
    value: Operand = tape.value(x)
    axis = 0
    taken: list[tuple[int, Any]] = []
    for place in places:
        if place is None:
            continue
        size = x.shape[axis]
        if isinstance(place, slice):
            value = cut(tape, value, place, size, axis)
        elif isinstance(place, int):
            taken.append((axis, Literal(place % size, torch.int64)))
        elif isinstance(place, Tensor) and place.dim() == 0:
            taken.append((axis, place))
        axis += _width(place)
    tape.expect(out.numel() > 0, "an empty tensor")
    for axis, position in reversed(taken):
        value = tape.node("Gather", [value, position], axis=axis)
    if any(isinstance(place, Tensor) and place.dim() for place in places):
        _take(tape, out, value, x, places)
        return
    if any(place is None for place in places):
        value = tape.node("Reshape", [value, Ints(out.shape)])
    tape.bind(out, value)


def _width(place: Any) -> int:
    """How many axes a place stands for."""
    is_mask = isinstance(place, Tensor) and place.dtype == torch.bool
    return int(place.dim()) if is_mask else 1  # type: ignore[union-attr]


def full_index(tape: Tape, index: Any, rank: int) -> list[Any]:
    """One place for each axis, and None for each new one; lists become tensors."""
    given = list(index) if isinstance(index, tuple) else [index]
    places = [_place(tape, place) for place in given]
    used = sum(_width(place) for place in places if place is not None and place is not Ellipsis)
    gap = [slice(None)] * (rank - used)
    at = next((i for i, place in enumerate(places) if place is Ellipsis), len(places))
    return [*places[:at], *gap, *places[at + 1 :]]


def _place(tape: Tape, place: Any) -> Any:
    """One entry of an index: a number, a slice, a tensor, None or the dots."""
    if type(place) is int or (type(place) is slice and place == _WHOLE):
        return place
    if isinstance(place, list | range):
        place = torch.tensor(list(place))
    if isinstance(place, slice):
        tape.sizes(place.start, place.stop, place.step)
    elif isinstance(place, Tensor):
        is_flag = place.dim() == 0 and place.dtype == torch.bool
        tape.expect(not is_flag, "indexing with True or False")
        tape.expect(place.dtype != torch.uint8, "indexing with a mask of bytes")
    elif isinstance(place, bool) or not (isinstance(place, int) or place in (None, Ellipsis)):
        tape.refuse(f"indexing with a {type(place).__name__}")
    return place


def cut(tape: Tape, value: Operand, place: slice, size: int, axis: int) -> Operand:
    """A slice of one axis; nothing is written for the whole axis."""
    if place == _WHOLE:
        return value
    start, stop, step = place.indices(size)
    if (start, step) == (0, 1) and stop >= size:
        return value
    end = _END if stop >= size else stop
    numbers = [Ints((start,)), Ints((end,)), Ints((axis,)), Ints((step,))]
    return tape.node("Slice", [value, *numbers])


def _take(tape: Tape, out: Tensor, value: Operand, x: Tensor, places: list[Any]) -> None:
    """What tensors pick, after slices and whole numbers are done."""
    sizes: list[int] = []
    chosen: dict[int, Tensor] = {}
    axis = 0
    for place in places:
        if isinstance(place, Tensor) and place.dim():
            for part in _as_places(tape, place):
                chosen[len(sizes)] = part
                sizes.append(x.shape[axis])
                axis += 1
            continue
        if isinstance(place, slice):
            sizes.append(len(range(*place.indices(x.shape[axis]))))
        elif place is None:
            sizes.append(1)
        axis += place is not None
    if any(place is None for place in places):
        value = tape.node("Reshape", [value, Ints(sizes)])
    if len(chosen) == 1:
        [(axis, index)] = chosen.items()
        tape.emit(out, "Gather", [value, index], axis=axis)
        return
    _take_several(tape, out, value, sizes, chosen)


def _as_places(tape: Tape, index: Tensor) -> Sequence[Tensor]:
    """The whole numbers that an index stands for: for a mask those of each of its axes."""
    if index.dtype == torch.bool:
        tape.expect(not tape.is_known(index), "indexing with a mask that depends on data")
        return index.nonzero(as_tuple=True)
    return [index]


def _take_several(
    tape: Tape, out: Tensor, value: Operand, sizes: list[int], chosen: dict[int, Tensor]
) -> None:
    """The picked axes become one, of which places are gathered that count through all of them."""
    axes = list(chosen)
    others = [axis for axis in range(len(sizes)) if axis not in chosen]
    if axes != list(range(len(axes))):
        value = tape.node("Transpose", [value], perm=axes + others)
    count = 1
    for axis in axes:
        count *= sizes[axis]
    flat = tape.node("Reshape", [value, Ints([count, *(sizes[axis] for axis in others)])])
    picked = tape.node("Gather", [flat, _counted(tape, sizes, chosen)], axis=0)
    begin = axes[0] if axes == list(range(axes[0], axes[0] + len(axes))) else 0
    if begin:
        width = out.dim() - len(others)
        order = [*range(width, width + begin), *range(width), *range(width + begin, out.dim())]
        picked = tape.node("Transpose", [picked], perm=order)
    tape.bind(out, picked)


def _counted(tape: Tape, sizes: list[int], chosen: dict[int, Tensor]) -> Operand:
    """Places of several axes as places of all of them in one row."""
    indices = list(chosen.items())
    is_fixed = not any(tape.is_known(index) for _, index in indices)
    if is_fixed and not any(_counts_all(index, sizes[axis]) for axis, index in indices):
        places = torch.zeros((), dtype=torch.int64)
        for axis, index in indices:
            places = places * sizes[axis] + torch.where(index < 0, index + sizes[axis], index)
        return tape.value(places)
    total: Operand | None = None
    for axis, index in indices:
        size = Ints((sizes[axis],))
        place = cast(tape, index, index.dtype, torch.int64)
        if tape.is_known(index) or bool((index < 0).any()):
            is_negative = tape.node("Less", [place, Literal(0, torch.int64)])
            above = tape.node("Add", [place, size])
            place = tape.node("Where", [is_negative, above, place])
        if total is None:
            total = place
        else:
            total = tape.node("Add", [tape.node("Mul", [total, size]), place])
    assert total is not None
    return total


def _counts_all(index: Tensor, size: int) -> bool:
    """Whether an index names every position in order: perhaps the examples of the batch."""
    return index.numel() == size and bool((index.flatten() == torch.arange(size)).all())


@rule(torch.index_select, T.index_select)
def index_select(tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor) -> None:
    """Positions along one axis."""
    tape.emit(out, "Gather", [x, index], axis=int(dim))


@rule(torch.select, T.select)
def select(tape: Tape, out: Tensor, x: Tensor, dim: int, index: int) -> None:
    """One position of an axis, which goes."""
    tape.sizes(index)
    position = Literal(int(index) % x.shape[dim], torch.int64)
    tape.emit(out, "Gather", [x, position], axis=int(dim))


@rule(torch.narrow, T.narrow)
def narrow(tape: Tape, out: Tensor, x: Tensor, dim: int, start: int, length: int) -> None:
    """A stretch of an axis."""
    tape.sizes(start, length)
    first = int(start) % x.shape[dim]
    place = slice(first, first + int(length))
    tape.bind(out, cut(tape, tape.value(x), place, x.shape[dim], dim % x.dim()))


@rule(torch.gather, T.gather)
def gather(
    tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False
) -> None:
    """One element for each place of the index, which may be smaller than the tensor."""
    tape.expect(x.dim() > 0, "gather from a number")
    value: Operand = tape.value(x)
    for axis, (have, want) in enumerate(zip(x.shape, index.shape, strict=True)):
        if axis != dim % x.dim() and want < have:
            value = cut(tape, value, slice(0, want), have, axis)
    tape.emit(out, "GatherElements", [value, index], axis=int(dim))


@rule(torch.take_along_dim, T.take_along_dim)
def take_along_dim(
    tape: Tape, out: Tensor, x: Tensor, indices: Tensor, dim: int | None = None
) -> None:
    """As gather, where the other axes are alike."""
    if dim is None:
        tape.refuse("take_along_dim without dim")
        return
    sizes = zip(x.shape, indices.shape, strict=True)
    is_alike = all(a == b for axis, (a, b) in enumerate(sizes) if axis != dim % x.dim())
    tape.expect(is_alike, "take_along_dim of other shapes")
    gather(tape, out, x, dim, indices)


@rule(torch.topk, T.topk)
def topk(
    tape: Tape,
    out: Any,
    x: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
) -> None:
    """The k largest or smallest, in order."""
    tape.sizes(k)
    tape.expect(sorted, "topk with sorted=False")
    attributes = {"axis": int(dim), "largest": int(largest), "sorted": 1}
    names = tape.nodes_out("TopK", [x, Ints((int(k),))], 2, **attributes)
    for part, name in zip(out, names, strict=True):
        tape.bind(part, name)


@rule(torch.sort, T.sort)
def sort(
    tape: Tape, out: Any, x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> None:
    """All elements of an axis in order; equal ones stay in theirs."""
    topk(tape, out, x, x.shape[dim], dim, descending)


@rule(torch.argsort, T.argsort)
def argsort(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    dim: int = -1,
    descending: bool = False,
    stable: bool = False,
) -> None:
    """The places of all elements in order."""
    attributes = {"axis": int(dim), "largest": int(descending), "sorted": 1}
    _, places = tape.nodes_out("TopK", [x, Ints((x.shape[dim],))], 2, **attributes)
    tape.bind(out, places)


@rule(torch.nn.functional.one_hot)
def one_hot(tape: Tape, out: Tensor, index: Tensor, num_classes: int = -1) -> None:
    """A one at the place of the class."""
    tape.expect(num_classes > 0, "one_hot without num_classes")
    places = tape.node("Unsqueeze", [index, Ints((-1,))])
    is_there = tape.node("Equal", [places, torch.arange(int(num_classes))])
    tape.bind(out, cast(tape, is_there, torch.bool, torch.int64))


@rule(torch.diagonal, T.diagonal)
def diagonal(
    tape: Tape, out: Tensor, x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> None:
    """Two axes become their diagonal, at the end."""
    first, second = dim1 % x.dim(), dim2 % x.dim()
    others = [axis for axis in range(x.dim()) if axis not in (first, second)]
    turned = tape.node("Transpose", [x], perm=[*others, first, second])
    height, width = x.shape[first], x.shape[second]
    flat = tape.node(
        "Reshape", [turned, Ints([*(x.shape[axis] for axis in others), height * width])]
    )
    steps = torch.arange(out.shape[-1])
    rows, columns = steps + max(0, -offset), steps + max(0, offset)
    tape.emit(out, "Gather", [flat, rows * width + columns], axis=len(others))


@rule(torch.repeat_interleave, T.repeat_interleave)
def repeat_interleave(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    repeats: Any,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> None:
    """Every element again and again."""
    tape.sizes(output_size)
    if isinstance(repeats, Tensor) and (tape.is_known(repeats) or dim is None):
        tape.refuse("repeat_interleave by a tensor")
    if isinstance(repeats, Tensor):
        assert dim is not None
        places = torch.arange(x.shape[dim]).repeat_interleave(repeats)
        tape.emit(out, "Gather", [x, places], axis=int(dim))
        return
    shape = list(x.shape) if dim is not None else [x.numel()]
    axis = dim % x.dim() if dim is not None else 0
    value: Operand = tape.value(x)
    if dim is None:
        value = tape.node("Reshape", [value, Ints(shape)])
    wide = tape.node("Unsqueeze", [value, Ints((axis + 1,))])
    sizes = Ints([*shape[: axis + 1], int(repeats), *shape[axis + 1 :]])
    tape.emit(out, "Reshape", [tape.node("Expand", [wide, sizes]), Ints(out.shape)])
