"""Brings each node into one spelling, drops litter and merges twins.

In: outputs over the nodes of `trace`, as exporters wrote them; out: outputs over nodes in canonical
words. Operators without a rule keep their ONNX name and every attribute that is not the default.
"""

from surrogate import layers, layout
from surrogate.ir import Constant, Node, Operand, Ref, Weight, live_nodes
from surrogate.spelling import COMMUTATIVE, keep_attributes

RULES = layers.RULES | layout.RULES


def simplify(outputs: list[Ref]) -> list[Ref]:
    """Rewrite all live nodes; returns the outputs of the simplified graph."""
    replaced: dict[tuple[Node, int], Ref] = {}
    twins: dict[tuple, Node] = {}
    for node in live_nodes(outputs):
        node.inputs = [_follow(operand, replaced) for operand in node.inputs]
        kept = _spell(node)
        if isinstance(kept, Ref):
            replaced[node, 0] = kept
            continue
        if kept.op == "Split":
            for index in range(len(node.shapes)):
                part = layout.split_part(Ref(node, index))
                replaced[node, index] = Ref(twins.setdefault(identity(part), part))
            continue
        twin = twins.setdefault(identity(kept), kept)
        if twin is not node:
            for index in range(len(node.shapes)):
                replaced[node, index] = Ref(twin, index)
    return [replaced.get((output.node, output.output), output) for output in outputs]


def _spell(node: Node) -> Node | Ref:
    """The node in canonical words, or the value that makes it superfluous."""
    if node.raw is None:
        return layout.merge(node)
    raw, node.raw = node.raw, None
    if node.op in RULES:
        return RULES[node.op](node, raw)
    keep_attributes(node, raw)
    return node


def _follow(operand: Operand, replaced: dict[tuple[Node, int], Ref]) -> Operand:
    if not isinstance(operand, Ref):
        return operand
    return replaced.get((operand.node, operand.output), operand)


def identity(node: Node) -> tuple:
    """Two nodes with one identity compute the same."""
    keys = [operand_key(operand) for operand in node.inputs]
    if node.op in COMMUTATIVE:
        keys.sort(key=repr)
    return node.op, tuple(sorted(node.attributes.items())), tuple(keys), node.shapes


def operand_key(operand: Operand) -> tuple:
    """What an operand is, for the comparison of nodes of one graph."""
    match operand:
        case Ref():
            return ("ref", id(operand.node), operand.output)
        case Weight():
            return ("weight", operand.key)
        case Constant():
            scalar = operand.scalar
            return ("constant", operand.digest if scalar is None else scalar, operand.shape)
        case _:
            return ("none",)
