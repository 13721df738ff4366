"""An ONNX file as a canonical graph: its text, its hash and its size, read from the file alone.

    graph = read(Path("net.onnx")); graph.text, graph.hash, graph.parameters, graph.macs

Names, node order, batch size at export, and whether weights lie in the file make no difference. The
text is what the predictor reads; its version stands in `TEXT_VERSION`. Weights are never looked at.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from surrogate import cost, text
from surrogate.errors import GraphError
from surrogate.fuse import fuse
from surrogate.ir import Node, Ref
from surrogate.onnxfile import load
from surrogate.order import graph_hash, put_in_order
from surrogate.simplify import simplify
from surrogate.trace import Tracer

TEXT_VERSION = 1

__all__ = ["TEXT_VERSION", "Graph", "GraphError", "read"]


@dataclass(frozen=True)
class Graph:
    """A network as its canonical graph."""

    nodes: tuple[Node, ...]
    """In canonical order; the first one is the input."""
    outputs: tuple[Ref, ...]
    parameters: int
    """Trained numbers; shared ones count once, running statistics and unused ones do not."""
    macs: int
    """Multiply-accumulates for one example."""
    depth: int
    """Weighted operators on the longest path."""

    @property
    def node_count(self) -> int:
        """Operators of the canonical graph."""
        return len(self.nodes) - 1

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical graph."""
        return graph_hash(list(self.nodes), list(self.outputs))

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The text line by line, repetitions folded."""
        written = text.write(list(self.nodes), list(self.outputs))
        return (written[0], *text.fold(written[1:]))

    @property
    def text(self) -> str:
        """The graph as the predictor reads it."""
        return "\n".join(self.lines)


def read(data: bytes | Path) -> Graph:
    """Return the graph of an ONNX file; raises `GraphError` if it is not one usable network."""
    model = load(data)
    outputs = Tracer(model).run()
    outputs = simplify(fuse(simplify(outputs)))
    nodes = put_in_order(outputs)
    return Graph(
        nodes=tuple(nodes),
        outputs=tuple(outputs),
        parameters=cost.parameters(nodes, model.weights),
        macs=cost.macs(nodes),
        depth=cost.depth(nodes),
    )
