"""The programs that a search starts from: well-known small networks, written by the grammar.

In: the input shape and the number of classes. Out: name -> source, at least eight programs for any
of the shapes (C, L), (C, H, W) and (F,).
Not promised: that the names fit exactly on large inputs; there a strided convolution stands in
front of attention and recurrence.
"""

from dataclasses import replace
from math import prod

from evoprompt.grammar.shapes import MAXIMUM_POSITIONS, SEQUENCE_KINDS, repair
from evoprompt.grammar.spec import Head, Hidden, Layer, Spec, render

RELU = Layer("activation", ("ReLU",))


def _conv(channels: int, kernel: int, stride: int, padding: int) -> tuple[Layer, ...]:
    return (Layer("conv", (channels, kernel, stride, padding)), RELU)


# MNIST-1D's baselines (Greydanus 2020, github.com/greydanus/mnist1d, models.py) and relatives.
# On (1, 40) with ten classes reference_cnn has 5,210 parameters, gru 5,134, mlp 15,210.
_PROGRAMS: dict[str, tuple[tuple[Layer, ...], Head]] = {
    "reference_cnn": (_conv(25, 5, 2, 1) + _conv(25, 3, 2, 1) + _conv(25, 3, 2, 1), Head()),
    "gru": ((Layer("SequenceBlock", (6,)),), Head()),
    "mlp": ((), Head(hidden=(Hidden(100), Hidden(100)))),
    "larger_cnn": (
        _conv(64, 5, 1, 2) + _conv(96, 3, 2, 1) + _conv(96, 3, 2, 1) + _conv(96, 3, 2, 1),
        Head(hidden=(Hidden(32, "ReLU", 0.2),)),
    ),
    "residual_cnn": (
        (
            Layer("ResBlock", (12, 5, 2)),
            Layer("ResBlock", (16, 3, 2)),
            Layer("ResBlock", (16, 3, 2)),
        ),
        Head(),
    ),
    "depthwise_separable_cnn": (
        (
            *_conv(16, 5, 2, 2),
            Layer("SeparableBlock", (25, 5, 2)),
            Layer("SeparableBlock", (32, 5, 2)),
        ),
        Head(),
    ),
    "dilated_cnn": (
        (
            Layer("DilatedBlock", (12, 3, 1)),
            Layer("DilatedBlock", (12, 3, 2)),
            Layer("DilatedBlock", (12, 3, 4)),
            Layer("pool", ("Max", 2)),
        ),
        Head(),
    ),
    "attention": (
        (
            Layer("ConvBlock", (16, 5, 2)),
            Layer("AttentionBlock", (2, 8)),
            Layer("ConvBlock", (16, 3, 2)),
        ),
        Head(),
    ),
    "squeeze_excite_cnn": (
        (Layer("SqueezeExciteBlock", (16, 5, 2)), Layer("SqueezeExciteBlock", (20, 3, 2))),
        Head(),
    ),
}


def seed_specs(in_shape: tuple[int, ...], num_classes: int) -> dict[str, Spec]:
    """The seeds as records."""
    out = {}
    for name, (body, head) in _PROGRAMS.items():
        spec = Spec(in_shape, num_classes, body, head)
        out[name] = repair(_for_large_inputs(spec))
    return out


def seeds(in_shape: tuple[int, ...], num_classes: int) -> dict[str, str]:
    """Name -> source of every seed for the task's shapes."""
    return {name: render(spec) for name, spec in seed_specs(in_shape, num_classes).items()}


def _for_large_inputs(spec: Spec) -> Spec:
    """Strided convolutions in front of what would read too many positions, and pooling behind."""
    sides = spec.in_shape if spec.is_flat else spec.in_shape[1:]
    kinds = {layer.kind for layer in spec.body}
    if prod(sides) <= MAXIMUM_POSITIONS or not kinds & set(SEQUENCE_KINDS):
        return spec
    stem: tuple[Layer, ...] = ()
    while prod(sides) > MAXIMUM_POSITIONS:
        stem += _conv(8, 5, 2, 2)
        sides = tuple(-(-side // 2) for side in sides)
    body = stem + spec.body
    if "SequenceBlock" in kinds:
        body = (*stem, Layer("RecurrentBlock", (12,)))
    return replace(spec, body=body, head=Head("Avg", 1))
