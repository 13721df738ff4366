"""A stretch of the graph as the lines of one class: layers in `__init__`, then a `forward`.

In: the nodes between two values. Out: the lines of the class below its first one. Weights that are
read twice are one layer that is called twice. Values are called a, b, c ... where they have more
than one reader or a line would become too long.
"""

from collections.abc import Iterator
from itertools import count

from evoprompt.rewrite import layers, views
from evoprompt.rewrite.expressions import (
    ATOM,
    Expression,
    constant_literal,
    expression,
    sizes,
)
from evoprompt.rewrite.reading import GATED, NoRuleError, Reading, data, is_growth
from evoprompt.rewrite.weights import beginning, weight_expression
from surrogate.ir import BATCH, Constant, Node, Operand, Ref, Weight

LINE = 88  # characters
LONGEST_TABLE = 64  # numbers of a constant that are written out
_NAMES = "abcdefghijkmnopqrstuvwyz"
_BASES = {
    "Conv": "conv", "ConvTranspose": "up", "Linear": "linear", "GRU": "gru", "LSTM": "lstm",
    "RNN": "rnn", "PRelu": "slope", "MaxPool": "pool", "AveragePool": "pool",
}  # fmt: skip


def class_lines(reading: Reading, entry: Ref, exit: Ref, nodes: list[Node]) -> tuple[str, ...]:
    """The lines of a class that turns one value into the other, without its first line."""
    return _Part(reading, entry, exit, nodes).lines()


