"""Rules for writing into a tensor: setitem, scatter, index_add, copy_, fill_.

The written region must be known without data, but for scatter. A tensor written into has a new
value from then on; what was taken from it before is refused (`tape.py`).
"""

from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import as_type
from evoprompt.screen.recorder.ops_index import cut, full_index
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule
from evoprompt.screen.recorder.views import VIEWS, shares_memory, view_of

T = Tensor


@rule(T.__setitem__)
def setitem(tape: Tape, _: None, x: Tensor, index: Any, value: Any) -> None:
    """`x[i] += y` takes a view, changes it and writes it where it is: nothing is left to do."""
    view = view_of(tape, value)
    if view is not None and view.put_back is VIEWS[T.__getitem__]:
        is_there = view.args[0] is x and _is_same_index(view.args[1], index)
        if is_there and shares_memory(x, value):
            tape.bind(x, tape.value(x))
            return
    write_places(tape, x, index, value)


def write_places(tape: Tape, x: Tensor, index: Any, value: Any) -> None:
    """A stretch of one axis is put between its neighbours, other regions are chosen by a mask."""
    places = full_index(tape, index, x.dim())
    tape.expect(not any(place is None for place in places), "writing to an index with None")
    tensors = [place for place in places if isinstance(place, Tensor)]
    tape.expect(len(tensors) < 2, "writing to places that several tensors name")
    has_mask = any(place.dtype == torch.bool for place in tensors)
    if has_mask and _write_masked(tape, x, places, value):
        return
    regions: dict[int, list[int]] = {}
    shape: list[int] = []
    for axis, place in enumerate(places):
        region = _region(tape, place, x.shape[axis])
        if region is not None:
            regions[axis] = region
        if not isinstance(place, int):
            shape.append(x.shape[axis] if region is None else len(region))
    singles = [axis for axis, place in enumerate(places) if isinstance(place, int)]
    if len(regions) == 1 and _is_stretch(*regions.values()):
        [(axis, region)] = regions.items()
        _write_stretch(tape, x, axis, region, _spread(tape, value, shape, x, singles))
    elif not regions:
        tape.bind(x, _spread(tape, value, shape, x, []))
    else:
        _write_regions(tape, x, regions, shape, value, singles)


def _is_same_index(ours: Any, theirs: Any) -> bool:
    """Whether two indices of numbers and slices are the same."""
    pair = [index if isinstance(index, tuple) else (index,) for index in (ours, theirs)]
    plain = (int, slice, type(Ellipsis))
    return all(isinstance(place, plain) for index in pair for place in index) and pair[0] == pair[1]


def _region(tape: Tape, place: Any, size: int) -> list[int] | None:
    """The positions of one axis that are written, None for all of them in order."""
    if isinstance(place, Tensor):
        tape.expect(not tape.is_known(place), "writing to places that depend on data")
        tape.expect(place.dim() == 1, "writing to places in several axes")
        kind = place.nonzero()[:, 0] if place.dtype == torch.bool else place
        region = [int(position) % size for position in kind.tolist()]
        tape.expect(len(set(region)) == len(region) > 0, "writing to a place twice")
        return region
    region = list(range(size)[place]) if isinstance(place, slice) else [range(size)[place]]
    tape.expect(len(region) > 0, "an empty tensor")
    return None if isinstance(place, slice) and region == list(range(size)) else region


def _is_stretch(region: list[int]) -> bool:
    return region == list(range(region[0], region[0] + len(region)))


def _spread(tape: Tape, value: Any, shape: list[int], x: Tensor, singles: list[int]) -> Operand:
    """What is written, in the type of where it goes, in the region's shape."""
    operand = as_type(tape, value, x.dtype)
    if not isinstance(value, Tensor) or list(value.shape) != shape:
        if isinstance(value, Tensor) and value.dim() > len(shape):
            operand = tape.node("Reshape", [operand, Ints(value.shape[value.dim() - len(shape) :])])
        operand = tape.node("Expand", [operand, Ints(shape)])
    return tape.node("Unsqueeze", [operand, Ints(singles)]) if singles else operand


def _write_stretch(tape: Tape, x: Tensor, axis: int, region: list[int], part: Operand) -> None:
    start, stop, size = region[0], region[-1] + 1, x.shape[axis]
    before, parts = tape.value(x), [part]
    if start:
        parts.insert(0, cut(tape, before, slice(0, start), size, axis))
    if stop < size:
        parts.append(cut(tape, before, slice(stop, size), size, axis))
    tape.bind(x, tape.node("Concat", parts, axis=axis) if len(parts) > 1 else part)


def _write_regions(
    tape: Tape,
    x: Tensor,
    regions: dict[int, list[int]],
    shape: list[int],
    value: Any,
    singles: list[int],
) -> None:
    """A fixed mask says where the written values are taken, which are spread to their places."""
    is_number = not isinstance(value, Tensor) or value.dim() == 0
    part = as_type(tape, value, x.dtype) if is_number else _spread(tape, value, shape, x, singles)
    mask = torch.ones([1] * x.dim(), dtype=torch.bool)
    for axis, region in regions.items():
        own = torch.zeros(x.shape[axis], dtype=torch.bool)
        source = torch.zeros(x.shape[axis], dtype=torch.int64)
        for number, position in enumerate(region):
            own[position], source[position] = True, number
        if not is_number:
            part = tape.node("Gather", [part, source], axis=axis)
        mask = mask & own.view([-1 if a == axis else 1 for a in range(x.dim())])
    tape.bind(x, tape.node("Where", [mask, part, x]))


