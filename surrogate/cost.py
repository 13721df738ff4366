"""Parameters, multiply-accumulates and depth of a canonical graph, for one example.

MACs are those of convolutions, Linear layers, matrix products and recurrences; what weights undergo
before data meets them (a transpose, a sum) costs nothing here.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

from surrogate.ir import Node, Ref, Shape, Weight, refs

FLOAT_BYTES = 4
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
WEIGHTED = {"Conv", "ConvTranspose", "Linear", "MatMul", "Gemm", "Einsum", *GATES}


def trained(
    nodes: list[Node], weights: Mapping[str, tuple[tuple[int, ...], int]]
) -> dict[str, int]:
    """Elements of each trained tensor that the graph uses."""
    return {
        name: math.prod(weights[name][0])
        for node in nodes
        for operand in node.inputs
        if type(operand) is Weight
        for name in operand.sources
    }


def macs(nodes: list[Node]) -> int:
    """Multiply-accumulates for one example."""
    return sum(node_macs(node) for node in nodes)


def depth(nodes: list[Node]) -> int:
    """Weighted operators on the longest path."""
    depths: dict[Node, int] = {}
    for node in nodes:
        own = 0
        if node.op in WEIGHTED:
            own = int(any(isinstance(operand, Weight) for operand in node.inputs))
        below = [depths[o.node] for o in node.inputs if type(o) is Ref]
        depths[node] = own + max(below, default=0)
    return max(depths.values())


def activation_bytes(nodes: list[Node], outputs: list[Ref]) -> int:
    """The largest sum of float32 activations that are alive at once, for one example.

    Node after node in the order given: a value lives from the node that makes it to the last one
    that reads it; a node's operands and results are alive together. Weights are not counted.
    """
    last_reader: dict[Node, int] = {}
    for index, node in enumerate(nodes):
        last_reader[node] = index
        for operand in node.inputs:
            if type(operand) is Ref:
                last_reader[operand.node] = index
    for output in outputs:
        last_reader[output.node] = len(nodes)
    dying: dict[int, int] = defaultdict(int)
    alive = most = 0
    for index, node in enumerate(nodes):
        size = sum(map(_elements, node.shapes))
        alive += size
        most = max(most, alive)
        dying[last_reader[node]] += size
        alive -= dying[index]
    return most * FLOAT_BYTES


def node_macs(node: Node) -> int:
    """Multiply-accumulates of one operator for one example."""
    if node.op not in WEIGHTED:
        return 0
    outputs = _elements(node.shape)
    match node.op:
        case "Conv" | "ConvTranspose":
            kernel, channels = node.attributes["k"], node.attributes["c"]
            groups = node.attributes.get("g", 1)
            assert isinstance(kernel, tuple)
            assert isinstance(channels, tuple)
            assert isinstance(groups, int)
            if node.op == "Conv":
                return outputs * int(channels[0]) // groups * _product(kernel)
            inputs = _elements(next(refs(node)).shape)
            return inputs * int(channels[1]) // groups * _product(kernel)
        case "Linear":
            channels = node.attributes["c"]
            assert isinstance(channels, tuple)
            return outputs * int(channels[0])
        case "MatMul" | "Gemm":
            left = _operand_shape(node, 0)
            axis = 0 if node.attributes.get("transA") else -1
            return outputs * left[axis] if left else 0
        case "GRU" | "LSTM" | "RNN":
            return _recurrent_macs(node)
        case "Einsum":
            return _einsum_macs(node)
    return 0


def _recurrent_macs(node: Node) -> int:
    inputs, hidden = node.attributes["c"]  # type: ignore[misc]
    directions = 2 if node.attributes.get("bi") else 1
    steps = next(refs(node)).shape[0].at(1) * next(refs(node)).shape[1].at(1)
    return steps * directions * GATES[node.op] * hidden * (inputs + hidden)  # type: ignore[operator]


def _einsum_macs(node: Node) -> int:
    """The product of all distinct indices; those of an ellipsis count from the last."""
    left = str(node.attributes["equation"]).replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for index, term in enumerate(left):
        shape = _operand_shape(node, index)
        before, dots, after = term.partition("...")
        more = len(shape) - len(before) - len(after)
        if more < 0 or (more and not dots):
            return 0
        letters = [*before, *(f"...{place}" for place in range(more, 0, -1)), *after]
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return math.prod(sizes.values())


def _operand_shape(node: Node, index: int) -> tuple[int, ...]:
    operand = node.inputs[index]
    if isinstance(operand, Weight):
        return operand.shape
    return tuple(dim.at(1) for dim in operand.shape) if operand is not None else ()


@lru_cache(maxsize=16_384)
def _elements(shape: Shape) -> int:
    return math.prod(dim.at(1) for dim in shape)


def _product(values: tuple) -> int:
    return math.prod(int(value) for value in values)
