"""Whether two programs differ in operators or wiring, or in numbers only.

In: canonical lines and the surrogate's text of two programs. Out: yes or no. Both views must agree:
the lines differ once every number is taken out, and the graphs differ once sizes are taken out.
A graph without sizes is what each operator is applied to: its kind (a convolution's is plain,
grouped or depthwise, dilated or not), and the operators behind its operands; kernels, strides,
widths and positions are gone. Not promised: that a structural change matters.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from surrogate.decode import decode
from surrogate.ir import COMMUTATIVE, Node, Ref

_NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")


def is_structural(
    child_lines: Sequence[str], child_text: str, parent_lines: Sequence[str], parent_text: str
) -> bool:
    """Whether the child differs from the parent in more than numbers."""
    same_lines = without_numbers(child_lines) == without_numbers(parent_lines)
    return not same_lines and skeleton(child_text) != skeleton(parent_text)


def without_numbers(lines: Sequence[str]) -> list[str]:
    """The lines with every number replaced by one sign; dimensions in names (`1d`) stay."""
    return [_NUMBER.sub("#", line.strip()) for line in lines]


@lru_cache(maxsize=8192)
def skeleton(text: str) -> str:
    """A digest of the graph's operators and wiring, free of sizes and of the order of nodes."""
    graph = decode(text)
    digests: dict[Node, str] = {}
    for node in graph.nodes:
        operands = [
            f"{digests[operand.node]}.{operand.output}" if isinstance(operand, Ref) else "-"
            for operand in node.inputs
        ]
        if node.op in COMMUTATIVE:
            operands.sort()
        digests[node] = _digest("|".join([kind(node), *operands]))
    counts = sorted(Counter(kind(node) for node in graph.nodes).items())
    return _digest(f"{[digests[ref.node] for ref in graph.outputs]} {counts}")


def kind(node: Node) -> str:
    """The operator; of a convolution also whether it is grouped, depthwise or dilated."""
    if "Conv" not in node.op:
        return node.op
    groups = node.attributes.get("g", 1)
    source = node.inputs[0]
    channels = source.shape[1].offset if isinstance(source, Ref) else 0
    grouped = "plain" if groups == 1 else "depthwise" if groups == channels else "grouped"
    return f"{node.op} {grouped}{' dilated' if 'd' in node.attributes else ''}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
