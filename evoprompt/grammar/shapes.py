"""Shapes and sizes of a program of the grammar, computed without running it, and its repair.

In: a `Spec`. Out: channels and spatial size behind every entry, the parameter count, or the nearest
spec that builds, runs and exports for its input shape.
Not promised: anything about programs outside the grammar.
"""

from dataclasses import dataclass, replace
from math import prod
from random import Random

from evoprompt.grammar.blocks import (
    ARGUMENTS,
    TEMPLATES,
    WRAPPER,
    block_outputs,
    block_parameters,
    default_block,
    random_block,
)
from evoprompt.grammar.spec import Entry, Head, Spec, needed_kinds

MAXIMUM_POSITIONS = 400  # attention and recurrence over more positions cost seconds per batch
MAXIMUM_FEATURES = 8192  # flattened features in front of a linear layer
MAXIMUM_BLOCKS = 3  # helper classes besides the wrapper: keeps a program under 99 lines
MAXIMUM_ENTRIES = 9
SEQUENCE_KINDS = ("AttentionBlock", "RecurrentBlock", "SequenceBlock")


@dataclass(frozen=True)
class Shape:
    """Channels and spatial size, without the batch axis."""

    channels: int
    size: tuple[int, ...]


def input_shape(spec: Spec) -> Shape:
    """What the first entry of the body sees; a flat input is one channel."""
    if spec.is_flat:
        return Shape(1, spec.in_shape)
    return Shape(spec.in_shape[0], spec.in_shape[1:])


def entry_shape(entry: Entry, shape: Shape) -> Shape:
    """What the entry hands on; a size of 0 or less means that it cannot run."""
    if entry.kind in ("norm", "activation", "dropout"):
        return shape
    if entry.kind == "pool":
        return Shape(shape.channels, tuple(side // 2 for side in shape.size))
    if entry.kind == "conv":
        channels, kernel, stride, padding = entry.arguments
        size = tuple((side + 2 * padding - kernel) // stride + 1 for side in shape.size)
        return Shape(channels, size)
    values = _block_values(entry, shape)
    stride = dict(zip(ARGUMENTS[entry.kind], values, strict=True)).get("stride", 1)
    channels = block_outputs(entry.kind, values) + (shape.channels if entry.concat else 0)
    return Shape(channels, tuple(-(-side // stride) for side in shape.size))


def _block_values(entry: Entry, shape: Shape) -> tuple[int, ...]:
    """The arguments in the order of `ARGUMENTS`; a SequenceBlock takes inputs from the shape."""
    return (shape.channels, *entry.arguments) if entry.kind == "SequenceBlock" else entry.arguments


def body_shapes(spec: Spec) -> list[Shape]:
    """The input's shape, then the shape behind every entry."""
    shapes = [input_shape(spec)]
    for entry in spec.body:
        shapes.append(entry_shape(entry, shapes[-1]))
    return shapes


def parameter_count(spec: Spec) -> int:
    """Trainable parameters, equal to what PyTorch counts after one forward pass."""
    blocks = {block.kind: block for block in spec.blocks}
    shapes = body_shapes(spec)
    total = 0
    for entry, shape in zip(spec.body, shapes[:-1], strict=True):
        if entry.kind == "conv":
            channels, kernel = entry.arguments[:2]
            total += shape.channels * channels * kernel**spec.dimensions + channels
        elif entry.kind == "norm":
            total += 2 * shape.channels
        elif entry.kind in TEMPLATES:
            values = _block_values(entry, shape)
            total += block_parameters(blocks[entry.kind], values, shape.channels, spec.dimensions)
    features = head_features(spec, shapes[-1])
    for hidden in spec.head.hidden:
        total += (features + 1) * hidden.width
        features = hidden.width
    return total + (features + 1) * spec.num_classes


def head_features(spec: Spec, shape: Shape) -> int:
    """Features behind `nn.Flatten()`."""
    size = (spec.head.positions,) * spec.dimensions if spec.head.pool else shape.size
    return shape.channels * prod(size)


def repair(spec: Spec, rng: Random) -> Spec:
    """The nearest legal program: no size under 2, no too long sequences, no superfluous classes.

    The definitions of classes that are already there are kept, unused ones dropped, missing ones
    drawn and put in front, where an edit finds the place easily.
    """
    body = _few_kinds(spec.body[:MAXIMUM_ENTRIES])
    shape = input_shape(spec)
    kept: list[Entry] = []
    for entry in body:
        fitted = _fit(entry, shape, is_first=not kept)
        if fitted is not None:
            kept.append(fitted)
            shape = entry_shape(fitted, shape)
    known = {block.kind: block for block in spec.blocks}
    needed = needed_kinds(tuple(kept))
    order = [kind for kind in needed if kind not in known]
    order += [kind for kind in known if kind in needed]
    blocks = tuple(known[k] if k in known else _new_block(k, rng) for k in order)
    spec = replace(spec, body=tuple(kept), blocks=blocks)
    return replace(spec, head=_fit_head(spec, shape))


def _new_block(kind: str, rng: Random):
    return default_block(kind) if rng.random() < 0.3 else random_block(kind, rng)


def _few_kinds(body: tuple[Entry, ...]) -> tuple[Entry, ...]:
    kinds = [kind for kind in needed_kinds(body) if kind != WRAPPER]
    allowed = kinds[:MAXIMUM_BLOCKS]
    return tuple(e for e in body if e.kind not in TEMPLATES or e.kind in allowed)


def _fit(entry: Entry, shape: Shape, is_first: bool) -> Entry | None:
    """The entry as it may stand behind `shape`, or None where it has to go."""
    if entry.kind == "SequenceBlock" and (not is_first or entry.concat):
        return None
    if entry.kind in SEQUENCE_KINDS and prod(shape.size) > MAXIMUM_POSITIONS:
        return None
    if entry.kind in TEMPLATES and "stride" in ARGUMENTS[entry.kind] and entry.arguments[-1] > 1:
        if entry.concat or min(entry_shape(entry, shape).size) < 2:
            return replace(entry, arguments=(*entry.arguments[:-1], 1))
        return entry
    if entry.kind == "pool" and min(shape.size) < 4:
        return None
    if entry.kind == "conv" and min(entry_shape(entry, shape).size) < 2:
        channels, kernel = entry.arguments[:2]
        return replace(entry, arguments=(channels, kernel, 1, kernel // 2))
    return entry


def _fit_head(spec: Spec, shape: Shape) -> Head:
    """Adaptive pooling as the ONNX exporter takes it, no huge flatten.

    It refuses sizes that do not divide the input, and any size but 1 behind attention or
    recurrence, whose reshape hides the size from it.
    """
    head = spec.head
    if not spec.body:
        return replace(head, pool="", positions=1)
    is_uneven = any(side % head.positions for side in shape.size)
    hides_size = any(entry.kind in SEQUENCE_KINDS for entry in spec.body)
    if head.pool and (is_uneven or hides_size):
        return replace(head, positions=1)
    if not head.pool and head_features(spec, shape) > MAXIMUM_FEATURES:
        return replace(head, pool="Avg", positions=1)
    return head
