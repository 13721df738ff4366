"""The graph between the ONNX file and the text: nodes that point at nodes, weights and constants.

Nodes carry no names. A dimension is `scale * batch + offset`, so that the batch size stays open.
Passes (`simplify`, `fuse`) rewrite nodes in place; `order` puts them in their canonical order.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(eq=False)
class Node:
    """One operator; the graph input is the node with the operator `Input`."""

    op: str
    attributes: dict[str, Attribute]
    inputs: list["Operand"]
    shapes: tuple[Shape, ...]
    """One per output; empty for an output that the file does not name."""
    types: tuple[int, ...] = (1,)
    """ONNX element type per output."""
    raw: dict[str, object] | None = None
    """The attributes as the file holds them, until `simplify` has read them."""

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.shapes[0]


@dataclass(frozen=True)
class Ref:
    """An output of a node."""

    node: Node
    output: int = 0

    @property
    def shape(self) -> Shape:
        """Shape of that output."""
        return self.node.shapes[self.output]


@dataclass(frozen=True)
class Weight:
    """What becomes of trained tensors before data meets them."""

    sources: tuple[str, ...]
    shape: tuple[int, ...]
    part: str = ""
    """Empty if all elements are used, only laid out anew; else a digest of the computation."""
    made_by: str = ""
    """Digest of the computation so far, layout included."""
    is_layout: bool = True

    @property
    def key(self) -> tuple[tuple[str, ...], str]:
        """Two operands with one key hold the same numbers."""
        return self.sources, self.part


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that the file fixes, at two batch sizes; without data where it is too large."""

    data: tuple[np.ndarray, np.ndarray] | None
    shape: Shape
    made_by: str = ""

    @property
    def is_static(self) -> bool:
        """Whether it is the same at every batch size."""
        return self.data is not None and self.data[0] is self.data[1]

    @property
    def scalar(self) -> float | None:
        """The one value of a constant with one element, or of a uniform one."""
        if self.data is None or self.data[0].size == 0 or self.data[0].dtype.kind not in "fiub":
            return None
        first, second = (array.reshape(-1) for array in self.data)
        if not ((first == first[0]).all() and (second == first[0]).all()):
            return None
        return float(first[0])

    @property
    def has_one_element(self) -> bool:
        """Whether it broadcasts like a number."""
        return self.data is not None and self.data[0].size == 1 == self.data[1].size

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of its content."""
        if self.data is None:
            return self.made_by
        content = f"{self.data[0].dtype.kind}{self.data[0].shape}".encode()
        return digest(content + np.ascontiguousarray(self.data[0]).tobytes())


Operand = Ref | Weight | Constant | None


def digest(content: bytes | str) -> str:
    """Eight hexadecimal digits that name a content."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:8]


def refs(node: Node) -> Iterator[Ref]:
    """The data operands of a node, in order."""
    return (operand for operand in node.inputs if isinstance(operand, Ref))


def live_nodes(outputs: list[Ref]) -> list[Node]:
    """The nodes that the outputs need, producers first."""
    done: dict[Node, None] = {}
    entered: set[Node] = set()
    stack = [output.node for output in reversed(outputs)]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        missing = [] if node in entered else [r.node for r in refs(node) if r.node not in done]
        entered.add(node)
        if missing:
            stack.extend(reversed(missing))
        else:
            done[stack.pop()] = None
    return list(done)
