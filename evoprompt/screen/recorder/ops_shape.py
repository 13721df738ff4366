"""Rules for what moves numbers about: reshape, transpose, concatenate, split, expand, pad, roll."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule

T = Tensor


@rule(
    *(T.view, T.reshape, torch.reshape, T.flatten, torch.flatten, T.unflatten, torch.unflatten),
    *(T.squeeze, torch.squeeze, T.unsqueeze, torch.unsqueeze, T.view_as, T.reshape_as, torch.ravel),
    *(T.ravel, T.unsqueeze_, T.squeeze_, torch.atleast_1d, torch.atleast_2d, torch.atleast_3d),
)
def reshape(tape: Tape, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    """Same numbers in the same order; the new shape is that of the result."""
    tape.expect(isinstance(out, Tensor) and out.dtype == x.dtype, "a view as another type")
    tape.expect(out.numel() > 0, "an empty tensor")
    tape.emit(out, "Reshape", [x, Ints(out.shape)])


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


@rule(T.transpose, torch.transpose, T.swapaxes, torch.swapaxes, T.swapdims, torch.swapdims)
def transpose(tape: Tape, out: Tensor, x: Tensor, dim0: int, dim1: int) -> None:
    """Two axes change places."""
    order = list(range(x.dim()))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    tape.bind(out, permuted(tape, x, order))


@rule(T.t, torch.t, T.T.__get__, T.mT.__get__, T.adjoint, torch.adjoint)  # type: ignore[attr-defined]
def transpose_last(tape: Tape, out: Tensor, x: Tensor) -> None:
    """A matrix, or the last two axes of more."""
    order = list(range(x.dim()))
    order[-2:] = order[-2:][::-1]
    tape.expect([x.shape[axis] for axis in order] == list(out.shape), "T of more than two axes")
    tape.bind(out, permuted(tape, x, order))


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
    from evoprompt.screen.recorder.ops_elementwise import as_type

    used = [t for t in tensors if t.shape != (0,)]
    where = int(dim if axis is None else axis)
    tape.emit(out, "Concat", [as_type(tape, t, out.dtype) for t in used], axis=where)


@rule(torch.stack)
def stack(tape: Tape, out: Tensor, tensors: Any, dim: int = 0) -> None:
    """Along a new axis."""
    from evoprompt.screen.recorder.ops_elementwise import as_type

    axis = dim % out.dim()
    parts = [tape.node("Unsqueeze", [as_type(tape, t, out.dtype), Ints((axis,))]) for t in tensors]
    tape.emit(out, "Concat", parts, axis=axis)


@rule(T.expand, T.expand_as, torch.broadcast_to, T.broadcast_to)
def expand(tape: Tape, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    """Repeat along axes of one; also where nothing changes: at another batch size it may."""
    tape.emit(out, "Expand", [x, Ints(out.shape)])


@rule(T.repeat, T.tile, torch.tile)
def repeat(tape: Tape, out: Tensor, x: Tensor, *counts: Any, **named: Any) -> None:
    """Whole copies along every axis."""
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
    dim = named.get("dim", how[1] if len(how) > 1 else 0)
    _sections(tape, out, x, int(dim))


@rule(torch.split_with_sizes, T.split_with_sizes)
def split_with_sizes(
    tape: Tape, out: Sequence[Tensor], x: Tensor, split_sizes: Any, dim: int = 0
) -> None:
    """Pieces of given sizes."""
    _sections(tape, out, x, dim)


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


@rule(torch.fliplr, torch.flipud)
def flip_refused(tape: Tape, out: Tensor, x: Tensor) -> None:
    """Rare; `flip` says which axis is meant."""
    tape.refuse("fliplr and flipud: use flip")


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
