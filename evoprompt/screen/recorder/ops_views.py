"""Rules for writing through a view: how a part that was changed in place comes back to its base.

`part = x[:, 0]; part.add_(1)` changes x. Views that are not listed here, and other views of the
same base, are stale after such a write and refused where they are used (`tape.py`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_shape import permute, transpose, transpose_last
from evoprompt.screen.recorder.ops_write import write_places
from evoprompt.screen.recorder.tape import Function, Ints, Tape
from evoprompt.screen.recorder.views import VIEWS, View

T = Tensor


def _view(*functions: Function) -> Any:
    def register(put_back: Any) -> Any:
        for function in functions:
            VIEWS[function] = put_back
        return put_back

    return register


@_view(T.__getitem__)
def _getitem(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    write_places(tape, base, view.args[1], part)


@_view(
    *(T.view, T.reshape, torch.reshape, T.flatten, torch.flatten, T.unflatten, torch.unflatten),
    *(T.squeeze, torch.squeeze, T.unsqueeze, torch.unsqueeze, T.view_as, T.reshape_as),
)
def _reshape(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    tape.emit(base, "Reshape", [part, Ints(base.shape)])


@_view(T.detach, torch.detach)
def _alias(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    tape.bind(base, tape.value(part))


@_view(T.transpose, torch.transpose, T.swapaxes, torch.swapaxes)
def _transpose(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    transpose(tape, base, part, *view.args[1:], **view.named)


@_view(T.mT.__get__, T.t, torch.t)  # type: ignore[attr-defined]
def _transpose_last(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    transpose_last(tape, base, part)


@_view(T.permute, torch.permute)
def _permute(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    given = view.named.get("dims", view.args[1:])
    order = given[0] if len(given) == 1 and isinstance(given[0], Sequence) else given
    back = [0] * base.dim()
    for place, axis in enumerate(order):
        back[axis] = place
    permute(tape, base, part, back)


@_view(torch.chunk, T.chunk, torch.split, T.split)
def _section(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    axis = int(view.named.get("dim", view.args[2] if len(view.args) > 2 else 0)) % base.dim()
    start = _start(tape, base, part, axis)
    index = [slice(None)] * axis + [slice(start, start + part.shape[axis])]
    write_places(tape, base, tuple(index), part)


@_view(torch.unbind, T.unbind)
def _unbind(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    axis = int(view.named.get("dim", view.args[1] if len(view.args) > 1 else 0)) % base.dim()
    write_places(tape, base, (*[slice(None)] * axis, _start(tape, base, part, axis)), part)


def _start(tape: Tape, base: Tensor, part: Tensor, axis: int) -> int:
    """Where along an axis a part begins."""
    tape.expect(base.stride(axis) > 0, "an in-place write through a view")
    return (part.storage_offset() - base.storage_offset()) // base.stride(axis)


@_view(torch.select, T.select)
def _select(tape: Tape, base: Tensor, part: Tensor, view: View) -> None:
    numbers = dict(zip(("dim", "index"), view.args[1:], strict=False)) | view.named
    axis = int(numbers["dim"]) % base.dim()
    write_places(tape, base, (*[slice(None)] * axis, int(numbers["index"])), part)
