"""Layers that the graph holds as several operators: Mish, Softsign, GLU, shuffles.

In: the nodes between two values. Out: the lines of PyTorch's own layers, or None.
"""

from math import prod

from evoprompt.rewrite.reading import data
from surrogate.ir import Constant, Node, Ref, Weight


def lines(start: Ref, stop: Ref, nodes: list[Node]) -> list[str] | None:
    """The layer that several operators are."""
    if any(isinstance(operand, Weight) for node in nodes for operand in node.inputs):
        return None
    ops = sorted(node.op for node in nodes)
    rule = _RULES.get(tuple(ops))
    return rule(start, stop, nodes) if rule else None


def _mish(start: Ref, stop: Ref, nodes: list[Node]) -> list[str] | None:
    """X * tanh(softplus(x))."""
    others = [ref for ref in data(stop.node) if ref != start]
    is_mish = stop.node.op == "Mul" and len(others) == 1 and others[0].node.op == "Tanh"
    return ["nn.Mish()"] if is_mish and not any(n.attributes for n in nodes) else None


def _softsign(start: Ref, stop: Ref, nodes: list[Node]) -> list[str] | None:
    """X / (1 + |x|)."""
    if stop.node.op != "Div" or stop.node.inputs[0] != start:
        return None
    total = data(stop.node)[-1].node
    ones = [o.scalar for o in total.inputs if isinstance(o, Constant)]
    return ["nn.Softsign()"] if total.op == "Add" and ones == [1.0] else None


def _glu(start: Ref, stop: Ref, nodes: list[Node]) -> list[str] | None:
    """First half times the sigmoid of the second."""
    others = [ref.node for ref in data(stop.node)]
    gates = [node for node in others if node.op == "Sigmoid"]
    signals = [node for node in others if node.op == "Slice"]
    if stop.node.op != "Mul" or len(gates) != 1 or len(signals) != 1:
        return None
    second = data(gates[0])[0].node
    pair = [signals[0].attributes, second.attributes]
    if any("step" in one or len(one["a"]) != 1 for one in pair):  # type: ignore[arg-type]
        return None
    [axis] = signals[0].attributes["a"]  # type: ignore[misc]
    size = start.shape[axis].offset  # type: ignore[index]
    ends = [(one["a"], one["from"], one["to"]) for one in pair]
    half = size // 2
    is_halved = ends == [((axis,), (0,), (half,)), ((axis,), (half,), (size,))]
    return [f"nn.GLU({axis})"] if is_halved and size % 2 == 0 else None


_RULES = {
    ("Mul", "Softplus", "Tanh"): _mish,
    ("Abs", "Add", "Div"): _softsign,
    ("Mul", "Sigmoid", "Slice", "Slice"): _glu,
}


def shuffle(start: Ref, stop: Ref, nodes: tuple[Node, ...]) -> str | None:
    """View, Transpose, View: channels that are shuffled, or positions that become channels."""
    if [node.op for node in nodes] != ["View", "Transpose", "View"] or len(start.shape) < 3:
        return None
    order, inner = nodes[1].attributes["order"], [dim.offset for dim in nodes[0].shape]
    sizes = [dim.offset for dim in start.shape]
    shuffled = [0, inner[1], sizes[1] // inner[1], prod(sizes[2:])]
    if start.shape == stop.shape and order == (0, 2, 1, 3) and inner == shuffled:
        return f"nn.ChannelShuffle({inner[1]})"
    if len(inner) == 6 and len(sizes) == 4 and order == (0, 1, 3, 5, 2, 4):
        step = inner[3]
        wanted = [0, sizes[1], sizes[2] // step, step, sizes[3] // step, step]
        after = [0, sizes[1] * step * step, sizes[2] // step, sizes[3] // step]
        if inner == wanted and [dim.offset for dim in stop.shape] == after:
            return f"nn.PixelUnshuffle({step})"
    return None
