"""Reads a text back into the graph that it was written from: the inverse of `Graph.text`.

    decode(read(path).text).hash == read(path).hash

Names and weights are gone, all else is there: sizes, costs and the hash are those of the original.
Not promised of a text that a person wrote: that its shapes fit each other, and that its lines stand
in the canonical order, without which the hash is of no use. What is malformed raises
`SurrogateError`, however it was made.
"""

import math
import re
from dataclasses import dataclass, field
from itertools import count

from surrogate import cost
from surrogate.encode import FAILURES, Graph
from surrogate.errors import SurrogateError, problem
from surrogate.folding import unfold
from surrogate.ir import Attribute, Constant, Node, Operand, Ref, Shape, Weight, live_in
from surrogate.onnxfile import is_real
from surrogate.order import put_labels
from surrogate.wording import (
    GATES,
    LAYERS,
    WORD_LIMIT,
    WordError,
    natural_shapes,
    natural_type,
    natural_weights,
    read_attribute,
    read_size,
    read_sizes,
    weight_count,
)

TEXT_LIMIT = 8 * 2**20  # characters
_HEADER = re.compile(
    r"NET (?P<input>\S+)>(?P<output>[^\s>]+)"
    r"(?: task=(?P<task>\S+))?(?: type=(?P<type>\d{1,2}))?(?: out=(?P<out>\d{1,3}))?"
)
_REFERENCE = re.compile(r"\^([1-9]\d{0,5})(?:\.(\d{1,3}))?")
_SHARED = re.compile(r"=(\d{1,5})\.(\d{1,4})(?::([\dx]+|\(\)))?")
_WEIGHT = re.compile(r"W([\dx]+|\(\))(?::([0-9a-f]{8}))?(?:/(.+))?")
_SOURCE = re.compile(r"=(\d{1,5})\.(\d{1,4})\.(\d{1,4})")
_CONSTANT = re.compile(r"#(-?[\w.+-]+)(?::(\S+))?")
_NUMBER = re.compile(r"-?(\d{1,7}(\.\d{1,12})?(e[+-]\d{2,3})?|inf|nan)")
_DIGEST = re.compile("[0-9a-f]{8}")
_CHANNELS = re.compile(r"(\d{1,12})>(\d{1,12})")


@dataclass
class _Reader:
    """The nodes so far, and the trained tensors that their weights are made of."""

    nodes: list[Node]
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = map("w{}".format, count())


@dataclass(frozen=True)
class _Row:
    """One line, sorted into what it says."""

    op: str
    attributes: dict[str, Attribute]
    flags: set[str]
    element_type: int | None
    operands: list[str]
    shapes: tuple[Shape, ...]


def decode(text: str) -> Graph:
    """Return the graph of a text; raises `SurrogateError` if it is not one that `encode` writes."""
    if len(text) > TEXT_LIMIT:
        raise _bad(text[:80], f"at most {TEXT_LIMIT} characters")
    header, *rows = text.split("\n")
    match = _HEADER.fullmatch(header)
    if match is None:
        raise _bad(header, "a header such as 'NET 3x32x32>10'")
    row = header
    try:
        source = Node("Input", {}, [], (_size(match["input"]),), (int(match["type"] or 1),))
        reader = _Reader([source])
        for row in unfold(rows):
            _add(reader, row)
        return _graph(reader, match)
    except WordError as error:
        raise _bad(row, str(error)) from None
    except FAILURES as error:
        what = " ".join(str(error).split())[:100]
        raise _bad(row, f"a network ({type(error).__name__}: {what})") from error


def _bad(line: str, expected: str) -> SurrogateError:
    where = f"line '{line[:80]}'"
    return SurrogateError(
        problem("not a graph text", where, expected, "Encode the ONNX file again")
    )


