"""A module -> its graph: two real forwards under a mode that writes down what torch is asked to do.

    recording = record(net, lambda batch: (torch.randn(batch, 3, 32, 32),))

The forwards run at the batch sizes of `BATCHES`; what differs between the two recordings is the
batch axis. Weights are inputs of the graph under the names of the state dict; BatchNorm and the
other layers stay what they are. Rules for the operations are in the files `ops_*.py`.
"""

import contextlib
import gc
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from evoprompt.screen.recorder import (
    ops_activation,
    ops_attention,
    ops_complex,
    ops_elementwise,
    ops_index,
    ops_layers,
    ops_norm,
    ops_pool,
    ops_product,
    ops_recurrent,
    ops_reduce,
    ops_refused,
    ops_resample,
    ops_shape,
    ops_special,
    ops_views,
    ops_write,
)
from evoprompt.screen.recorder.merge import BatchDependentError, Merger
from evoprompt.screen.recorder.tape import Held, Node, Tape, UnsupportedError
from evoprompt.screen.recorder.write import ELEMENT_TYPES, INPUT, OUTPUT, Writer

BATCHES = (2, 1)  # the checker looks at the finished graph at 1 and 3
FAMILIES = (
    ops_layers,
    ops_elementwise,
    ops_shape,
    ops_index,
    ops_reduce,
    ops_attention,
    ops_recurrent,
    ops_resample,
    ops_pool,
    ops_special,
    ops_refused,
    ops_write,
    ops_norm,
    ops_product,
    ops_complex,
    ops_views,
    ops_activation,
)
"""Where the rules are."""

__all__ = ["BATCHES", "BatchDependentError", "Recording", "UnsupportedError", "record"]

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Recording:
    """What became of one module."""

    model: ModelProto
    outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
    """The module's own answers at the two batch sizes."""


def record(
    net: nn.Module,
    make_inputs: Callable[[int], Inputs],
    look: Callable[[Any, int], None] | None = None,
) -> Recording:
    """Record a module in eval mode.

    Args:
        net: Its lazy layers must have been called once.
        make_inputs: Gives the inputs for a batch size, each with the batch as its first axis.
        look: Sees the module's answer at each batch size before it is used; may raise.

    Raises:
        UnsupportedError: For an operation without a rule; the message names it.
        BatchDependentError: If the two recordings are not those of one network.
        Exception: Whatever the module itself raises.
    """
    with _no_collection():
        return _record(net, make_inputs, look or (lambda result, batch: None))


def _record(
    net: nn.Module, make_inputs: Callable[[int], Inputs], look: Callable[[Any, int], None]
) -> Recording:
    inputs = [make_inputs(batch) for batch in BATCHES]
    weights = list(weights_of(net))
    outputs: list[Inputs] = []
    try:
        tapes, outputs = _two_forwards(net, weights, inputs, look)
        return Recording(_model(inputs, tapes, outputs), (outputs[0], outputs[1]))
    finally:  # no tensor that lives on may hold the tapes
        for tensor in (*(weight for _, weight in weights), *itertools.chain(*outputs)):
            if "_recorded" in getattr(tensor, "__dict__", ()):
                del tensor._recorded  # type: ignore[attr-defined]


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's collector from walking a large heap for the many small nodes; none is lost."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def _model(inputs: list[Inputs], tapes: list[Tape], outputs: list[Inputs]) -> ModelProto:
    merger = Merger(*BATCHES)
    writer = Writer()
    for index, (ours, theirs) in enumerate(zip(*inputs, strict=True)):
        sizes = merger.sizes(tuple(ours.shape), tuple(theirs.shape), "the input")
        writer.add_door(writer.graph.input, _door(INPUT, INPUT, index), ours.dtype, sizes)
    try:
        nodes = merger.nodes(tapes[0].nodes, tapes[1].nodes)
    except BatchDependentError:
        if tapes[0].random:
            name = tapes[0].random[0]
            raise UnsupportedError(f"random numbers in forward ({name})") from None
        raise
    names = _name_outputs(tapes[0], outputs[0], nodes)
    nodes, needed = _needed(nodes, names)
    for name, weight in tapes[0].used_weights.items():
        if name in needed:
            writer.add_weight(name, weight)
    for node in nodes:
        writer.add(node)
    for name, ours, theirs in zip(names, *outputs, strict=True):
        sizes = merger.sizes(tuple(ours.shape), tuple(theirs.shape), "the output")
        writer.add_door(writer.graph.output, name, ours.dtype, sizes)
    return writer.model()


def weights_of(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of the state dict; one that has several names comes once more for each."""
    for prefix, module in net.named_modules():
        start = f"{prefix}." if prefix else ""
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield start + name, parameter
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                yield start + name, buffer


def _two_forwards(
    net: nn.Module,
    weights: list[tuple[str, Tensor]],
    inputs: list[Inputs],
    look: Callable[[Any, int], None],
) -> tuple[list[Tape], list[Inputs]]:
    tapes: list[Tape] = []
    outputs: list[Inputs] = []
    for batch, values in zip(BATCHES, inputs, strict=True):
        try:
            tape, result = _forward(net, weights, values)
        except (UnsupportedError, MemoryError):
            raise
        except Exception as error:
            if not tapes:
                raise
            raise BatchDependentError(f"it fails at batch size {batch}") from error
        look(result, batch)
        tapes.append(tape)
        outputs.append(result if isinstance(result, tuple) else (result,))
    return tapes, outputs


def _forward(net: nn.Module, weights: list[tuple[str, Tensor]], inputs: Inputs) -> tuple[Tape, Any]:
    tape = Tape(weights)
    for index, tensor in enumerate(inputs):
        tape.feed(tensor, _door(INPUT, INPUT, index))
    try:
        with torch.no_grad(), tape:
            result = net(*inputs)
        tape.finish(inputs, result)
    except Exception:
        if tape.refused:  # the candidate may have caught it, and failed of something else
            raise UnsupportedError(tape.refused[0]) from None
        raise
    if tape.refused:
        raise UnsupportedError(tape.refused[0])
    return tape, result


def _door(first: str, further: str, index: int) -> str:
    return f"{further}_{index}" if index else first


def _needed(nodes: list[Node], outputs: list[str]) -> tuple[list[Node], set[str]]:
    """The nodes that the outputs need, and the names of all values that they use."""
    needed = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update([name for name in node.inputs if type(name) is str])
    return kept[::-1], needed


def _name_outputs(tape: Tape, outputs: tuple[Tensor, ...], nodes: list[Node]) -> list[str]:
    """Call the graph's outputs by the names of its doors, which are returned.

    A value that has another name to keep (an input, a weight, a second door) is copied first.
    """
    doors: dict[str, str] = {}
    for index, tensor in enumerate(outputs):
        if not isinstance(tensor, Tensor) or tensor.dtype not in ELEMENT_TYPES:
            raise UnsupportedError(f"an output that is a {type(tensor).__name__}")
        value = tape.value(tensor)
        if isinstance(value, Held):
            raise UnsupportedError("an output that does not depend on the input")
        is_made = isinstance(value, str) and value.startswith(".")  # weights never do
        if not is_made or value in doors:
            copy = f".out{index}"
            nodes.append(Node("Identity", [value], [copy]))
            value = copy
        doors[str(value)] = _door(OUTPUT, "output", index)
    for value, name in doors.items():
        for node in nodes:
            if value in node.outputs:
                node.outputs[node.outputs.index(value)] = name
            if value in node.inputs:
                node.inputs = [name if operand == value else operand for operand in node.inputs]
    return list(doors.values())
