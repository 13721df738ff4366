"""Rules for what moves numbers about: reshape, transpose, concatenate, split, expand, pad, roll."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import as_type
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule

T = Tensor


@rule(
    *(T.view, T.reshape, torch.reshape, T.flatten, torch.flatten, T.unflatten, torch.unflatten),
    *(T.squeeze, torch.squeeze, T.unsqueeze, torch.unsqueeze, torch.ravel),
    *(T.ravel, T.unsqueeze_, T.squeeze_, torch.atleast_1d, torch.atleast_2d, torch.atleast_3d),
)
def reshape(tape: Tape, out: Tensor, x: Tensor, *given: Any, **named: Any) -> None:
    """Same numbers in the same order; the new shape is that of the result."""
    if len(given) != 1 or type(given[0]) is not int:
        tape.sizes(*given, *named.values())
    tape.expect(isinstance(out, Tensor) and out.dtype == x.dtype, "a view as another type")
    tape.expect(out.numel() > 0, "an empty tensor")
    tape.emit(out, "Reshape", [x, Ints(out.shape)])


@rule(T.view_as, T.reshape_as)
def reshape_as(tape: Tape, out: Tensor, x: Tensor, other: Tensor) -> None:
    """In the shape of another tensor."""
    reshape(tape, out, x)


def permuted(tape: Tape, value: Any, order: Sequence[int]) -> Operand:
    """Axes in another order."""
    if list(order) == sorted(order):
        return tape.operand(value)
    return tape.node("Transpose", [value], perm=[int(axis) for axis in order])


@rule(T.permute, torch.permute)
def permute(tape: Tape, out: Tensor, x: Tensor, *order: Any, dims: Any = None) -> None:
    """All axes in a new order."""
    given = dims if dims is not None else order[0] if isinstance(order[0], Sequence) else order
    tape.bind(out, permuted(tape, x, [axis % x.dim() for axis in given]))


@rule(
    *(T.transpose, torch.transpose, T.transpose_),
    *(T.swapaxes, torch.swapaxes, T.swapdims, torch.swapdims),
)
def transpose(tape: Tape, out: Tensor, x: Tensor, dim0: int, dim1: int) -> None:
    """Two axes change places."""
    order = list(range(x.dim()))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    tape.bind(out, permuted(tape, x, order))


@rule(T.mT.__get__, T.mH.__get__, T.adjoint, torch.adjoint, T.t, torch.t, T.t_)  # type: ignore[attr-defined]
def transpose_last(tape: Tape, out: Tensor, x: Tensor) -> None:
    """A matrix, or the last two axes of more."""
    order = list(range(x.dim()))
    order[-2:] = order[-2:][::-1]
    tape.bind(out, permuted(tape, x, order))


@rule(T.T.__get__, T.H.__get__)  # type: ignore[attr-defined]
def reverse_axes(tape: Tape, out: Tensor, x: Tensor) -> None:
    """All axes backwards."""
    tape.bind(out, permuted(tape, x, list(range(x.dim()))[::-1]))


@rule(T.movedim, torch.movedim, T.moveaxis, torch.moveaxis)
def movedim(tape: Tape, out: Tensor, x: Tensor, source: Any, destination: Any) -> None:
    """Some axes to new places, the others keep their order."""
    rank = x.dim()
    sources = [axis % rank for axis in ([source] if isinstance(source, int) else source)]
    places = [
        axis % rank for axis in ([destination] if isinstance(destination, int) else destination)
    ]
    order = [axis for axis in range(rank) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    tape.bind(out, permuted(tape, x, order))


@rule(torch.cat, torch.concat, torch.concatenate)
def cat(tape: Tape, out: Tensor, tensors: Any, dim: int = 0, axis: int | None = None) -> None:
    """Along one axis; torch ignores empty vectors."""
    used = [t for t in tensors if t.shape != (0,)]
    where = int(dim if axis is None else axis)
    tape.emit(out, "Concat", [as_type(tape, t, out.dtype) for t in used], axis=where)


def _joined(*functions: Any, axis_of: dict[int, int]) -> None:
    """Joins along the axis that the number of axes says."""

    def write(tape: Tape, out: Tensor, tensors: Any) -> None:
        ranks = {tensor.dim() for tensor in tensors}
        [rank] = ranks if len(ranks) == 1 else [0]
        tape.expect(rank in axis_of or rank > 3, "stacking of other shapes")
        cat(tape, out, tensors, axis_of.get(rank, axis_of[3]))

    rule(*functions)(write)


_joined(torch.hstack, axis_of={1: 0, 2: 1, 3: 1})
_joined(torch.vstack, torch.row_stack, axis_of={2: 0, 3: 0})
_joined(torch.column_stack, axis_of={2: 1, 3: 1})
_joined(torch.dstack, axis_of={3: 2})


@rule(torch.stack)
def stack(tape: Tape, out: Tensor, tensors: Any, dim: int = 0) -> None:
    """Along a new axis."""
    axis = dim % out.dim()
    parts = [tape.node("Unsqueeze", [as_type(tape, t, out.dtype), Ints((axis,))]) for t in tensors]
    tape.emit(out, "Concat", parts, axis=axis)


@rule(T.expand_as)
def expand_as(tape: Tape, out: Tensor, x: Tensor, other: Tensor) -> None:
    """In the shape of another tensor."""
    expand(tape, out, x)


@rule(T.expand, torch.broadcast_to, T.broadcast_to)
def expand(tape: Tape, out: Tensor, x: Tensor, *given: Any, **named: Any) -> None:
    """Repeat along axes of one; also where nothing changes: at another batch size it may."""
    tape.sizes(*given, *named.values())
    tape.emit(out, "Expand", [x, Ints(out.shape)])


@rule(torch.broadcast_tensors, torch._VF.broadcast_tensors)  # type: ignore[attr-defined]
def broadcast_tensors(tape: Tape, out: Any, *tensors: Any) -> None:
    """All in one shape."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    for part, tensor in zip(out, given, strict=True):
        tape.emit(part, "Expand", [tensor, Ints(part.shape)])