def _graph(reader: _Reader, header: re.Match) -> Graph:
    output = Ref(reader.nodes[-1], int(header["out"] or 0))
    nodes = _with_all_outputs(reader.nodes, output)
    if output.shape != _size(header["output"]):
        raise WordError(f"an output of the shape {header['output']} in the last line")
    if len(live_in(nodes, [output])) < len(nodes):
        raise WordError("lines that the output needs; some are read by none")
    put_labels(nodes)
    weights = {name: ((size,), 1) for name, size in reader.sizes.items()}
    return Graph(
        nodes=tuple(nodes),
        outputs=(output,),
        sizes=cost.trained(nodes, weights),
        macs=cost.macs(nodes),
        depth=cost.depth(nodes),
        activation_bytes=cost.activation_bytes(nodes, [output]),
        task=header["task"] or "",
    )


def _with_all_outputs(nodes: list[Node], output: Ref) -> list[Node]:
    """Give recurrences the outputs that are read; refuse reads of outputs that are not there."""
    last = {node: 0 for node in nodes}
    for ref in (output, *(o for node in nodes for o in node.inputs if isinstance(o, Ref))):
        last[ref.node] = max(last[ref.node], ref.output)
    for node, number in last.items():
        if len(node.shapes) == 1:
            node.shapes = natural_shapes(node.op, node.attributes, node.shape, number + 1)
            node.types *= len(node.shapes)
        if number >= len(node.shapes):
            raise WordError(f"an output {number} of {node.op}")
    return nodes


def _add(reader: _Reader, line: str) -> None:
    """Read one line and put its node behind the others."""
    row = _row(line)
    attributes, shape = row.attributes, row.shapes[0]
    kind = row.element_type
    if kind is None:
        kind = natural_type(row.op, attributes, reader.nodes[0].types[0])
    types = (kind,) + (1,) * (len(row.shapes) - 1)
    node = Node(row.op, attributes, [], row.shapes, types)
    if row.op in LAYERS and "given" not in row.flags:
        _add_layer(reader, node, row, shape)
    else:
        words = row.operands or ["^1"]
        for word in words if words != ["()"] else ():
            node.inputs.append(_operand(reader, node, word))
    reader.nodes.append(node)


def _add_layer(reader: _Reader, node: Node, row: _Row, shape: Shape) -> None:
    """The operands of a layer whose weights are as usual."""
    natural = natural_weights(row.op, row.attributes, shape)[: weight_count(row.op, row.flags)]
    shared = [word for word in row.operands if word[0] == "="]
    others = [word for word in row.operands if word[0] != "="] or ["^1"]
    if len(others) > 1 and row.op not in GATES:
        raise WordError("'given' before operands that no such layer has")
    node.inputs = [_operand(reader, node, others[0])]
    found = {}
    for word in shared:
        weight = _operand(reader, node, word)
        found[int(word.partition(".")[2])] = weight
    if len(found) < len(shared) or not all(0 < slot <= len(natural) for slot in found):
        raise WordError("each weight of a layer once")
    for slot, (sizes, number) in enumerate(natural, start=1):
        sources = found[slot].sources if slot in found else _fresh(reader, sizes, number)
        node.inputs.append(_weight_of(sources, sizes))
    node.inputs += [_operand(reader, node, word) for word in others[1:]]


def _row(line: str) -> _Row:
    op, *words = line.split(" ")
    if not op.isidentifier() or op in ("Input", "NET") or not words or words[-1][:1] != "@":
        raise WordError("an operator, its words and an output shape (@...) at the end")
    shapes = tuple(_size(part) for part in words[-1][1:].split(","))
    attributes: dict[str, Attribute] = {}
    flags: set[str] = set()
    operands: list[str] = []
    kind = None
    for word in words[:-1]:
        if not 0 < len(word) <= WORD_LIMIT:
            raise WordError(f"words of 1 to {WORD_LIMIT} characters")
        if word in ("IN", "-", "()") or word[0] in "^=#W":
            operands.append(word)
        elif op in LAYERS and word in ("nobias", "noaffine", "given"):
            flags.add(word)
        elif match := re.fullmatch(r"type=(\d{1,2})", word):
            kind = int(match[1])
        else:
            match = _CHANNELS.fullmatch(word)
            known = ("c", (int(match[1]), int(match[2]))) if match else None
            key, value = known or read_attribute(op, word, len(shapes[0]))
            if key in attributes:
                raise WordError(f"the attribute '{key}' once")
            attributes[key] = value
    return _Row(op, attributes, flags, kind, operands, shapes)


