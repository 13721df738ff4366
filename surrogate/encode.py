"""An ONNX file as a canonical graph: its text, its hash and its size, read from the file alone.

    graph = read(Path("net.onnx")); graph.text, graph.hash, graph.parameters, graph.macs

Names, node order, operand order of sums, batch size at export, and whether weights lie in the file
make no difference; neither does which exporter wrote common layers. The text is what the predictor
reads; its version stands in `TEXT_VERSION`. Weights are never looked at. Not promised: to tell a
buffer from a parameter (a file does not), but for the running statistics of norms; to tell two
layouts of one square weight apart, such as a layer and its transpose.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import onnx

from surrogate import cost, text
from surrogate.errors import BadShapeError, BatchError, BatchShapeError, GraphError, problem
from surrogate.folding import fold
from surrogate.fuse import fuse
from surrogate.ir import Node, Ref, live_in
from surrogate.onnxfile import Model, load
from surrogate.order import graph_hash, put_in_order
from surrogate.simplify import simplify
from surrogate.trace import Tracer

TEXT_VERSION = 2

_TASK = re.compile(r"\w[\w.-]{0,63}")

FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError),
    *(StopIteration, TypeError, ValueError, BadShapeError, onnx.checker.ValidationError),
)
"""What reading raises on files that were built to break it."""

__all__ = ["TEXT_VERSION", "Graph", "GraphError", "read"]


@dataclass(frozen=True)
class Graph:
    """A network as its canonical graph."""

    nodes: tuple[Node, ...]
    """In canonical order; the first one is the input."""
    outputs: tuple[Ref, ...]
    sizes: Mapping[str, int] = field(repr=False)
    """Numbers in each trained tensor that the network uses; running statistics are none."""
    macs: int
    """Multiply-accumulates for one example."""
    depth: int
    """Weighted operators on the longest path."""
    activation_bytes: int
    """The most that live activations of one example take, as float32, in the canonical order."""
    task: str = ""
    """The name of the task, which stands in the text and changes nothing else."""

    @property
    def parameters(self) -> int:
        """Weights' numbers; shared ones count once, running statistics and unused ones do not."""
        return sum(self.sizes.values())

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
        written = text.write(list(self.nodes), list(self.outputs), self.sizes, self.task)
        return (written[0], *fold(written[1:]))

    @property
    def text(self) -> str:
        """The graph as the predictor reads it."""
        return "\n".join(self.lines)


def read(data: bytes | Path | onnx.ModelProto, task: str = "") -> Graph:
    """Return the graph of an ONNX file, or of a model in memory, which is left as it is.

    Everything is checked here: the file by `onnx.checker`, its types and shapes by strict
    inference over the whole graph at the batch sizes 1 and 3.

    Raises:
        GraphError: For whatever is not one usable network, hostile bytes included.
    """
    if task and not _TASK.fullmatch(task):
        what, expected = f"'{task[:80]}'", "letters, digits, '.', '-' and '_', at most 64"
        raise GraphError(problem(what, "the name of the task", expected, "Choose another name"))
    try:
        return _read(load(data), task)
    except GraphError:
        raise
    except FAILURES as error:
        where = str(data) if isinstance(data, Path) else "ONNX graph"
        what = " ".join(str(error).split())[:200]
        if not isinstance(error, BadShapeError):
            what = f"it cannot be read ({type(error).__name__}: {what})"
        kind = BatchError if isinstance(error, BatchShapeError) else GraphError
        raise kind(problem(what, where, "a network", "Change the network")) from error


def _read(model: Model, task: str) -> Graph:
    tracer = Tracer(model)
    outputs = tracer.run()
    nodes, outputs = simplify(live_in(tracer.nodes, outputs), outputs)
    nodes = live_in(nodes, outputs)
    if fuse(nodes, outputs):
        nodes, outputs = simplify(live_in(nodes, outputs), outputs)
    nodes = put_in_order(nodes, outputs)
    return Graph(
        nodes=tuple(nodes),
        outputs=tuple(outputs),
        sizes=cost.trained(nodes, model.weights),
        macs=cost.macs(nodes),
        depth=cost.depth(nodes),
        activation_bytes=cost.activation_bytes(nodes, outputs),
        task=task,
    )