@rule(T.repeat, T.tile, torch.tile)
def repeat(tape: Tape, out: Tensor, x: Tensor, *counts: Any, **named: Any) -> None:
    """Whole copies along every axis."""
    tape.sizes(*counts, *named.values())
    given = counts or tuple(named.values())
    times = list(given[0]) if isinstance(given[0], Sequence) else list(given)
    value: Operand = tape.value(x)
    times = [1] * (out.dim() - len(times)) + [int(count) for count in times]
    if out.dim() > x.dim():
        value = tape.node("Reshape", [value, Ints([*[1] * (out.dim() - x.dim()), *x.shape])])
    tape.emit(out, "Tile", [value, Ints(times)])


def _sections(tape: Tape, out: Sequence[Tensor], x: Tensor, dim: int) -> None:
    if len(out) == 1:
        tape.bind(out[0], tape.value(x))
        return
    sizes = Ints(part.shape[dim] for part in out)
    tape.expect(all(size > 0 for size in sizes), "an empty tensor")
    names = tape.nodes_out("Split", [x, sizes], len(out), axis=int(dim))
    for part, name in zip(out, names, strict=True):
        tape.bind(part, name)


@rule(torch.chunk, T.chunk, torch.split, T.split, torch.tensor_split, T.tensor_split)
def split(tape: Tape, out: Sequence[Tensor], x: Tensor, *how: Any, **named: Any) -> None:
    """Pieces along one axis; their sizes are those of the results."""
    tape.sizes(*how, *named.values())
    dim = named.get("dim", how[1] if len(how) > 1 else 0)
    _sections(tape, out, x, int(dim))


@rule(torch.split_with_sizes, T.split_with_sizes)
def split_with_sizes(
    tape: Tape, out: Sequence[Tensor], x: Tensor, split_sizes: Any, dim: int = 0
) -> None:
    """Pieces of given sizes."""
    _sections(tape, out, x, dim)