def _write_masked(tape: Tape, x: Tensor, places: list[Any], value: Any) -> bool:
    """`x[mask] = number`, whose mask may depend on data."""
    mask = places[0]
    is_mask = isinstance(mask, Tensor) and mask.dtype == torch.bool
    is_first = is_mask and all(place == slice(None) for place in places[1:])
    is_number = not isinstance(value, Tensor) or value.numel() == 1
    if not is_first or not is_number:
        known = [tape.is_known(place) for place in places if isinstance(place, Tensor)]
        tape.expect(not any(known), "writing with a mask that depends on data")
        return False
    operand: Operand = tape.value(mask)
    if mask.dim() < x.dim():
        operand = tape.node("Unsqueeze", [operand, Ints(range(mask.dim(), x.dim()))])
    number = as_type(tape, value, x.dtype)
    if isinstance(value, Tensor) and value.dim() > x.dim():
        number = tape.node("Reshape", [number, Ints((1,))])
    tape.bind(x, tape.node("Where", [operand, number, x]))
    return True


@rule(T.copy_)
def copy(tape: Tape, out: Tensor, x: Tensor, source: Tensor, non_blocking: bool = False) -> None:
    """All of it, in the type and shape of the target."""
    tape.bind(out, _spread(tape, source, list(x.shape), x, []))


@rule(T.fill_)
def fill(tape: Tape, out: Tensor, x: Tensor, value: Any) -> None:
    """One number everywhere."""
    tape.bind(out, _spread(tape, value, list(x.shape), x, []))


@rule(T.zero_)
def zero(tape: Tape, out: Tensor, x: Tensor) -> None:
    """Nought everywhere."""
    fill(tape, out, x, 0)


_REDUCTIONS = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul"}
_REDUCTIONS |= {"amax": "max", "amin": "min"}


@rule(torch.scatter, T.scatter, T.scatter_)
def scatter(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> None:
    """One element to each place of the index; the source may be larger than the index."""
    source = src if src is not None else value
    name = None if reduce is None else _REDUCTIONS.get(reduce)
    tape.expect(reduce is None or name is not None, f"scatter with reduce={reduce!r}")
    _scatter(tape, out, x, dim, index, source, name)


def _scatter(
    tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor, source: Any, reduction: str | None
) -> None:
    tape.expect(x.dim() > 0, "scatter into a number")
    part = as_type(tape, source, x.dtype)
    if isinstance(source, Tensor) and source.dim() > 0:
        for axis, (have, want) in enumerate(zip(source.shape, index.shape, strict=True)):
            if want < have:
                part = cut(tape, part, slice(0, want), have, axis)
    else:
        part = tape.node("Expand", [part, Ints(index.shape)])
    attributes: dict[str, Any] = {"axis": int(dim)}
    if reduction is not None:
        attributes["reduction"] = reduction
    tape.emit(out, "ScatterElements", [x, index, part], **attributes)


@rule(torch.scatter_add, T.scatter_add, T.scatter_add_)
def scatter_add(tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor, src: Tensor) -> None:
    """Elements that meet at one place are added up."""
    _scatter(tape, out, x, dim, index, src, "add")


@rule(torch.scatter_reduce, T.scatter_reduce, T.scatter_reduce_)
def scatter_reduce(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> None:
    """Elements that meet at one place are reduced, with what was there."""
    known = include_self and reduce in _REDUCTIONS
    tape.expect(known, f"scatter_reduce with {reduce!r} or without include_self")
    _scatter(tape, out, x, dim, index, src, _REDUCTIONS[reduce])


def _along(tape: Tape, x: Tensor, dim: int, index: Tensor, shape: Any) -> Operand:
    """A row of places as wide as what is written."""
    tape.expect(index.dim() == 1, "an index of other than one axis")
    axes = Ints(axis for axis in range(x.dim()) if axis != dim % x.dim())
    return tape.node("Expand", [tape.node("Unsqueeze", [index, axes]), Ints(shape)])


@rule(torch.index_add, T.index_add, T.index_add_)
def index_add(
    tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> None:
    """Parts are added at places along one axis."""
    part = as_type(tape, source, x.dtype)
    if alpha != 1:
        part = tape.node("Mul", [part, Literal(alpha, x.dtype)])
    places = _along(tape, x, dim, index, source.shape)
    tape.emit(out, "ScatterElements", [x, places, part], axis=int(dim), reduction="add")


@rule(torch.index_copy, T.index_copy, T.index_copy_)
def index_copy(tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    """Parts are written to places along one axis."""
    places = _along(tape, x, dim, index, source.shape)
    tape.emit(out, "ScatterElements", [x, places, source], axis=int(dim))


@rule(torch.index_fill, T.index_fill, T.index_fill_)
def index_fill(tape: Tape, out: Tensor, x: Tensor, dim: int, index: Tensor, value: Any) -> None:
    """One number at places along one axis."""
    shape = list(x.shape)
    shape[dim] = index.numel()
    part = tape.node("Expand", [as_type(tape, value, x.dtype), Ints(shape)])
    places = _along(tape, x, dim, index, shape)
    tape.emit(out, "ScatterElements", [x, places, part], axis=int(dim))