def _size(text: str) -> Shape:
    """A shape that a tensor can have; an output that nothing names has none."""
    shape = read_size(text)
    if not is_real([dim.at(1) for dim in shape]) or not is_real([dim.at(3) for dim in shape]):
        raise WordError("a shape that a tensor can have")
    return shape


def _operand(reader: _Reader, node: Node, word: str) -> Operand:
    nodes = reader.nodes
    if word == "IN":
        return Ref(nodes[0])
    if word == "-":
        return None
    if match := _REFERENCE.fullmatch(word):
        back = int(match[1])
        if back >= len(nodes):
            raise WordError("references to lines before it, and 'IN' for the input")
        return Ref(nodes[-back], int(match[2] or 0))
    if match := _SHARED.fullmatch(word):
        weight = _earlier(reader, node, int(match[1]), int(match[2]))
        sizes = read_sizes(match[3]) if match[3] else weight.shape
        return Weight(weight.sources, sizes, weight.is_whole, told=weight.told)
    if match := _WEIGHT.fullmatch(word):
        return _weight(reader, node, match)
    if match := _CONSTANT.fullmatch(word):
        return _constant(match)
    raise WordError("operands such as ^2, IN, W8x8, =4.1 or #0.5")


def _earlier(reader: _Reader, node: Node, back: int, slot: int) -> Weight:
    """The weight in a place of an earlier line, or of this one."""
    inputs = (
        node.inputs
        if back == 0
        else reader.nodes[-back].inputs
        if back <= len(reader.nodes)
        else []
    )
    operand = inputs[slot] if slot < len(inputs) else None
    if not isinstance(operand, Weight):
        raise WordError("shared weights that stand in an earlier line")
    return operand


def _weight(reader: _Reader, node: Node, match: re.Match) -> Weight:
    sizes = read_sizes(match[1])
    if not is_real(sizes):
        raise WordError("a weight that can be")
    if match[3] is None:
        sources = _fresh(reader, sizes, 1)
    else:
        sources = tuple(_source(reader, node, part) for part in match[3].split("+"))
    return Weight(sources, sizes, match[2] is None, told=match[2] or "")


def _source(reader: _Reader, node: Node, word: str) -> str:
    """The name of a trained tensor: a new one by its size, or one that was read before."""
    if match := _SOURCE.fullmatch(word):
        weight = _earlier(reader, node, int(match[1]), int(match[2]))
        if int(match[3]) < len(weight.sources):
            return weight.sources[int(match[3])]
    elif re.fullmatch(r"\d{1,15}", word):
        return _fresh(reader, (int(word),), 1)[0]
    raise WordError("what a weight is made of, such as W8x8:1234abcd/64+=3.1.0")


def _fresh(reader: _Reader, sizes: tuple[int, ...], number: int) -> tuple[str, ...]:
    """Names of new trained tensors that have so many numbers together."""
    share, rest = divmod(math.prod(sizes), number)
    names = tuple(next(reader.names) for _ in range(number))
    reader.sizes |= {name: share + (rest if place == 0 else 0) for place, name in enumerate(names)}
    return names


def _weight_of(sources: tuple[str, ...], sizes: tuple[int, ...]) -> Weight:
    if not is_real(sizes):
        raise WordError("a layer that can be")
    return Weight(sources, sizes)


def _constant(match: re.Match) -> Constant:
    word = match[1]
    if not _DIGEST.fullmatch(word) and not (
        _NUMBER.fullmatch(word) and f"{float(word):.6g}" == word
    ):
        raise WordError("a number of six digits or a digest of eight behind '#'")
    return Constant(None, _size(match[2]) if match[2] else (), told=word)
