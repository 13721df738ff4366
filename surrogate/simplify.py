"""Brings each node into one spelling, drops litter and merges twins.

In: outputs over the nodes of `trace`, as exporters wrote them; out: outputs over nodes in canonical
words. Operators without a rule keep their ONNX name and every attribute that is not the default.
"""

from surrogate import layers, layout
from surrogate.ir import COMMUTATIVE, Constant, Node, Operand, Ref, Weight
from surrogate.spelling import keep_attributes

RULES = layers.RULES | layout.RULES


def simplify(nodes: list[Node], outputs: list[Ref]) -> tuple[list[Node], list[Ref]]:
    """Rewrite the nodes, producers first; returns those that stay, and the outputs."""
    replaced: dict[Ref, Ref] = {}
    twins: dict[tuple, Node] = {}
    for node in nodes:
        if replaced:
            node.inputs = [replaced.get(o, o) if type(o) is Ref else o for o in node.inputs]
        kept = _spell(node)
        if isinstance(kept, Ref):
            replaced[Ref(node)] = kept
            continue
        if kept.op == "Split":
            for index in range(len(node.shapes)):
                part = layout.split_part(Ref(node, index))
                replaced[Ref(node, index)] = Ref(twins.setdefault(identity(part), part))
            continue
        twin = twins.setdefault(identity(kept), kept)
        if twin is not node:
            for index in range(len(node.shapes)):
                replaced[Ref(node, index)] = Ref(twin, index)
    return list(twins.values()), [replaced.get(output, output) for output in outputs]


def _spell(node: Node) -> Node | Ref:
    """The node in canonical words, or the value that makes it superfluous."""
    if node.raw is None:
        return layout.merge(node)
    raw, node.raw = node.raw, None
    if node.op in RULES:
        return RULES[node.op](node, raw)
    keep_attributes(node, raw)
    return node


def identity(node: Node) -> tuple:
    """Two nodes with one identity compute the same."""
    keys = [operand_key(operand) for operand in node.inputs]
    attributes = node.attributes
    if node.op in COMMUTATIVE and len(keys) > 1:
        keys.sort(key=hash)  # any order that equal keys share
    known = tuple(sorted(attributes.items())) if attributes else ()
    return node.op, known, tuple(keys), node.shapes


def operand_key(operand: Operand) -> tuple:
    """What an operand is, for the comparison of nodes of one graph."""
    if type(operand) is Ref:
        return ("ref", id(operand.node), operand.output)
    if isinstance(operand, Weight):
        return operand.key
    if isinstance(operand, Constant):
        scalar = operand.scalar
        return ("constant", operand.digest if scalar is None else scalar, operand.shape)
    return ("none",)
