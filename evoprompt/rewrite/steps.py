"""What a program's text is made of: lines, wrappers with chains inside, parts; frozen records."""

from dataclasses import dataclass

from surrogate.ir import Node, Ref, Shape


@dataclass(frozen=True, eq=False)
class Part:
    """A stretch that becomes a class of its own."""

    entry: Ref
    exit: Ref
    nodes: tuple[Node, ...]

    @property
    def shape(self) -> Shape:
        """Behind it."""
        return self.exit.shape


@dataclass(frozen=True, eq=False)
class Line:
    """A layer of one line."""

    text: str
    shape: Shape
    """Behind it."""
    part: Part | None = None
    """The same as a part, if the line is one operator."""


@dataclass(frozen=True, eq=False)
class Wrap:
    """A wrapper of the grammar's library, with one chain or with branches inside."""

    kind: str
    branches: "tuple[Chain, ...]"
    shape: Shape


Step = Line | Wrap | Part
Chain = tuple[Step, ...]
