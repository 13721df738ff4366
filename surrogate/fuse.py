"""Finds what an exporter took apart - GELU, SiLU, GroupNorm, the bias of a Linear - and joins it.

In: outputs over simplified nodes; out: outputs over nodes in which each of these is one operator.
A pattern is joined only if it matches to the letter; everything else is left as it is.
"""

import math
from collections import Counter
from dataclasses import replace
from itertools import permutations

from surrogate.ir import Constant, Node, Ref, Weight, refs
from surrogate.spelling import int_tuple


def fuse(nodes: list[Node], outputs: list[Ref]) -> bool:
    """Rewrite the matching nodes in place; returns whether there are any."""
    before = [node.op for node in nodes]
    uses = Counter((ref.node, ref.output) for node in nodes for ref in refs(node))
    for output in outputs:
        uses[output.node, output.output] += 1
    is_padded = False
    for node in nodes:
        if node.op == "Conv":
            is_padded |= _padding(node)
        elif node.op == "Mul":
            _gelu(node)
            _fast_gelu(node)
            _silu(node)
        elif node.op == "Add":
            _linear_bias(node, uses)
            _conv_bias(node, uses)
            _group_norm_affine(node, uses)
        elif node.op == "View":
            _group_norm(node)
        elif node.op == "Neg":
            _log_sigmoid(node, uses)
    return is_padded or before != [node.op for node in nodes]


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
    width = linear.shape[-1].offset
    is_row = bias.shape[-1:] == (width,) and math.prod(bias.shape) == width
    if is_free and is_row and len(bias.shape) <= len(linear.shape) and bias.is_whole:
        bias = replace(bias, shape=(width,))
        attributes = dict(linear.node.attributes)
        _become(node, "Linear", [*linear.node.inputs, bias], attributes)


def _padding(node: Node) -> bool:
    """Zeros put around what a convolution reads are its own padding."""
    source = node.inputs[0]
    if not isinstance(source, Ref) or source.node.op != "Pad" or len(source.node.inputs) > 1:
        return False
    pads, rank = int_tuple(source.node.attributes["p"]) or (), len(source.shape)
    is_around = len(pads) == 2 * rank and not any((*pads[:2], *pads[rank : rank + 2]))
    if not is_around or min(pads) < 0 or "mode" in source.node.attributes:
        return False
    kernel = int_tuple(node.attributes["k"]) or ()
    dilation = int_tuple(node.attributes.get("d")) or (1,) * len(kernel)
    same = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True)) * 2
    own = int_tuple(node.attributes.pop("p", None)) or same
    both = tuple(a + b for a, b in zip(own, (*pads[2:rank], *pads[rank + 2 :]), strict=True))
    if both != same:
        node.attributes["p"] = both
    node.inputs[0] = source.node.inputs[0]
    return True


def _conv_bias(node: Node, uses: Counter) -> None:
    """A weight added to each channel of a convolution that nothing else reads."""
    conv, bias = _data_and_weight(node)
    if conv is None or bias is None or not bias.is_whole:
        return
    if not conv.node.op.startswith("Conv") or len(conv.node.inputs) != 2 or uses[conv.node, 0] != 1:
        return
    positions = len(conv.shape) - 2
    width = conv.shape[1].offset
    sizes = (width, *(1,) * positions)
    if bias.shape in (sizes, (1, *sizes)) and isinstance(conv.node.inputs[1], Weight):
        inputs = [*conv.node.inputs, replace(bias, shape=(width,))]
        _become(node, conv.node.op, inputs, dict(conv.node.attributes))


def _fast_gelu(node: Node) -> None:
    """Join `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) * 0.5`, in any order."""
    product = _with_number(node, "Mul", 0.5)
    pair = list(refs(product.node)) if product and product.node.op == "Mul" else []
    for source, other in (pair, pair[::-1]) if len(pair) == 2 else ():
        bent = _with_number(other.node, "Add", 1.0)
        inner = _data_of(bent, "Tanh") if bent else None
        total = _with_number(inner.node, "Mul", math.sqrt(2 / math.pi)) if inner else None
        if total is None or total.node.op != "Add":
            continue
        for one, rest in permutations(refs(total.node), 2):
            cube = _with_number(rest.node, "Mul", 0.044715)
            if one == source and cube is not None and _is_cube(cube.node, source):
                _become(node, "Gelu", [source], {"approximate": "tanh"})
                return


def _data_of(ref: Ref, op: str) -> Ref | None:
    """The operand of an operator of one operand."""
    return next(refs(ref.node)) if ref.node.op == op else None


def _is_cube(node: Node, source: Ref) -> bool:
    """Whether a node is `x * (x * x)` or `x ^ 3`."""
    if _with_number(node, "Pow", 3.0) == source:
        return isinstance(node.inputs[0], Ref)
    for one, rest in permutations(refs(node), 2) if node.op == "Mul" else ():
        if one == source and rest.node.op == "Mul" and list(refs(rest.node)) == [source] * 2:
            return True
    return False


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