def _cut_along(axis: int, *functions: Any) -> None:
    def write(tape: Tape, out: Sequence[Tensor], x: Tensor, *_: Any) -> None:
        _sections(tape, out, x, axis if x.dim() > 1 else 0)

    rule(*functions)(write)


_cut_along(0, torch.vsplit, T.vsplit)
_cut_along(1, torch.hsplit, T.hsplit)
_cut_along(2, torch.dsplit, T.dsplit)


@rule(T.unbind, torch.unbind, T.__iter__)
def unbind(tape: Tape, out: Any, x: Tensor, dim: int = 0) -> None:
    """Every position of one axis by itself."""
    tape.expect(isinstance(out, tuple | list), "an iterator over a tensor: use unbind")
    for index, part in enumerate(out):
        tape.emit(part, "Gather", [x, Literal(index, torch.int64)], axis=int(dim))


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@rule(F.pad)
def pad(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> None:
    """Torch counts from the last axis, ONNX all begins and then all ends."""
    begins, ends = [0] * x.dim(), [0] * x.dim()
    for index in range(len(pad) // 2):
        axis = x.dim() - 1 - index
        begins[axis], ends[axis] = int(pad[2 * index]), int(pad[2 * index + 1])
    operands: list[Any] = [x, Ints(begins + ends)]
    if mode == "constant":
        operands.append(Literal(value or 0, x.dtype))
    tape.expect(mode in _PAD_MODES, f"pad with mode {mode}")
    tape.emit(out, "Pad", operands, mode=_PAD_MODES[mode])


@rule(T.flip, torch.flip)
def flip(tape: Tape, out: Tensor, x: Tensor, *dims: Any, **named: Any) -> None:
    """Backwards along some axes."""
    given = dims or tuple(named.values())
    axes = list(given[0]) if isinstance(given[0], Sequence) else list(given)
    count = len(axes)
    lowest = torch.iinfo(torch.int64).min
    backwards = [Ints([-1] * count), Ints([lowest] * count), Ints(axes), Ints([-1] * count)]
    tape.emit(out, "Slice", [x, *backwards])


@rule(torch.fliplr, T.fliplr)
def fliplr(tape: Tape, out: Tensor, x: Tensor) -> None:
    """The second axis backwards."""
    flip(tape, out, x, 1)


@rule(torch.flipud, T.flipud)
def flipud(tape: Tape, out: Tensor, x: Tensor) -> None:
    """The first axis backwards."""
    flip(tape, out, x, 0)


@rule(torch.rot90, T.rot90)
def rot90(tape: Tape, out: Tensor, x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> None:
    """Two axes change places, one of them backwards."""
    first, second = (axis % x.dim() for axis in dims)
    turns = int(k) % 4
    if turns in (0, 2):
        flip(tape, out, x, [first, second]) if turns else tape.bind(out, tape.value(x))
        return
    order = list(range(x.dim()))
    order[first], order[second] = second, first
    # torch turns from the first axis towards the second: the second one backwards, then transposed
    lowest = torch.iinfo(torch.int64).min
    axis = second if turns == 1 else first
    numbers = [Ints((-1,)), Ints((lowest,)), Ints((axis,)), Ints((-1,))]
    tape.emit(out, "Transpose", [tape.node("Slice", [x, *numbers])], perm=order)


@rule(T.roll, torch.roll)
def roll(tape: Tape, out: Tensor, x: Tensor, shifts: Any, dims: Any = None) -> None:
    """Cut along each axis and put the end first."""
    tape.expect(dims is not None, "roll without dims")
    steps = [shifts] if isinstance(shifts, int) else list(shifts)
    axes = [dims] if isinstance(dims, int) else list(dims)
    value: Operand = tape.value(x)
    for step, axis in zip(steps, axes, strict=True):
        size = x.shape[axis]
        first = size - step % size if size else 0
        if first in (0, size):
            continue
        parts = tape.nodes_out("Split", [value, Ints((first, size - first))], 2, axis=int(axis))
        value = tape.node("Concat", parts[::-1], axis=int(axis))
    tape.bind(out, value)
