"""Operators that tracing exporters write as several: here they are too, so that routes meet.

In: the data operand of one of `COMPOSED`, its shape and type; out: the nodes, producers first.
"""

from collections.abc import Callable

import numpy as np

from surrogate.ir import Constant, Node, Operand, Ref


def _mish(source: Ref, like: Node) -> list[Node]:
    """X * tanh(softplus(x))."""
    soft = _node("Softplus", [source], like)
    bent = _node("Tanh", [Ref(soft)], like)
    return [soft, bent, _node("Mul", [source, Ref(bent)], like)]


def _softsign(source: Ref, like: Node) -> list[Node]:
    """X / (1 + |x|)."""
    one = np.ones((), np.float32)
    size = _node("Abs", [source], like)
    total = _node("Add", [Ref(size), Constant((one, one), ())], like)
    return [size, total, _node("Div", [source, Ref(total)], like)]


def _node(op: str, inputs: list[Operand], like: Node) -> Node:
    return Node(op, {}, inputs, like.shapes, like.types, {})


COMPOSED: dict[str, Callable[[Ref, Node], list[Node]]] = {"Mish": _mish, "Softsign": _softsign}
