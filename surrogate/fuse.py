"""Finds what an exporter took apart - GELU, SiLU, GroupNorm, the bias of a Linear - and joins it.

In: outputs over simplified nodes; out: outputs over nodes in which each of these is one operator.
A pattern is joined only if it matches to the letter; everything else is left as it is.
"""

import math
from collections import Counter

from surrogate.ir import Constant, Node, Ref, Weight, refs


def fuse(nodes: list[Node], outputs: list[Ref]) -> bool:
    """Rewrite the matching nodes in place; returns whether there are any."""
    before = [node.op for node in nodes]
    uses = Counter((ref.node, ref.output) for node in nodes for ref in refs(node))
    for output in outputs:
        uses[output.node, output.output] += 1
    for node in nodes:
        if node.op == "Mul":
            _gelu(node)
            _silu(node)
        elif node.op == "Add":
            _linear_bias(node, uses)
            _group_norm_affine(node, uses)
        elif node.op == "View":
            _group_norm(node)
        elif node.op == "Neg":
            _log_sigmoid(node, uses)
    return before != [node.op for node in nodes]


def _become(node: Node, op: str, inputs: list, attributes: dict | None = None) -> None:
    node.op, node.inputs, node.attributes = op, inputs, attributes or {}


def _with_number(node: Node, op: str, number: float) -> Ref | None:
    """The data operand of `op(data, number)`; the order counts for division only."""
    if node.op != op or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    if op != "Div" and isinstance(left, Constant):
        left, right = right, left
    if not isinstance(left, Ref) or not isinstance(right, Constant) or not right.has_one_element:
        return None
    value = right.scalar
    return left if value is not None and math.isclose(value, number, rel_tol=1e-4) else None


def _gelu(node: Node) -> None:
    """Join `x * (1 + erf(x / sqrt 2)) * 0.5`."""
    product = _with_number(node, "Mul", 0.5)
    if product is None or product.node.op != "Mul":
        return
    pair = list(refs(product.node))
    for source, other in (pair, pair[::-1]) if len(pair) == 2 else ():
        erf = _with_number(other.node, "Add", 1.0)
        if erf is None or erf.node.op != "Erf":
            continue
        inner = next(refs(erf.node))
        if _with_number(inner.node, "Div", math.sqrt(2)) == source:
            _become(node, "Gelu", [source])
            return


def _silu(node: Node) -> None:
    """Join `x * sigmoid(x)`."""
    pair = list(refs(node))
    for source, other in (pair, pair[::-1]) if len(pair) == 2 else ():
        if other.node.op == "Sigmoid" and other.node.inputs == [source]:
            _become(node, "Swish", [source])
            return


def _log_sigmoid(node: Node, uses: Counter) -> None:
    """Write `-softplus(-x)` as tracing exporters do: log(sigmoid(x))."""
    soft = next(refs(node)).node
    if soft.op != "Softplus" or uses[soft, 0] != 1 or next(refs(soft)).node.op != "Neg":
        return
    _become(soft, "Sigmoid", [next(refs(next(refs(soft)).node))])
    _become(node, "Log", [Ref(soft)])


def _linear_bias(node: Node, uses: Counter) -> None:
    """A weight added to the last axis of a Linear that nothing else reads."""
    pair = sorted(node.inputs, key=lambda operand: not isinstance(operand, Ref))
    linear, bias = pair
    if not isinstance(linear, Ref) or not isinstance(bias, Weight) or linear.node.op != "Linear":
        return
    is_free = len(linear.node.inputs) == 2 and uses[linear.node, 0] == 1
    if is_free and bias.shape == (linear.shape[-1].offset,):
        attributes = dict(linear.node.attributes)
        _become(node, "Linear", [*linear.node.inputs, bias], attributes)


def _group_norm(node: Node) -> None:
    """View(InstanceNorm(View(x))) with unit scale; torch writes GroupNorm so."""
    norm = next(refs(node)).node
    if norm.op != "InstanceNorm" or len(norm.inputs) != 3:
        return
    source, scale, shift = norm.inputs
    if not isinstance(scale, Constant) or not isinstance(shift, Constant):
        return
    if (scale.scalar, shift.scalar) != (1.0, 0.0) or not isinstance(source, Ref):
        return
    if source.node.op != "View" or next(refs(source.node)).shape != node.shape:
        return
    groups = source.shape[1].offset
    _become(node, "GroupNorm", [next(refs(source.node))], {"g": groups, **norm.attributes})


def _group_norm_affine(node: Node, uses: Counter) -> None:
    """The scale and the shift per channel that torch puts behind a GroupNorm."""
    product, shift = _data_and_weight(node)
    if product is None or product.node.op != "Mul" or uses[product.node, 0] != 1:
        return
    norm, scale = _data_and_weight(product.node)
    if norm is None or norm.node.op != "GroupNorm" or len(norm.node.inputs) != 1:
        return
    channels = norm.shape[1].offset
    for weight in (scale, shift):
        if weight is None or math.prod(weight.shape) != channels or weight.shape[:1] != (channels,):
            return
    _become(node, "GroupNorm", [*norm.node.inputs, scale, shift], dict(norm.node.attributes))


def _data_and_weight(node: Node) -> tuple[Ref | None, Weight | None]:
    for left, right in (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ():
        if isinstance(left, Ref) and isinstance(right, Weight):
            return left, right
    return None, None
