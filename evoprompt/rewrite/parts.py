"""A stretch of the graph as the lines of one class: layers in `__init__`, then a `forward`.

In: the nodes between two values. Out: the lines of the class below its first one. Weights that are
read twice are one layer that is called twice. Values are called a, b, c ... where they have more
than one reader or a line would become too long.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from evoprompt.rewrite import layers, views
from evoprompt.rewrite.calls import number
from evoprompt.rewrite.expressions import ATOM, Expression, constant_literal, expression, sizes
from evoprompt.rewrite.members import Members
from evoprompt.rewrite.reading import GATED, NoRuleError, Reading, data, is_growth
from evoprompt.rewrite.sequences import (
    complex_call,
    gated_layer,
    is_part,
    output_call,
    states,
)
from evoprompt.rewrite.tables import table_text
from evoprompt.rewrite.weights import weight_expression
from surrogate.ir import BATCH, Constant, Node, Operand, Ref, Shape, Weight

LINE = 72  # characters of an expression; its name and the indentation stand before it
_NAMES = "abcdefghijkmnopqrstuvwyz"
_INDENT = " " * 8
_BEGINNING = re.compile(r"(\[(?:[:.]+, )*:)(\d+)\]$")
_STATELESS_LAYERS = frozenset({"LayerNorm", "GroupNorm", "BatchNorm", "InstanceNorm"})


@dataclass(frozen=True)
class Class:
    """A class, but for its name."""

    lines: tuple[str, ...]
    size_of: str = ""
    """Channels, Features or Sizes if it is built for the size of its input's second axis, its last
    one, or both.
    """


def class_of(reading: Reading, entry: Ref, exit: Ref, nodes: list[Node]) -> Class:
    """The class that turns one value into the other."""
    found = Class(_Part(reading, entry, exit, nodes, {}).lines())
    most = 0
    for name, known in _sizes_of(entry.shape):
        part = _Part(reading, entry, exit, nodes, known)
        lines = part.lines()
        if part.members.open_count > most:
            most, found = part.members.open_count, Class(lines, name)
    return found


def _sizes_of(shape: Shape) -> list[tuple[str, dict[str, int]]]:
    """Who may build a class for such an input, and what it is given."""
    known = [0 if dim.scale else dim.offset for dim in shape]
    if len(shape) < 2:
        return []
    first, last = known[1], known[-1]
    out = [("Channels", {"c": first}), ("Features", {"c": last})]
    if len(shape) == 3:
        out += [("Sizes", {"c": first, "n": last}), ("Sizes", {"n": first, "c": last})]
    if len(shape) == 4:
        out.append(("Sizes", {"c": first, "n": known[2] * known[3]}))
    return out


class _Part:
    """One class while it is written."""

    def __init__(
        self,
        reading: Reading,
        entry: Ref,
        exit: Ref,
        nodes: list[Node],
        known: dict[str, int],
    ) -> None:
        self.reading, self.entry, self.exit, self.nodes = reading, entry, exit, nodes
        self.values: dict[Ref, Expression] = {entry: Expression("x")}
        """Names, and expressions that are read once and stand in no line yet."""
        is_row = len(exit.shape) < 3  # perhaps of the classes
        self.members = Members(known, reading.output.shape[-1].offset if is_row else 0)
        self.steps: list[str] = []
        self.letters = _letters()
        self.chunks = _chunks(nodes)
        self.reads = self._reads()
        self.sizes = {
            dim.offset: f"x.shape[{axis}]"
            for axis, dim in reversed(list(enumerate(entry.shape)))
            if not dim.scale
        }
        """The sizes of the part's own input."""

    def lines(self) -> tuple[str, ...]:
        """Write everything down."""
        for node in self.nodes:
            self._node(node)
        given = ", ".join(("self", *(self.members.sizes if self.members.open_count else ())))
        built = [f"    def __init__({given}):", f"{_INDENT}super().__init__()"]
        built += [_INDENT + line for line in self.members.lines]
        body = [*self.steps, f"return {self._value(self.exit).text}"]
        body = [_INDENT + line for line in body]
        return (*(built if self.members.lines else []), "    def forward(self, x):", *body)

    def _reads(self) -> dict[Ref, int]:
        reads: dict[Ref, int] = {self.exit: 1}
        for node in self.nodes:
            if self.chunks.get(node, [node])[0] is node:
                for ref in data(node):
                    reads[ref] = reads.get(ref, 0) + 1
        return reads

    # --- values ----------------------------------------------------------------------------------

    def _value(self, ref: Ref) -> Expression:
        if ref not in self.values:
            raise NoRuleError(f"an output of {ref.node.op} that has no name in PyTorch")
        return self.values[ref]

    def _assign(self, ref: Ref, made: Expression) -> None:
        name = next(self.letters)
        self.steps.append(f"{name} = {made.text}")
        self.values[ref] = Expression(name)

    def _named(self, ref: Ref) -> str:
        """The name of a value, which is given one if it has none."""
        if not self._value(ref).text.isidentifier():
            self._assign(ref, self._value(ref))
        return self._value(ref).text

    def _node(self, node: Node) -> None:
        if node.op in GATED:
            self._gated(node)
        elif node in self.chunks:
            self._chunk(self.chunks[node])
        elif not (node.op == "Transpose" and node in self.reading.glued):
            ref, made = Ref(node), self._within_line(node)
            if made.text.isidentifier() or self.reads.get(ref, 0) == 1:
                self.values[ref] = made
            else:
                self._assign(ref, made)

    def _within_line(self, node: Node) -> Expression:
        """The expression of a node; operands get names until it is short enough."""
        made = self._made(node)
        while len(made.text) > LINE:
            longest = max(data(node), key=lambda ref: len(self._value(ref).text), default=None)
            if longest is None or len(self._value(longest).text) < 12:
                break
            self._assign(longest, self._value(longest))
            made = self._made(node)
        return made

    def _made(self, node: Node) -> Expression:
        """The expression of a node: a layer that is called, or an operator."""
        if is_growth(node):
            return self._growth(node)
        if node.op == "Tile":
            return self._tile(node)
        if node in self.reading.glued or is_part(node):
            return complex_call(node, self._value(data(node)[0]))
        if node.op == "View":
            return self._view(node)
        if node.op == "Expand" and node.shape == self.entry.shape:
            return Expression(f"{self._value(data(node)[0]).at_least(ATOM)}.expand_as(x)")
        self._name_likes(node)
        has_weights = any(isinstance(operand, Weight) for operand in node.inputs)
        texts = layers.lines(node) if has_weights or node.op in _STATELESS_LAYERS else None
        if texts:
            return self._called(node, texts)
        try:
            made = expression(node, [self._operand(node, operand) for operand in node.inputs])
            return self._following(made) if node.op == "Slice" else made
        except NoRuleError:
            texts = layers.lines(node)
            if not texts:
                raise
            return self._called(node, texts)

    def _following(self, made: Expression) -> Expression:
        """A beginning that is as long as an axis of the part's input, told by that axis."""
        match = _BEGINNING.search(made.text)
        size = self.sizes.get(int(match[2])) if match else None
        if match is None or size is None:
            return made
        return Expression(f"{made.text[: match.start()]}{match[1]}{size}]")

    def _called(self, node: Node, texts: list[str]) -> Expression:
        name = self.members.module(node, texts)
        return Expression(f"{name}({self._value(data(node)[0]).text})")

    def _operand(self, node: Node, operand: Operand) -> Expression:
        if isinstance(operand, Ref):
            return self._resized(node, operand)
        if isinstance(operand, Weight):
            like = self._like(node, operand)
            made = weight_expression(
                operand,
                lambda source, shape: self.members.parameter(source, shape, node.op, bool(like)),
            )
            return Expression(f"match({made.text}, {like})") if like else self._following(made)
        text = constant_literal(operand)
        if text is not None:
            return Expression(text)
        if isinstance(operand, Constant):
            return self._constant(operand)
        raise NoRuleError(f"an operand of {node.op} that is left out")

    def _name_likes(self, node: Node) -> None:
        """Give names to the values that others are made as large as: they are read twice."""
        for operand in node.inputs:
            if isinstance(operand, Weight):
                self._like(node, operand)
            elif isinstance(operand, Ref):
                self._resized(node, operand)

    def _like(self, node: Node, weight: Weight) -> str:
        """The value that a weight is added to and is as large as, for `match`."""
        others = data(node)
        if node.op not in ("Add", "Sub", "Mul") or len(others) != 1 or len(weight.shape) < 3:
            return ""
        is_alike = tuple(dim.offset for dim in others[0].shape[1:]) == weight.shape[1:]
        return self._named(others[0]) if is_alike and weight.shape[0] == 1 else ""

    def _resized(self, node: Node, operand: Ref) -> Expression:
        """A value; what is grown of a weight and stands beside tokens is made as wide as they."""
        made = self._value(operand)
        others = [ref for ref in data(node) if ref.node not in self.reading.grown]
        is_beside = node.op == "Concat" and node.attributes["a"] == 1 and len(node.shape) > 2
        if is_beside and others and operand.node in self.reading.grown:
            return Expression(f"resize({made.text}, {self._named(others[0])})")
        return made

    def _constant(self, constant: Constant) -> Expression:
        if constant.scalar is not None:
            if any(dim.scale for dim in constant.shape):
                size = sizes(constant.shape, self._batch())
                return Expression(f"x.new_full(({size}), {constant.scalar:g})")
            size = ", ".join(str(dim.offset) for dim in constant.shape)
            text = f"torch.full(({size},), {number(constant.scalar)})"
            return Expression(self.members.table(text))
        known = constant.data is not None and constant.is_static
        text = table_text(constant.data[0]) if known and constant.data else None
        if text is None:
            raise NoRuleError("a constant of many numbers")
        return Expression(self.members.table(text))

    def _batch(self) -> str:
        axis = next((i for i, dim in enumerate(self.entry.shape) if dim == BATCH), None)
        if axis is None:
            raise NoRuleError("the batch size behind a shape that hides it")
        return f"x.shape[{axis}]"

    def _growth(self, node: Node) -> Expression:
        """A weight or a constant for every example."""
        content = node.inputs[1]
        if any(dim.scale and dim != BATCH for dim in node.shape):
            raise NoRuleError("a weight for more than every example")
        if isinstance(content, Constant):
            if content.scalar is None:
                raise NoRuleError("a constant of many numbers for each example")
            size = sizes(node.shape, self._batch())
            return Expression(f"x.new_full(({size},), {number(content.scalar)})")
        assert isinstance(content, Weight)
        made = self._operand(node, content)
        old = (None,) * (len(node.shape) - len(content.shape)) + content.shape
        given = [
            self._batch() if dim == BATCH else "-1" if dim.offset == size else str(dim.offset)
            for dim, size in zip(node.shape, old, strict=True)
        ]
        return Expression(f"{made.at_least(ATOM)}.expand({', '.join(given)})")

    def _tile(self, node: Node) -> Expression:
        """Copies along axes, or of a weight for every example."""
        source = data(node)[0]
        if not is_growth(source.node):
            pairs = list(zip(node.shape, source.shape, strict=True))
            if any(new != old and (new.scale or old.scale) for new, old in pairs):
                raise NoRuleError("copies of examples")
            counts = [1 if new == old else new.offset // old.offset for new, old in pairs]
            text = self._value(source).at_least(ATOM)
            return Expression(f"{text}.repeat({', '.join(map(str, counts))})")
        if source.shape != node.shape or node.shape[:1] != (BATCH,):
            raise NoRuleError("copies of a weight along an axis")
        made = self._operand(source.node, source.node.inputs[1])
        ones = ", ".join(["1"] * (len(node.shape) - 1))
        return Expression(f"{made.at_least(ATOM)}.repeat({self._batch()}, {ones})")

    # --- several outputs -------------------------------------------------------------------------

    def _chunk(self, group: list[Node]) -> None:
        """Equal pieces of one axis."""
        if Ref(group[0]) in self.values:
            return
        source = data(group[0])[0]
        [axis] = group[0].attributes["a"]  # type: ignore[misc]
        names = [next(self.letters) for _ in group]
        text = self._value(source).at_least(ATOM)
        self.steps.append(f"{', '.join(names)} = {text}.chunk({len(group)}, {axis})")
        self.values |= {Ref(n): Expression(name) for n, name in zip(group, names, strict=True)}

    def _gated(self, node: Node) -> None:
        name = self.members.module(node, [gated_layer(node)])
        given = self._value(data(node)[0]).text
        firsts = [self._operand(node, state).text for state in states(node)]
        if firsts:
            given += f", {firsts[0] if len(firsts) == 1 else f'({firsts[0]}, {firsts[1]})'}"
        places = 3 if node.op == "LSTM" else 2
        used = [self.reads.get(Ref(node, place), 0) > 0 for place in range(places)]
        names = [next(self.letters) if use else "_" for use in used]
        inner = names[1] if places == 2 else f"({names[1]}, {names[2]})"
        if any(used[1:]):
            self.steps.append(f"{names[0]}, {inner} = {name}({given})")
        else:
            self.steps.append(f"{names[0]} = {name}({given})[0]")
        for place, letter in enumerate(names):
            self.values[Ref(node, place)] = Expression(letter)

    def _view(self, node: Node) -> Expression:
        source = data(node)[0]
        is_image = len(node.shape) == 4 == len(self.entry.shape) and len(source.shape) == 3
        if (
            is_image
            and node.shape[2:] == self.entry.shape[2:]
            and node.shape[:2] == source.shape[:2]
        ):
            return Expression(f"{self._value(source).at_least(ATOM)}.unflatten(2, x.shape[2:])")
        if source.node not in self.reading.glued or source.output:
            text = views.calls(source.shape, node.shape, self.sizes)
            return Expression(self._value(source).at_least(ATOM) + text)
        is_turned = source.node.op == "Transpose"
        cell = data(source.node)[0] if is_turned else source
        return Expression(self._value(cell).text + output_call(node))


def _letters() -> Iterator[str]:
    yield from _NAMES
    for round_ in count(1):
        yield from (f"{letter}{round_}" for letter in _NAMES)


def _chunks(nodes: list[Node]) -> dict[Node, list[Node]]:
    """Slices that cut one axis of a value into equal pieces, each with all of its group."""
    groups: dict[tuple, list[Node]] = {}
    for node in nodes:
        if node.op == "Slice" and len(node.attributes["a"]) == 1 and "step" not in node.attributes:  # type: ignore[arg-type]
            groups.setdefault((data(node)[0], node.attributes["a"]), []).append(node)
    found: dict[Node, list[Node]] = {}
    for (source, (axis,)), group in groups.items():
        group.sort(key=lambda node: node.attributes["from"])  # type: ignore[arg-type,return-value]
        size, number = source.shape[axis].offset, len(group)
        ends = [(*node.attributes["from"], *node.attributes["to"]) for node in group]  # type: ignore[misc]
        width = size // number
        if size % number == 0 and ends == [(i * width, (i + 1) * width) for i in range(number)]:
            found |= dict.fromkeys(group, group)
    return found
