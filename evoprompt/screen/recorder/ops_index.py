"""Rules for picking and placing: indexing, gather, scatter, sorting."""

from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import as_type
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule

T = Tensor
_END = torch.iinfo(torch.int64).max


@rule(T.__getitem__)
def getitem(tape: Tape, out: Tensor, x: Tensor, index: Any) -> None:
    """One node for each axis that is cut, the whole numbers last to first."""
    places = _full(tape, index, x.dim())
    if any(isinstance(place, Tensor | list) for place in places):
        _take(tape, out, x, places)
        return
    tape.expect(out.numel() > 0, "an empty tensor")
    value: Operand = tape.value(x)
    axis = 0
    taken: list[tuple[int, int]] = []
    for place in places:
        if place is None:
            continue
        size = x.shape[axis]
        if isinstance(place, slice):
            value = _cut(tape, value, place, size, axis)
        else:
            taken.append((axis, int(place) % size))
        axis += 1
    for axis, position in reversed(taken):
        value = tape.node("Gather", [value, Literal(position, torch.int64)], axis=axis)
    if any(place is None for place in places):
        value = tape.node("Reshape", [value, Ints(out.shape)])
    tape.bind(out, value)


def _full(tape: Tape, index: Any, rank: int) -> list[Any]:
    """One place for each axis, and None for each new one."""
    places = list(index) if isinstance(index, tuple) else [index]
    for place in places:
        is_flag = isinstance(place, bool)
        tape.expect(not is_flag, "indexing with True or False")
    used = 0
    for place in places:
        is_mask = isinstance(place, Tensor) and place.dtype == torch.bool
        used += place.dim() if is_mask else place is not None and place is not Ellipsis
    gap = [slice(None)] * (rank - used)
    at = next((i for i, place in enumerate(places) if place is Ellipsis), len(places))
    return [*places[:at], *gap, *places[at + 1 :]]


def _cut(tape: Tape, value: Operand, place: slice, size: int, axis: int) -> Operand:
    start, stop, step = place.indices(size)
    if (start, step) == (0, 1) and stop >= size:
        return value
    end = _END if stop >= size else stop
    cut = [Ints((start,)), Ints((end,)), Ints((axis,)), Ints((step,))]
    return tape.node("Slice", [value, *cut])


def _take(tape: Tape, out: Tensor, x: Tensor, places: list[Any]) -> None:
    """One axis by a tensor or list of whole numbers, all others whole."""
    chosen = [
        (axis, place) for axis, place in enumerate(places) if isinstance(place, Tensor | list)
    ]
    others = [place for place in places if not isinstance(place, Tensor | list)]
    is_plain = all(isinstance(place, slice) and place == slice(None) for place in others)
    tape.expect(len(chosen) == 1 and is_plain, "indexing with several tensors")
    axis, index = chosen[0]
    index = index if isinstance(index, Tensor) else torch.tensor(index)
    tape.expect(index.dtype in (torch.int64, torch.int32), "indexing with a mask")
    tape.emit(out, "Gather", [x, index], axis=axis)


@rule(torch.index_select, T.index_select)
def index_select(tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor) -> None:
    """Positions along one axis."""
    tape.emit(out, "Gather", [x, index], axis=int(dim))


@rule(torch.select, T.select)
def select(tape: Tape, out: Tensor, x: Tensor, dim: int, index: int) -> None:
    """One position of an axis, which goes."""
    position = Literal(int(index) % x.shape[dim], torch.int64)
    tape.emit(out, "Gather", [x, position], axis=int(dim))


@rule(torch.narrow, T.narrow)
def narrow(tape: Tape, out: Tensor, x: Tensor, dim: int, start: int, length: int) -> None:
    """A stretch of an axis."""
    tape.expect(isinstance(start, int), "narrow with a tensor")
    first = int(start) % x.shape[dim]
    cut = slice(first, first + int(length))
    tape.bind(out, _cut(tape, tape.value(x), cut, x.shape[dim], dim % x.dim()))


@rule(torch.gather, T.gather)
def gather(
    tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False
) -> None:
    """One element for each place of the index; torch allows a smaller index, ONNX does not."""
    sizes = [(a, b) for axis, (a, b) in enumerate(zip(x.shape, index.shape, strict=True))]
    is_same = all(a == b for axis, (a, b) in enumerate(sizes) if axis != dim % x.dim())
    tape.expect(is_same, "gather with an index of another shape")
    tape.emit(out, "GatherElements", [x, index], axis=int(dim))


@rule(T.__setitem__)
def setitem(tape: Tape, _: None, x: Tensor, index: Any, value: Any) -> None:
    """Write one stretch of one axis: what is before, the new part, what is behind."""
    places = _full(tape, index, x.dim())
    is_simple = all(isinstance(place, int | slice) for place in places)
    tape.expect(is_simple, "writing to places that a tensor names")
    cuts = [
        (axis, place)
        for axis, place in enumerate(places)
        if not (
            isinstance(place, slice)
            and place.indices(x.shape[axis])[1:] == (x.shape[axis], 1)
            and place.indices(x.shape[axis])[0] == 0
        )
    ]
    tape.expect(len(cuts) <= 1, "writing to a part of several axes")
    shape = list(x.shape)
    if not cuts:
        tape.bind(x, _spread(tape, value, shape, x))
        return
    axis, place = cuts[0]
    if isinstance(place, slice):
        start, stop, step = place.indices(x.shape[axis])
        tape.expect(step == 1 and stop > start, "writing with a step")
        shape[axis] = stop - start
        part = _spread(tape, value, shape, x)
    else:
        start = int(place) % x.shape[axis]
        stop = start + 1
        part = _spread(tape, value, shape[:axis] + shape[axis + 1 :], x)
        part = tape.node("Unsqueeze", [part, Ints((axis,))])
    before, size = tape.value(x), x.shape[axis]
    parts = [part]
    if start:
        parts.insert(0, _cut(tape, before, slice(0, start), size, axis))
    if stop < size:
        parts.append(_cut(tape, before, slice(stop, size), size, axis))
    tape.bind(x, tape.node("Concat", parts, axis=axis) if len(parts) > 1 else part)


def _spread(tape: Tape, value: Any, shape: list[int], x: Tensor) -> Operand:
    """What is written, in the type and shape of where it goes."""
    operand = as_type(tape, value, x.dtype)
    is_same = isinstance(value, Tensor) and list(value.shape) == shape
    return operand if is_same else tape.node("Expand", [operand, Ints(shape)])


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
    attributes = {"axis": int(dim), "largest": int(largest), "sorted": 1}
    names = tape.nodes_out("TopK", [x, Ints((int(k),))], 2, **attributes)
    for part, name in zip(out, names, strict=True):
        tape.bind(part, name)


@rule(torch.sort, T.sort)
def sort(
    tape: Tape, out: Any, x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> None:
    """All elements of an axis in order."""
    topk(tape, out, x, x.shape[dim], dim, descending)
