"""What the rewriting reads of a graph: who uses what, what is only made as large as the batch.

In: ONNX bytes of the screen. Out: a `Reading` of the canonical graph (`surrogate.encode`), in which
the spelling of the program that was recorded is gone. Not promised: that every operator of it can
be written again; `NoRuleError` says what cannot.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from surrogate import encode
from surrogate.ir import Node, Ref, Weight, refs

GATED = frozenset({"GRU", "LSTM", "RNN"})


class NoRuleError(Exception):
    """Something in the graph has no form in the canonical style; the message names it."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A canonical graph with what the rewriting asks of it again and again."""

    source: Node
    """The input."""
    output: Ref
    nodes: tuple[Node, ...]
    grown: frozenset[Node]
    """Nodes that read no example: weights made as large as the batch, and what follows of them."""
    users: dict[Node, list[Node]]
    """Each node's readers, once per reader."""
    glued: frozenset[Node]
    """Nodes whose value has no name in PyTorch: no part of a program may end with one."""


def read(graph: bytes) -> Reading:
    """Read a graph of the screen.

    Raises:
        NoRuleError: A weight is not of ordinary floats: its numbers are not in the graph.
        surrogate.encode.GraphError: The bytes are not the graph of one network.
    """
    whole = encode.read(graph)
    model = onnx.ModelProto.FromString(graph)
    kinds = {door.name: door.type.tensor_type.elem_type for door in model.graph.input}
    strange = [name for name in whole.sizes if kinds.get(name) != TensorProto.FLOAT]
    strange += [name for name in _weights(whole.nodes) if kinds.get(name) != TensorProto.FLOAT]
    if strange:
        raise NoRuleError(f"{strange[0]}, a tensor that is kept and not of floats")
    source = whole.nodes[0]
    grown: set[Node] = set()
    users: dict[Node, list[Node]] = {node: [] for node in whole.nodes}
    for node in whole.nodes[1:]:
        read_here = data(node)
        if all(ref.node in grown for ref in read_here):
            grown.add(node)
        for other in dict.fromkeys(ref.node for ref in read_here):
            users[other].append(node)
    return Reading(
        source=source,
        output=whole.outputs[0],
        nodes=whole.nodes,
        grown=frozenset(grown),
        users=users,
        glued=frozenset(_glued(whole.nodes, users)),
    )


def _weights(nodes: Iterable[Node]) -> set[str]:
    return {
        name
        for node in nodes
        for operand in node.inputs
        if isinstance(operand, Weight)
        for name in operand.sources
    }


def is_growth(node: Node) -> bool:
    """Whether a node makes a weight or constant as large as the batch (its first operand, the
    input, gives the batch size and nothing else).
    """
    return node.op == "Expand" and len(node.inputs) == 2


def data(node: Node) -> list[Ref]:
    """The operands that carry examples."""
    return [] if is_growth(node) else list(refs(node))


def _glued(nodes: Iterable[Node], users: dict[Node, list[Node]]) -> Iterable[Node]:
    """Raw outputs of recurrences, and complex numbers, which are pairs in the graph."""
    for node in nodes:
        if node.op in GATED:
            yield node
            if node.attributes.get("bi"):
                yield from (user for user in users[node] if user.op == "Transpose")
        if node.op == "DFT":
            yield node
            pair = data(node)[0].node
            if pair.op == "Concat":
                yield pair
                yield from (ref.node for ref in data(pair))


def inside(reading: Reading, entry: Ref, exit: Ref) -> list[Node]:
    """The nodes between two values, producers first; what is only grown stands before its reader.

    Raises:
        NoRuleError: The exit needs more of the examples than the entry.
    """
    done: dict[Node, None] = {entry.node: None}
    stack = [exit.node]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        if node is reading.source:
            raise NoRuleError("a part that reads the input beside its own")
        missing = [ref.node for ref in data(node) if ref.node not in done]
        if missing:
            missing.sort(key=lambda other: other not in reading.grown)
            stack.append(missing[-1])
        else:
            done[stack.pop()] = None
    del done[entry.node]
    return list(done)
