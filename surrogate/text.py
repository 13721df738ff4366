"""Writes a canonical graph as lines of text.

    NET 1x40>10                                 input shape and classes; task=... if it is known
    Conv k3 s2 1>8 @8x20                        operator, attributes, operands, output shape
    BatchNorm @8x20                             operands are left out if they are the line before
    Add ^3 ^1 @8x20                             ^d: the output d lines back; IN: the graph input
    Add ^1 W1x10x8 #0.5                         W: a weight; #: a constant; =d.s: the weight that
                                                stands d lines back in place s
    x3{ ... }                                   the lines between stand three times

The weights of Conv, Linear, norms and recurrences follow from their attributes and are not
written, unless they are other than usual: then `given` says that every operand is. The batch axis
is left out where it comes first and written as B elsewhere. Nothing is lost: `decode` reads the
text back. Numbers have six digits, and large constants stand as digests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from surrogate.folding import fold, unfold
from surrogate.ir import Constant, Node, Operand, Ref, Weight
from surrogate.order import places_of_use
from surrogate.wording import (
    GATES,
    LAYERS,
    attribute_rank,
    layer_flags,
    natural_shapes,
    natural_type,
    natural_weights,
    write_attribute,
    write_size,
    write_sizes,
)

__all__ = ["LAYERS", "fold", "unfold", "without_task", "write"]

_KEPT = 16_384  # spellings of lines that are remembered
_LINES_KEPT = 16  # whole lines of one spelling
_PREVIOUS = ["^1"]
GIVEN = -1  # in place of a number of weights: all operands are written


@dataclass(slots=True)
class _Spelling:
    """What all lines of one label - operator, attributes, shapes - have in common."""

    head: str
    tail: str
    natural: tuple[tuple[tuple[int, ...], int], ...]
    """Weights of a layer that need not be written."""
    is_layer: bool
    is_gated: bool
    heads: dict[int, str] = field(default_factory=dict)
    """With the flags of a layer of so many weights."""
    lines: dict[tuple[int, ...], str] = field(default_factory=dict)
    """Whole lines, by the number of weights and how far back the operands stand."""


_spellings: dict[int, dict[str, _Spelling]] = {}
"""By the element type of the graph's input and the label."""


def write(
    nodes: list[Node], outputs: list[Ref], sizes: Mapping[str, int], task: str = ""
) -> list[str]:
    """One line per node, the header first, nothing folded; `sizes` are those of trained tensors."""
    weights = _Weights(nodes, sizes, are_distinct=True)
    lines = _lines(nodes, weights)
    if weights.read_count > len(sizes):
        lines = _lines(nodes, _Weights(nodes, sizes, are_distinct=False))
    return [_header(nodes, outputs, task), *lines]


def _lines(nodes: list[Node], weights: "_Weights") -> list[str]:
    kind = nodes[0].types[0]
    lines: list[str] = []
    known = _spellings.setdefault(kind, {})
    place: dict[Node, int] = {}
    for index, node in enumerate(nodes):
        place[node] = index
        if not index:
            continue
        spelling = known.get(node.label) or _spelling(node, kind)
        inputs, count = node.inputs, 0
        shared: Sequence[str] | None = None
        if spelling.is_layer:
            shared = weights.own(inputs, index, spelling)
            if not shared and shared is not None and not spelling.is_gated:
                count = len(inputs) - 1
                inputs = inputs[:1]
        operand = inputs[0] if len(inputs) == 1 else None
        if type(operand) is Ref and not operand[1]:
            back = place[operand[0]]
            key = (count, index - back if back else 0)
        else:
            key = _distances(inputs, count, index, place)
        line = spelling.lines.get(key)
        if line is None:
            line = _line(node, index, spelling, place, weights, shared)
            if key and len(spelling.lines) < _LINES_KEPT:
                spelling.lines[key] = line
        lines.append(line)
    return lines


