"""The graph between the ONNX file and the text: nodes that point at nodes, weights and constants.

Nodes carry no names. A dimension is `scale * batch + offset`, so that the batch size stays open.
Passes (`simplify`, `fuse`) rewrite nodes in place; `order` puts them in their canonical order.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

Attribute = int | float | str | bool | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


class Dim(NamedTuple):
    """One dimension, `scale * batch + offset`."""

    scale: int
    offset: int

    def at(self, batch: int) -> int:
        """The dimension at a batch size."""
        return self.scale * batch + self.offset


Shape = tuple[Dim, ...]
BATCH = Dim(1, 0)
COMMUTATIVE = {"Add", "Mul", "Max", "Min", "Sum", "Mean", "And", "Or", "Xor", "Equal"}
"""Operators whose operands come in no order."""


@dataclass(eq=False, slots=True)
class Node:
    """One operator; the graph input is the node with the operator `Input`."""

    op: str
    attributes: dict[str, Attribute]
    inputs: list["Operand"] = field(repr=False)
    shapes: tuple[Shape, ...]
    """One per output; empty for an output that the file does not name."""
    types: tuple[int, ...] = (1,)
    """ONNX element type per output."""
    raw: Mapping[str, object] | None = None
    """The attributes as the file holds them, until `simplify` has read them."""
    label: str = ""
    """What it is by itself, once `order` has written that down."""

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.shapes[0]


class Ref(NamedTuple):
    """An output of a node."""

    node: Node
    output: int = 0

    @property
    def shape(self) -> Shape:
        """Shape of that output."""
        return self.node.shapes[self.output]


class Recipe(NamedTuple):
    """How a weight or a constant was computed from others."""

    op: str
    attributes: Mapping[str, object]
    inputs: list["Operand"]
    output: int

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of the computation, free of names."""
        attributes = self.attributes
        parts = [self.op, str(self.output), *(f"{k}={attributes[k]!r}" for k in sorted(attributes))]
        operands = [form_of(operand) for operand in self.inputs]
        if self.op in COMMUTATIVE:
            operands.sort()
        return digest(";".join(parts + operands))


@dataclass(frozen=True, eq=False)
class Weight:
    """What becomes of trained tensors before data meets them."""

    sources: tuple[str, ...]
    shape: tuple[int, ...]
    is_whole: bool = True
    """Whether every element is used just once, only laid out anew."""
    is_layout: bool = True
    """Whether elements are only moved, left out or repeated."""
    recipe: Recipe | None = None
    told: str = ""
    """The digest of the computation, where a text is all that is known."""

    @cached_property
    def made_by(self) -> str:
        """Digest of the computation so far, layout included."""
        return self.recipe.digest if self.recipe is not None else self.told

    @property
    def is_symmetric(self) -> bool:
        """Whether its sources come in no order: equal operands of a commutative operator."""
        recipe = self.recipe
        if recipe is None or recipe.op not in COMMUTATIVE or len(self.sources) < 2:
            return False
        return len({form_of(o) for o in recipe.inputs if isinstance(o, Weight)}) == 1

    @property
    def part(self) -> str:
        """Empty if it is whole; else a digest of the computation."""
        return "" if self.is_whole else self.made_by

    @cached_property
    def key(self) -> tuple[tuple[str, ...], str]:
        """Two operands with one key hold the same numbers, in whatever layout."""
        names = tuple(sorted(self.sources)) if self.is_symmetric else self.sources
        return names, self.part


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that the file fixes, at two batch sizes; without data where it is too large."""

    data: tuple[np.ndarray, np.ndarray] | None
    shape: Shape
    recipe: Recipe | None = None
    told: str = ""
    """Its word, where a text is all that is known."""

    @property
    def is_static(self) -> bool:
        """Whether it is the same at every batch size."""
        return self.data is not None and self.data[0] is self.data[1]

    @cached_property
    def scalar(self) -> float | None:
        """The one value of a constant with one element, or of a uniform one."""
        if self.data is None or self.data[0].size == 0 or self.data[0].dtype.kind not in "fiub":
            return None
        if self.is_static and self.data[0].size == 1:
            return float(self.data[0].item())
        first, second = (array.reshape(-1) for array in self.data)
        if not ((first == first[0]).all() and (second == first[0]).all()):
            return None
        return float(first[0])

    @property
    def has_one_element(self) -> bool:
        """Whether it broadcasts like a number."""
        if self.data is None:
            return bool(self.told) and not self.shape
        return self.data[0].size == 1 == self.data[1].size

    @cached_property
    def word(self) -> str:
        """What stands for its content: a number to six digits, or the digest."""
        return self.told or (self.digest if self.scalar is None else f"{self.scalar:.6g}")

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits of its content."""
        if self.data is None:
            return self.recipe.digest if self.recipe is not None else ""
        first, second = self.data
        content = f"{first.dtype.kind}{first.shape}".encode() + first.tobytes()
        return digest(content if self.is_static else content + second.tobytes())


Operand = Ref | Weight | Constant | None


def form_of(operand: Operand) -> str:
    """What an operand of a recipe is, free of names."""
    if isinstance(operand, Weight):
        return f"W{operand.shape}{operand.made_by}"
    return f"C{operand.digest}" if isinstance(operand, Constant) else "-"


def digest(content: bytes | str) -> str:
    """Eight hexadecimal digits that name a content."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:8]


def refs(node: Node) -> Iterator[Ref]:
    """The data operands of a node, in order."""
    return (operand for operand in node.inputs if isinstance(operand, Ref))


def live_in(nodes: list[Node], outputs: list[Ref]) -> list[Node]:
    """Those nodes that the outputs need, in the same order."""
    needed = {output.node for output in outputs}
    live = []
    for node in reversed(nodes):
        if node in needed:
            live.append(node)
            needed.update([o.node for o in node.inputs if type(o) is Ref])
    live.reverse()
    return live