class _Part:
    """One class while it is written."""

    def __init__(self, reading: Reading, entry: Ref, exit: Ref, nodes: list[Node]) -> None:
        self.reading, self.entry, self.exit, self.nodes = reading, entry, exit, nodes
        self.values: dict[Ref, Expression] = {entry: Expression("x")}
        self.waiting: dict[Ref, Expression] = {}
        """Expressions that are read once and not written yet."""
        self.built: list[str] = []
        self.steps: list[str] = []
        self.modules: dict[tuple[str, ...], tuple[str, str]] = {}
        self.parameters: dict[str, tuple[str, tuple[int, ...]]] = {}
        self.tables: dict[str, str] = {}
        self.names: set[str] = set()
        self.letters = self._letters()
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
        result = self._value(self.exit)
        head = ["    def __init__(self):", "        super().__init__()", *self.built]
        body = [*self.steps, f"        return {result.text}"]
        return (*(head if self.built else []), "    def forward(self, x):", *body)

    def _letters(self) -> Iterator[str]:
        yield from _NAMES
        for number in count(1):
            yield from (f"{letter}{number}" for letter in _NAMES)

    def _reads(self) -> dict[Ref, int]:
        reads: dict[Ref, int] = {self.exit: 1}
        for node in self.nodes:
            for ref in data(node):
                reads[ref] = reads.get(ref, 0) + 1
        return reads

    # --- values ----------------------------------------------------------------------------------

    def _value(self, ref: Ref) -> Expression:
        if ref in self.waiting:
            return self.waiting[ref]
        if ref not in self.values:
            raise NoRuleError(f"an output of {ref.node.op} that has no name in PyTorch")
        return self.values[ref]

    def _settle(self, node: Node, made: Expression) -> None:
        """Keep an expression for its one reader, or give it a name."""
        ref = Ref(node)
        is_name = made.text.isidentifier()
        if is_name or self.reads.get(ref, 0) == 1:
            self.waiting[ref] = made
        else:
            self._assign(ref, made)

    def _assign(self, ref: Ref, made: Expression) -> None:
        name = next(self.letters)
        self.steps.append(f"        {name} = {made.text}")
        self.waiting.pop(ref, None)
        self.values[ref] = Expression(name)

    def _node(self, node: Node) -> None:
        if node.op in GATED:
            self._gated(node)
            return
        if node.op == "Transpose" and node in self.reading.glued:
            return
        used = [ref for ref in data(node) if ref in self.waiting]
        made = self._made(node)
        while len(made.text) + 15 > LINE and any(not self._is_short(ref) for ref in used):
            longest = max(used, key=lambda ref: len(self._value(ref).text))
            self._assign(longest, self.waiting[longest])
            used = [ref for ref in used if ref in self.waiting]
            made = self._made(node)
        self._settle(node, made)

    def _is_short(self, ref: Ref) -> bool:
        return ref not in self.waiting or len(self.waiting[ref].text) < 12

    def _made(self, node: Node) -> Expression:
        """The expression of a node: a layer that is called, or an operator."""
        if is_growth(node):
            return self._growth(node)
        if node.op == "Tile":
            return self._tile(node)
        if node.op in ("Concat", "Mul", "View", "DFT", "Select"):
            special = self._complex(node)
            if special is not None:
                return special
        if node.op == "View":
            return self._view(node)
        weights = [operand for operand in node.inputs if isinstance(operand, Weight)]
        texts = layers.lines(node) if weights or node.op in ("LayerNorm", "GroupNorm") else None
        if texts:
            return Expression(
                f"self.{self._module(node, texts)}({self._value(data(node)[0]).text})"
            )
        if weights or not layers.lines(node):
            return expression(node, [self._operand(node, operand) for operand in node.inputs])
        try:
            return expression(node, [self._operand(node, operand) for operand in node.inputs])
        except NoRuleError:
            texts = layers.lines(node) or []
            return Expression(
                f"self.{self._module(node, texts)}({self._value(data(node)[0]).text})"
            )

    def _operand(self, node: Node, operand: Operand) -> Expression:
        if isinstance(operand, Ref):
            return self._value(operand)
        if isinstance(operand, Weight):
            return weight_expression(
                operand, lambda source, shape: self._parameter(source, shape, node.op)
            )
        text = constant_literal(operand)
        if text is not None:
            return Expression(text)
        if isinstance(operand, Constant):
            return self._constant(operand)
        raise NoRuleError(f"an operand of {node.op} that is left out")

    def _constant(self, constant: Constant) -> Expression:
        if constant.scalar is not None:
            if any(dim.scale for dim in constant.shape):
                text = f"x.new_full(({sizes(constant.shape, self._batch())}), {constant.scalar:g})"
                return Expression(text)
            size = ", ".join(str(dim.offset) for dim in constant.shape)
            return Expression(
                self._table(f"torch.full(({size},), {layers.number(constant.scalar)})")
            )
        if constant.data is None or not constant.is_static or constant.data[0].size > LONGEST_TABLE:
            raise NoRuleError("a constant of many numbers")
        array = constant.data[0]
        if array.dtype.kind == "f":
            rows = [layers.number(value) for value in array.reshape(-1).tolist()]
            text = f"torch.tensor([{', '.join(rows)}])"
            return Expression(
                self._table(f"{text}.reshape{array.shape}" if array.ndim > 1 else text)
            )
        return Expression(self._table(f"torch.tensor({array.tolist()})"))

    def _batch(self) -> str:
        axis = next((i for i, dim in enumerate(self.entry.shape) if dim == BATCH), None)
        if axis is None:
            raise NoRuleError("the batch size behind a shape that hides it")
        return f"x.shape[{axis}]"

    def _growth(self, node: Node) -> Expression:
        content = node.inputs[1]
        if isinstance(content, Constant):
            if content.scalar is None:
                raise NoRuleError("a constant of many numbers for each example")
            size = sizes(node.shape, self._batch())
            return Expression(f"x.new_full(({size},), {layers.number(content.scalar)})")
        made = self._operand(node, content)
        old = (None,) * (len(node.shape) - len(content.shape)) + tuple(content.shape)
        given = [
            self._batch() if dim == BATCH else "-1" if dim.offset == size else str(dim.offset)
            for dim, size in zip(node.shape, old, strict=True)
        ]
        if any(dim.scale and dim != BATCH for dim in node.shape):
            raise NoRuleError("a weight for more than every example")
        return Expression(f"{made.at_least(ATOM)}.expand({', '.join(given)})")

    def _tile(self, node: Node) -> Expression:
        """Copies of a weight for every example."""
        source = data(node)[0]
        if not is_growth(source.node) or source.shape != node.shape or node.shape[:1] != (BATCH,):
            raise NoRuleError("copies of a tensor along an axis")
        made = self._operand(source.node, source.node.inputs[1])
        ones = ", ".join(["1"] * (len(node.shape) - 1))
        return Expression(f"{made.at_least(ATOM)}.repeat({self._batch()}, {ones})")

    # --- what has state --------------------------------------------------------------------------

    def _name(self, base: str) -> str:
        name = next(
            n for n in (base, *(f"{base}{k}" for k in range(2, 999))) if n not in self.names
        )
        self.names.add(name)
        return name

    def _module(self, node: Node, texts: list[str]) -> str:
        text = texts[0] if len(texts) == 1 else f"nn.Sequential({', '.join(texts)})"
        sources = tuple(name for o in node.inputs if isinstance(o, Weight) for name in o.sources)
        known = self.modules.get(sources)
        if known is not None and sources:
            if known[1] != text:
                raise NoRuleError("a weight that two different layers read")
            return known[0]
        if any(set(other) & set(sources) for other in self.modules) or (
            set(sources) & self.parameters.keys()
        ):
            raise NoRuleError("a weight that two different layers read")
        base = _BASES.get(node.op, "norm" if node.op.endswith("Norm") else "layer")
        name = self._name(base)
        self.modules[sources or (f" {name}",)] = (name, text)
        self.built.append(f"        self.{name} = {text}")
        return name

    def _parameter(self, source: str, shape: tuple[int, ...], op: str) -> str:
        if any(source in sources for sources in self.modules):
            raise NoRuleError("a weight that two different layers read")
        known = self.parameters.get(source)
        if known is None:
            name = self._name("weight")
            known = self.parameters[source] = (name, shape)
            self.built.append(f"        self.{name} = nn.Parameter({beginning(op, shape)})")
        if known[1] != shape:
            return f"self.{known[0]}.reshape({', '.join(map(str, shape))})"
        return f"self.{known[0]}"

    def _table(self, text: str) -> str:
        name = self.tables.get(text)
        if name is None:
            name = self.tables[text] = self._name("table")
            self.built.append(f'        self.register_buffer("{name}", {text}, persistent=False)')
        return f"self.{name}"

    # --- recurrences and complex numbers ---------------------------------------------------------

    def _gated(self, node: Node) -> None:
        text = gated_layer(node)
        name = self._module(node, [text])
        given = self._value(data(node)[0]).text
        states = [self._operand(node, state).text for state in _states(node)]
        if states:
            given += f", {states[0] if len(states) == 1 else f'({states[0]}, {states[1]})'}"
        used = [self.reads.get(Ref(node, place), 0) > 0 for place in range(3)]
        call = f"self.{name}({given})"
        places = 3 if node.op == "LSTM" else 2
        names = [next(self.letters) if use else "_" for use in used[:places]]
        inner = names[1] if places == 2 else f"({names[1]}, {names[2]})"
        if not any(used[1:]):
            self.steps.append(f"        {names[0]} = {call}[0]")
        else:
            self.steps.append(f"        {names[0]}, {inner} = {call}")
        for place, use in enumerate(used[:places]):
            if use:
                self.values[Ref(node, place)] = Expression(names[place])

    def _view(self, node: Node) -> Expression:
        """What PyTorch gives of a recurrence has ONNX's directions behind each other."""
        source = data(node)[0]
        if source.node not in self.reading.glued:
            text = views.calls(source.shape, node.shape, self.sizes)
            return Expression(self._value(source).at_least(ATOM) + text)
        is_turned = source.node.op == "Transpose"
        cell = data(source.node)[0].node if is_turned else source.node
        if is_turned and source.node.attributes["order"] != (0, 2, 1, 3):
            raise NoRuleError("the directions of a recurrence in another order")
        if source.output and not is_turned:
            return expression(node, [self._value(source)])
        name = self._value(Ref(cell)).text
        steps, ways, batch, hidden = cell.shapes[0]
        given = (steps, batch, type(hidden)(0, ways.offset * hidden.offset))
        return Expression(name + ("" if given == node.shape else views.calls(given, node.shape)))

    def _complex(self, node: Node) -> Expression | None:
        """Fourier transforms: a pair of real and imaginary part is one complex tensor."""
        glued = self.reading.glued
        if node.op == "Select":
            source = data(node)[0].node
            is_part = source.op == "DFT" and node.attributes["a"] == len(source.shape) - 1
            if not is_part:
                return None
            part = {(0,): "real", (1,): "imag"}[node.attributes["i"]]  # type: ignore[index]
            return Expression(f"{self._value(Ref(source)).at_least(ATOM)}.{part}")
        if node not in glued:
            return None
        if node.op == "View":
            return self._value(data(node)[0])
        if node.op in ("Mul", "Concat"):
            return self._value(data(node)[0])
        axis = node.inputs[2] if len(node.inputs) > 2 else None
        if (
            not isinstance(axis, Constant)
            or axis.scalar is None
            or node.attributes.keys() - {"inverse"}
        ):
            raise NoRuleError("a Fourier transform of another kind")
        name = "ifft" if node.attributes.get("inverse") else "fft"
        return Expression(
            f"torch.fft.{name}({self._value(data(node)[0]).text}, dim={int(axis.scalar)})"
        )


def _states(node: Node) -> list[Operand]:
    rest = [operand for operand in node.inputs[3:] if not isinstance(operand, Weight)]
    return [operand for operand in rest if operand is not None]


def gated_layer(node: Node) -> str:
    """The call that builds a recurrence."""
    fan_in, hidden = node.attributes["c"]  # type: ignore[misc]
    known = {"c", "bi", "activations"}
    weights = sum(isinstance(operand, Weight) for operand in node.inputs)
    if node.attributes.keys() - known or not layers.is_natural(node) or weights not in (2, 3):
        raise NoRuleError(f"a {node.op} with other settings")
    named = ["bidirectional=True"] if node.attributes.get("bi") else []
    kinds: tuple[str, ...] = node.attributes.get("activations", ())  # type: ignore[assignment]
    if set(kinds) == {"Relu"}:
        named.append('nonlinearity="relu"')
    elif set(kinds) - {"Tanh"}:
        raise NoRuleError(f"a {node.op} with other activations")
    if weights == 2:
        named.append("bias=False")
    return f"nn.{node.op}({', '.join([str(fan_in), str(hidden), *named])})"