def _distances(
    inputs: list[Operand], count: int, index: int, place: dict[Node, int]
) -> tuple[int, ...]:
    """What tells the lines of one spelling apart, if they read first outputs only; else empty."""
    key = [count]
    for operand in inputs:
        if type(operand) is not Ref or operand[1]:
            return ()
        back = place[operand[0]]
        key.append(index - back if back else 0)
    return tuple(key)


def _header(nodes: list[Node], outputs: list[Ref], task: str) -> str:
    source, output = nodes[0], outputs[0]
    words = [f"NET {write_size(source.shape)}>{write_size(output.shape)}"]
    words += [f"task={task}"] if task else []
    words += [f"type={source.types[0]}"] if source.types[0] != 1 else []
    words += [f"out={output.output}"] if output.output else []
    return " ".join(words)


def without_task(written: str) -> str:
    """The text of a network whatever its task: what two texts of one network have in common."""
    header, newline, rest = written.partition("\n")
    words = [word for word in header.split(" ") if not word.startswith("task=")]
    return " ".join(words) + newline + rest


def _spelling(node: Node, kind: int) -> _Spelling:
    attributes = dict(node.attributes)
    is_layer = node.op in LAYERS
    natural = natural_weights(node.op, attributes, node.shape) if is_layer else ()
    channels = attributes.pop("c", None) if is_layer else None
    rank = len(node.shape)
    words = [node.op]
    for key in sorted(attributes, key=attribute_rank):
        words.append(write_attribute(node.op, key, attributes[key], rank))
    if isinstance(channels, tuple):
        words.append(f"{channels[0]}>{channels[1]}")
    if node.types[0] != natural_type(node.op, attributes, kind):
        words.append(f"type={node.types[0]}")
    sizes = [write_size(shape) for shape in node.shapes]
    if natural_shapes(node.op, attributes, node.shape, len(sizes)) == node.shapes:
        sizes = sizes[:1]
    spelling = _Spelling(
        " ".join(words), f"@{','.join(sizes)}", natural, is_layer, node.op in GATES
    )
    known = _spellings[kind]
    if len(known) >= _KEPT:
        known.clear()
    known[node.label] = spelling
    return spelling


def _head(spelling: _Spelling, count: int) -> str:
    head = spelling.heads.get(count)
    if head is None:
        op = spelling.head.partition(" ")[0]
        flags = layer_flags(op, count) if spelling.is_layer else []
        flags = ["given"] if count == GIVEN else flags
        head = spelling.heads[count] = " ".join([spelling.head, *flags])
    return head


def _line(
    node: Node,
    index: int,
    spelling: _Spelling,
    place: dict[Node, int],
    weights: "_Weights",
    shared: Sequence[str] | None,
) -> str:
    """Any line; `shared` are the words for a layer's weights, None where all must be written."""
    is_plain = shared is not None
    operands: list[str] = []
    count = 0
    for slot, operand in enumerate(node.inputs):
        if type(operand) is Weight:
            count += 1
            if not is_plain:
                operands.append(weights.word(operand, index, slot))
        else:
            operands.append(_operand(operand, index, place))
    if operands == _PREVIOUS and (is_plain or not spelling.is_layer):
        operands = []
    elif not operands:
        operands = ["()"]
    if is_plain:
        operands[1:1] = shared
    head = _head(spelling, count if is_plain else GIVEN if spelling.is_layer else 0)
    return " ".join([head, *operands, spelling.tail])


def _operand(operand: Operand, index: int, place: dict[Node, int]) -> str:
    if type(operand) is Ref:
        back = place[operand.node]
        output = f".{operand.output}" if operand.output else ""
        return f"^{index - back}{output}" if back else f"IN{output}"
    if isinstance(operand, Constant):
        shape = "" if operand.has_one_element else f":{write_size(operand.shape)}"
        return f"#{operand.word}{shape}"
    return "-"


