"""Writing through a view: what a tensor is a view of, and its bases' new values after a write.

The tape remembers how a view was made; after an in-place call on it every base whose value was
known gets a new one, by the function that is registered in `VIEWS` (`ops_views.py`). Not promised:
other views of the same base; they are stale then, and refused where they are used.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from evoprompt.screen.recorder.tape import Tape

VIEWS: dict[Callable[..., Any], Callable[..., None]] = {}
"""Calls that may give a view: put_back(tape, base, part, view) after a write into the part."""


class View(NamedTuple):
    """How a tensor came to be a view: put back by whom, made of what."""

    tape: "Tape"
    put_back: Callable[..., None]
    args: tuple[Any, ...]
    named: dict[str, Any]


def view_of(tape: "Tape", tensor: Any) -> View | None:
    """How a tensor was made, if perhaps as a view."""
    view = tensor.__dict__.get("_view_of") if isinstance(tensor, Tensor) else None
    return view if view is not None and view.tape is tape else None


def remember(tape: "Tape", func: Any, result: Any, args: Any, named: dict[str, Any]) -> None:
    """Note how the parts of a result were made."""
    view = View(tape, VIEWS[func], args, named)
    for part in (result,) if isinstance(result, Tensor) else result:
        if part is not args[0]:
            part._view_of = view  # type: ignore[attr-defined]


def shares_memory(one: Tensor, other: Tensor) -> bool:
    """Whether a write into one may change the other."""
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


Bases = list[tuple[Tensor, View, Any]]


def bases_of(tape: "Tape", target: Any) -> Bases:
    """What a tensor is a view of, from near to far, as long as the values are known."""
    found: Bases = []
    view = view_of(tape, target)
    while view is not None:
        base = view.args[0]
        if not shares_memory(base, target) or not tape.is_current(base):
            break
        found.append((target, view, (target.shape, target.stride())))
        target, view = base, view_of(tape, base)
    return found


def put_back(tape: "Tape", bases: Bases) -> None:
    """Give the bases of a part that was written into their new values."""
    for part, view, layout in bases:
        if (part.shape, part.stride()) != layout:  # unsqueeze_ and the like: no write
            del part._view_of  # type: ignore[attr-defined]
            return
        view.put_back(tape, view.args[0], part, view)
