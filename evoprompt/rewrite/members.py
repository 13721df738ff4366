"""What a part keeps: layers, parameters and tables, the lines of its `__init__`.

In: nodes and weights as they are met. Out: the names under which they are read. A size that is that
of the part's own input (`c`, `n`) is written so: the part can then stand behind other sizes.
"""

import re

from evoprompt.rewrite.reading import NoRuleError
from evoprompt.rewrite.weights import beginning
from surrogate.ir import Node, Weight

SMALLEST = 4  # channels; a smaller number is rarely meant to follow the input's
_WIDTH = re.compile(r"(nn\.Lazy(?:Linear|Conv\w*)\()(\d+)")
_BASES = {
    "Conv": "conv", "ConvTranspose": "up", "Linear": "linear", "GRU": "gru", "LSTM": "lstm",
    "RNN": "rnn", "PRelu": "slope", "MaxPool": "pool", "AveragePool": "pool",
}  # fmt: skip


class Members:
    """The attributes of one class.

    `sizes` has the numbers that are called `c` and `n`, if they are: widths are told as multiples
    and parts of `c` too. The number of classes (0: there is none to mind) is told by neither.
    """

    def __init__(self, sizes: dict[str, int], num_classes: int) -> None:
        self.num_classes = num_classes
        self.sizes = sizes
        self.lines: list[str] = []
        self.open_count = 0
        """Sizes that are written by letters."""
        self._modules: dict[tuple[str, ...], tuple[str, str]] = {}
        self._parameters: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._tables: dict[str, str] = {}
        self._names: set[str] = set()

    def module(self, node: Node, texts: list[str]) -> str:
        """The layer of a node; one that was met before for the same weights is called again."""
        text = texts[0] if len(texts) == 1 else f"nn.Sequential({', '.join(texts)})"
        sources = tuple(name for o in node.inputs if isinstance(o, Weight) for name in o.sources)
        known = self._modules.get(sources) if sources else None
        if known is not None and known[1] == text:
            return f"self.{known[0]}"
        taken = {name for others in self._modules for name in others} | self._parameters.keys()
        if taken & set(sources):
            raise NoRuleError("a weight that two different layers read")
        name = self._name(_BASES.get(node.op, "norm" if node.op.endswith("Norm") else "layer"))
        self._modules[sources or (f" {name}",)] = (name, text)
        self.lines.append(f"self.{name} = {_WIDTH.sub(self._open_width, text, count=1)}")
        return f"self.{name}"

    def _name(self, base: str) -> str:
        name = base
        while name in self._names:
            number = int(name.removeprefix(base) or 1) + 1
            name = f"{base}{number}"
        self._names.add(name)
        return name

    def _open_width(self, match: re.Match[str]) -> str:
        return match[1] + self._open(int(match[2]))

    def _open(self, width: int) -> str:
        """A width as it follows from the input's."""
        size = self.sizes.get("c", 0)
        if width < 2 or width == self.num_classes:
            return str(width)
        letter = self._letter(width)
        if letter == str(width) and size >= SMALLEST:
            if width % size == 0 and width // size <= 4:
                letter = f"{width // size} * c"
            elif size % width == 0 and size // width <= 8:
                letter = f"c // {size // width}"
        self.open_count += letter != str(width)
        return letter

    def _letter(self, size: int) -> str:
        """The letter of a size, or its digits."""
        known = (letter for letter, own in self.sizes.items() if own == size >= SMALLEST)
        return next(known, str(size))

    def parameter(self, source: str, shape: tuple[int, ...], op: str, is_matched: bool) -> str:
        """A trained tensor that is no layer's; `is_matched` if its sizes are brought together."""
        if any(source in sources for sources in self._modules):
            raise NoRuleError("a weight that two different layers read")
        known = self._parameters.get(source)
        if known is None:
            known = self._parameters[source] = (self._name("weight"), shape)
            sizes = [str(size) if is_matched else self._letter(size) for size in shape]
            self.open_count += sum(not size.isdigit() for size in sizes)
            text = beginning(op, ", ".join(sizes) or "()")
            self.lines.append(f"self.{known[0]} = nn.Parameter({text})")
        if known[1] != shape:
            return f"self.{known[0]}.reshape({', '.join(map(str, shape))})"
        return f"self.{known[0]}"

    def table(self, text: str) -> str:
        """Constants."""
        name = self._tables.get(text)
        if name is None:
            name = self._tables[text] = self._name("table")
            self.lines.append(f'self.register_buffer("{name}", {text}, persistent=False)')
        return f"self.{name}"