class _Weights:
    """Where each weight and each trained tensor was last read."""

    def __init__(self, nodes: list[Node], sizes: Mapping[str, int], are_distinct: bool) -> None:
        self.uses, self.sizes = places_of_use(nodes), sizes
        self.are_distinct = are_distinct
        """Whether every tensor is read once only, so that nothing need be noted."""
        self.read_count = 0
        """Tensors read so far; more than there are if that is not so."""
        self.seen: dict[object, tuple[int, int, tuple[int, ...]]] = {}
        """Line, place and shape, by the name of a plain weight or by `Weight.key`."""
        self.parts: dict[str, tuple[int, int, int]] = {}
        """Line, place and number of a tensor among others in one weight."""

    def own(self, inputs: list[Operand], index: int, spelling: _Spelling) -> Sequence[str] | None:
        """Words for the weights of a layer that are as its attributes say; else None."""
        natural, count = spelling.natural, len(inputs) - 1
        if spelling.is_gated:
            count = sum([type(operand) is Weight for operand in inputs])
            if count not in (2, 3) or None in inputs:
                return None
        if not 0 <= count <= len(natural) or type(inputs[0]) is not Ref:
            return None
        read_count, are_distinct = 0, self.are_distinct
        weights = inputs[1 : count + 1]
        for weight, (shape, source_count) in zip(weights, natural, strict=False):
            if type(weight) is not Weight or weight.shape != shape or not weight.is_whole:
                return None
            read = len(weight.sources)
            if read != source_count and are_distinct:
                return None
            read_count += read
        self.read_count += read_count
        return () if are_distinct else self._noted(weights, index, spelling)  # type: ignore[arg-type]

    def _noted(self, weights: list[Weight], index: int, spelling: _Spelling) -> list[str] | None:
        """The same where weights are shared: each one that stood before is named by its place."""
        words, keys = [], []
        for slot, weight in enumerate(weights, start=1):
            shape, source_count = spelling.natural[slot - 1]
            sources = weight.sources
            key = sources[0] if len(sources) == 1 else weight.key
            last = self.seen.get(key)
            if last is not None:
                if last[1] != slot or last[2] != shape:
                    return None
                words.append(f"={index - last[0]}.{slot}")
            elif len(sources) != source_count or self._is_known(sources):
                return None
            keys.append((key, sources, shape))
        names = [name for _, sources, _ in keys for name in sources]
        if len(weights) > 1 and len(set(names)) < len(names):
            return None
        for slot, (key, sources, shape) in enumerate(keys, start=1):
            self._note(key, sources, (index, slot, shape))
        return words

    def _is_known(self, sources: tuple[str, ...]) -> bool:
        if len(sources) == 1 and not self.parts:
            return False
        return any(name in self.parts or name in self.seen for name in sources)

    def _note(self, key: object, sources: tuple[str, ...], where: tuple) -> None:
        self.seen[key] = where
        if key is not sources[0]:
            for number, name in enumerate(sources):
                self.parts[name] = (where[0], where[1], number)

    def word(self, weight: Weight, index: int, slot: int) -> str:
        """A weight that is written: as the one that it is, or as what it is made of."""
        self.read_count += len(weight.sources)
        is_plain = weight.is_whole and len(weight.sources) == 1
        key = weight.sources[0] if is_plain else weight.key
        sources = weight.sources
        if weight.is_symmetric:
            sources = tuple(sorted(sources, key=self.uses))
        last = self.seen.get(key)
        shape = write_sizes(weight.shape)
        if last is not None:
            self.seen[key] = (index, slot, weight.shape)
            is_same = last[2] == weight.shape
            return f"={index - last[0]}.{last[1]}" + ("" if is_same else f":{shape}")
        word = f"W{shape}" + (f":{weight.part}" if weight.part else "")
        if not is_plain or self._is_known(sources):
            word += "/" + "+".join(self._source(name, index) for name in sources)
        self._note(key, sources, (index, slot, weight.shape))
        return word

    def _source(self, name: str, index: int) -> str:
        """Where a tensor was read before, or how many numbers it has."""
        found = self.parts.get(name)
        if found is None and name in self.seen:
            found = (*self.seen[name][:2], 0)
        return f"={index - found[0]}.{found[1]}.{found[2]}" if found else str(self.sizes[name])
