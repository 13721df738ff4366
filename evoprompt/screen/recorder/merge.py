"""Two recordings of one network, at two batch sizes -> one whose sizes are functions of the batch.

Both must consist of the same nodes. A number that differs between them grows with the batch:
`scale * batch + offset`. Everything else that differs is a `BatchDependentError` network.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from evoprompt.screen.recorder.tape import Held, Ints, Literal, Node, Operand, UnsupportedError


class BatchDependentError(Exception):
    """The network does other things at another batch size; the message says what."""


class Size(NamedTuple):
    """One number that may grow with the batch: `scale * batch + offset`."""

    scale: int
    offset: int


Sizes = tuple[Size, ...]


@dataclass(frozen=True)
class Fill:
    """A constant of one value whose shape grows with the batch."""

    tensor: Tensor
    """One element."""
    sizes: Sizes


@dataclass(frozen=True)
class Rows:
    """A constant that repeats along axes that grow with the batch."""

    tensor: Tensor
    times: Sizes
    """How often, along each axis."""


@dataclass(frozen=True)
class Count:
    """The numbers 0, 1, 2, ... along one axis that grows with the batch; the others are one."""

    sizes: Sizes


Merged = str | Sizes | Literal | Held | Fill | Rows | Count


class Merger:
    """Merges what was recorded at the batch sizes `first` and `second`."""

    def __init__(self, first: int, second: int) -> None:
        self.first = first
        self.second = second
        self._held: dict[int, Held | Fill | Rows | Count] = {}

    def nodes(self, ours: list[Node], theirs: list[Node]) -> list[Node]:
        """Return the nodes with merged operands."""
        for one, other in zip(ours, theirs, strict=False):
            if one.op != other.op or one.attributes != other.attributes:
                raise BatchDependentError(self._differs(f"{one.op} becomes {other.op}"))
            if len(one.inputs) != len(other.inputs) or one.outputs != other.outputs:
                raise BatchDependentError(self._differs(f"{one.op} has other operands"))
            pairs = zip(one.inputs, other.inputs, strict=True)
            one.inputs = [a if a == b else self.operand(a, b, one.op) for a, b in pairs]  # type: ignore[misc]
        if len(ours) != len(theirs):
            raise BatchDependentError(self._differs("the number of operations changes"))
        return ours

    def operand(self, ours: Operand, theirs: Operand, where: str) -> Merged:
        """Return one operand for both batch sizes."""
        if type(ours) is not type(theirs):
            raise BatchDependentError(self._differs(f"{where} has other operands"))
        if isinstance(ours, Ints) and isinstance(theirs, Ints):
            return self.sizes(ours, theirs, where)
        if isinstance(ours, Held) and isinstance(theirs, Held):
            merged = self._held.get(id(ours))
            if merged is None:
                merged = self._held[id(ours)] = self._constant(ours.tensor, theirs.tensor, where)
            return merged
        if isinstance(ours, Literal) and _is_same_number(ours, theirs):
            return ours
        raise BatchDependentError(self._differs(f"{where} has other operands"))

    def sizes(self, ours: tuple[int, ...], theirs: tuple[int, ...], where: str) -> Sizes:
        """Return numbers as functions of the batch size."""
        if len(ours) != len(theirs):
            raise BatchDependentError(
                self._differs(f"{where} has {len(ours)} and {len(theirs)} axes")
            )
        return tuple(self._size(a, b, where) for a, b in zip(ours, theirs, strict=True))

    def _size(self, ours: int, theirs: int, where: str) -> Size:
        if ours == theirs:
            return Size(0, ours)
        scale, rest = divmod(ours - theirs, self.first - self.second)
        if rest or scale < 0:
            raise BatchDependentError(self._differs(f"{where} has the size {ours} and {theirs}"))
        return Size(scale, ours - scale * self.first)

    def _constant(self, ours: Tensor, theirs: Tensor, where: str) -> Held | Fill | Rows | Count:
        if ours.dtype == theirs.dtype and ours.shape == theirs.shape:
            if _is_equal(ours, theirs):
                return Held(ours)
            raise UnsupportedError(f"random numbers in forward (other ones for {where} each time)")
        sizes = self.sizes(tuple(ours.shape), tuple(theirs.shape), where)
        if not theirs.numel():
            raise UnsupportedError("an empty tensor")
        pair = (ours, theirs)
        element = theirs.reshape(-1)[:1]
        if bool((ours == element).all()) and bool((theirs == element).all()):
            return Fill(element, sizes)
        if not any(size.scale and size.offset for size in sizes):
            times = [a // b for a, b in zip(ours.shape, theirs.shape, strict=True)]
            if _is_equal(ours, theirs.repeat(times)):
                return Rows(theirs, tuple(Size(1, 0) if s.scale else Size(0, 1) for s in sizes))
        is_row = sum(size != (0, 1) for size in sizes) == 1 and ours.dtype == torch.int64
        if is_row and all(bool((t.flatten() == torch.arange(t.numel())).all()) for t in pair):
            return Count(sizes)
        raise BatchDependentError(f"{where} uses a tensor whose numbers depend on the batch size")

    def _differs(self, what: str) -> str:
        return f"at batch sizes {self.first} and {self.second}: {what}"


def _is_equal(ours: Tensor, theirs: Tensor) -> bool:
    if torch.equal(ours, theirs):
        return True
    if not ours.is_floating_point() or not torch.equal(ours.isnan(), theirs.isnan()):
        return False
    return torch.equal(ours.nan_to_num(), theirs.nan_to_num())


def _is_same_number(ours: Literal, theirs: Operand) -> bool:
    """Whether two literals are one number; NaN is equal to itself here."""
    if not isinstance(theirs, Literal) or ours.dtype != theirs.dtype:
        return False
    return ours.value == theirs.value or (ours.value != ours.value and theirs.value != theirs.value)
