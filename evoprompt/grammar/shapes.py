"""Shapes and sizes of a program of the grammar, computed without running it, and its repair.

In: a `Spec`. Out: channels and spatial size behind every layer, parameters, multiply-accumulates,
or the nearest spec that builds, runs and is of bearable size for its input shape.
Not promised: MACs to the last digit; attention, resizing and Fourier mixing are rounded.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from evoprompt.grammar.layer_sizes import Shape, Size, leaf_size
from evoprompt.grammar.spec import BRANCHED, CHAIN, Head, Layer, Spec, walk

MAXIMUM_POSITIONS = 400  # attention and recurrence over more positions cost seconds per batch
MAXIMUM_FEATURES = 8192  # flattened features in front of a linear layer
MAXIMUM_LAYERS = 30  # wrappers and what is inside them; keeps a program under 99 lines
SEQUENCE_KINDS = (
    *("AttentionBlock", "LinearAttentionBlock", "RecurrentBlock", "MemoryBlock"),
    *("SequenceBlock", "FourierMixing", "WindowBlock", "TokenMixing"),
)


@dataclass(frozen=True)
class Totals:
    """Size of a whole program."""

    parameters: int
    macs: int


def input_shape(spec: Spec) -> Shape:
    """What the first layer of the body sees; a flat input is one channel."""
    if spec.is_flat:
        return Shape(1, spec.in_shape)
    return Shape(spec.in_shape[0], spec.in_shape[1:])


@lru_cache(maxsize=65536)
def layer_size(layer: Layer, shape: Shape) -> Size:
    """What a layer hands on, its parameters and its MACs; a side of 0 or less cannot run."""
    if not layer.is_wrapper:
        return leaf_size(layer.kind, layer.arguments, shape)
    if layer.kind in BRANCHED:
        return _branches_size(layer, shape)
    start = Shape(shape.channels, tuple(-(-side // 2) for side in shape.sides))
    size = chain_size(layer.inner, start if layer.kind == "UShape" else shape)
    inside = size.shape
    match layer.kind:
        case "Dense":
            out = Shape(shape.channels + inside.channels, inside.sides)
        case "Gate" | "UShape":
            out = shape
        case _:  # a residual branch or a chain
            out = inside
    return Size(out, size.parameters, size.macs)


def _branches_size(layer: Layer, shape: Shape) -> Size:
    sizes = [layer_size(branch, shape) for branch in layer.inner]
    channels = [size.shape.channels for size in sizes]
    out = Shape(sum(channels) if layer.kind == "Concat" else channels[0], sizes[0].shape.sides)
    return Size(out, sum(s.parameters for s in sizes), sum(s.macs for s in sizes))


def chain_size(layers: tuple[Layer, ...], shape: Shape) -> Size:
    """The same for layers one behind the other."""
    parameters = macs = 0
    for layer in layers:
        size = layer_size(layer, shape)
        shape = size.shape
        parameters += size.parameters
        macs += size.macs
    return Size(shape, parameters, macs)


def body_shapes(spec: Spec) -> list[Shape]:
    """The input's shape, then the shape behind every layer of the body."""
    shapes = [input_shape(spec)]
    for layer in spec.body:
        shapes.append(layer_size(layer, shapes[-1]).shape)
    return shapes


def totals(spec: Spec) -> Totals:
    """Trainable parameters, equal to what PyTorch counts after one forward pass, and MACs."""
    size = chain_size(spec.body, input_shape(spec))
    features = head_features(spec, size.shape)
    parameters, macs = size.parameters, size.macs
    for width in (*(hidden.width for hidden in spec.head.hidden), spec.num_classes):
        parameters += (features + 1) * width
        macs += features * width
        features = width
    return Totals(parameters, macs)


def parameter_count(spec: Spec) -> int:
    """Trainable parameters."""
    return totals(spec).parameters


def head_features(spec: Spec, shape: Shape) -> int:
    """Features behind `nn.Flatten()`."""
    sides = (spec.head.positions,) * spec.dimensions if spec.head.pool else shape.sides
    return shape.channels * prod(sides)


def repair(spec: Spec) -> Spec:
    """The nearest legal program: no side under 1, no too long sequences, no empty wrapper."""
    body, shape = _fitted(spec.body, input_shape(spec), is_top=True)
    while sum(1 for _ in walk(body)) > MAXIMUM_LAYERS:
        body = body[:-1]
        shape = chain_size(body, input_shape(spec)).shape
    return replace(spec, body=body, head=_fit_head(spec, body, shape))


def _fitted(
    layers: tuple[Layer, ...], shape: Shape, is_top: bool = False
) -> tuple[tuple[Layer, ...], Shape]:
    kept: list[Layer] = []
    for layer in layers:
        fitted = _fit(layer, shape, is_first=is_top and not kept)
        if fitted is not None:
            kept.append(fitted)
            shape = layer_size(fitted, shape).shape
    return tuple(kept), shape


def _fit(layer: Layer, shape: Shape, is_first: bool) -> Layer | None:
    """The layer as it may stand behind `shape`, or None where it has to go."""
    if layer.kind == "SequenceBlock" and not is_first:
        return None
    if layer.kind in SEQUENCE_KINDS and prod(shape.sides) > MAXIMUM_POSITIONS:
        return None
    if layer.is_wrapper:
        return _fit_wrapper(layer, shape)
    if layer.kind == "pool" and layer.arguments[1] == 2 and min(shape.sides) < 4:
        return Layer("pool", (layer.arguments[0], 3)) if min(shape.sides) > 1 else None
    if layer.kind == "up" and prod(shape.sides) > MAXIMUM_POSITIONS:
        return None
    if layer.kind == "conv" and min(layer_size(layer, shape).shape.sides) < 1:
        channels, kernel = layer.arguments[:2]
        return replace(layer, arguments=(channels, kernel, 1, kernel // 2))
    return layer


def _fit_wrapper(layer: Layer, shape: Shape) -> Layer | None:
    """The wrapper with legal layers inside; branches that are left empty go."""
    if layer.kind == "UShape":
        shape = Shape(shape.channels, tuple(-(-side // 2) for side in shape.sides))
    if layer.kind in BRANCHED:
        branches = [_fit(branch, shape, is_first=False) for branch in layer.inner]
        inner = tuple(branch for branch in branches if branch is not None)
        if len(inner) == 1:
            only = inner[0]
            return Layer("Residual", (), only.inner if only.kind == CHAIN else inner)
    else:
        inner, _ = _fitted(layer.inner, shape)
    return replace(layer, inner=inner) if inner else None


def _fit_head(spec: Spec, body: tuple[Layer, ...], shape: Shape) -> Head:
    """Pooling to sizes that divide the input, which the recorder asks for, and no huge flatten."""
    head = spec.head
    if not body:
        return replace(head, pool="", positions=1)
    if head.pool and any(side % head.positions for side in shape.sides):
        return replace(head, positions=1)
    if not head.pool and head_features(spec, shape) > MAXIMUM_FEATURES:
        return replace(head, pool="Avg", positions=1)
    return head
