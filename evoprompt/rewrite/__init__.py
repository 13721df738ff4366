"""A recorded graph -> the program that the grammar would write: style is erased by recording.

In: the ONNX bytes of a screened program and the task's shapes. Out: canonical source whose graph
is the same, or None where something has no rule; pure and deterministic, no code of a candidate
runs here. Not promised: what a graph does not hold, which is dropout, how parameters begin, and
what a module keeps beside its weights; and that the result is right: the caller screens it and
keeps it only if the graph's hash is the same.
"""

from evoprompt.rewrite.program import source
from evoprompt.rewrite.reading import NoRuleError, read
from surrogate.encode import FAILURES, GraphError

__all__ = ["rewrite"]


def rewrite(graph: bytes, in_shape: tuple[int, ...], num_classes: int) -> str | None:
    """The canonical program of a graph; None if an operator has no rule."""
    try:
        return source(read(graph), in_shape, num_classes)
    except (NoRuleError, GraphError, *FAILURES):  # a graph that is built to break the reading
        return None
