"""What stands in the open places of a layer: the numbers and names that the grammar draws from.

In: a random generator, the kind of a layer and the shape in front of it. Out: a `Layer`.
Every number is legal in every argument (kernels are odd): no change of one number breaks a program.
"""

from random import Random

from evoprompt.grammar.layer_sizes import Shape
from evoprompt.grammar.library import arguments
from evoprompt.grammar.spec import ACTIVATION_FUNCTIONS, ACTIVATION_NAMES, BLOCKS, Layer

LADDER = (2, 3, 4, 6, 8, 10, 12, 16, 20, 25, 32, 40, 48, 64, 80, 96, 128)
"""Widths in order; a change of a width goes a few steps up or down."""
# Programs under a few thousand parameters matter (MNIST-1D), so small numbers stand more often.
WIDTHS = (4, 4, 6, 6, 8, 8, 8, 10, 12, 12, 16, 16, 16, 20, 25, 25, 32, 32, 48, 64, 96)
VALUES: dict[str, tuple[int, ...]] = {
    "channels": WIDTHS,
    "kernel": (3, 3, 3, 5, 5, 7, 9),
    "wide": (5, 7, 7, 9, 11),
    "long": (9, 13, 17, 21, 31),
    "stride": (1, 1, 1, 2, 2),
    "dilation": (2, 2, 3, 4, 8),
    "heads": (1, 2, 2, 4),
    "groups": (2, 2, 3, 4),
    "width": (3, 4, 4, 6, 8, 8, 12, 16),
    "hidden": (4, 4, 6, 6, 8, 8, 12, 16, 20, 32),
    "expansion": (1, 2, 2, 3, 4),
    "window": (4, 5, 7, 8, 10),
    "reduction": (2, 4),
}
WIDE_NAMES = ("channels", "hidden", "width")
"""Arguments that say how wide a layer is."""
REACH_NAMES = ("kernel", "wide", "dilation", "window", "expansion", "groups", "heads")
"""Arguments of the part "kernel": how far a layer sees and how it is divided."""
HIDDEN_WIDTHS = (8, 12, 16, 20, 25, 32, 48, 64, 100, 128)
RATES = (0.1, 0.2, 0.3, 0.5)

PLAIN = {"conv": 9, "norm": 3, "activation": 4, "pool": 4, "dropout": 1, "up": 0.5}
BLOCK_WEIGHTS: dict[str, float] = {
    "ConvBlock": 8,
    "ResBlock": 5,
    "SeparableBlock": 5,
    "InvertedBlock": 3,
    "GroupedBlock": 3,
    "DilatedBlock": 3,
    "MultiScaleBlock": 3,
    "LargeKernelBlock": 3,
    "SqueezeExciteBlock": 4,
    "ChannelGate": 2,
    "SpatialGate": 1.5,
    "GatedBlock": 4,
    "LongConvBlock": 3,
    "AttentionBlock": 3,
    "WindowBlock": 1.5,
    "LinearAttentionBlock": 2,
    "RecurrentBlock": 2.5,
    "MemoryBlock": 1,
    "TokenMixing": 2,
    "FourierMixing": 1,
    "PositionEncoding": 1,
    "ChannelNorm": 1.5,
}
OPERATOR_WEIGHTS = {"conv": 10} | {
    kind: weight
    for kind, weight in BLOCK_WEIGHTS.items()
    if kind not in ("ChannelGate", "SpatialGate", "PositionEncoding", "ChannelNorm")
}
"""What may take the place of a layer, or stand beside it: kinds that mix or make channels."""
LONG_KINDS = ("LargeKernelBlock", "LongConvBlock")


def argument_names(kind: str) -> tuple[str, ...]:
    """The names of a layer's arguments in the order of `Layer.arguments`."""
    match kind:
        case "conv":
            return ("channels", "kernel", "stride", "padding")
        case "up":
            return ("channels",)
        case "SequenceBlock":
            return ("hidden",)
        case "norm" | "activation" | "pool" | "dropout":
            return ()
    return arguments(kind) if kind in BLOCKS else ()


def values_of(kind: str, name: str) -> tuple[int, ...]:
    """What an argument of a kind may be."""
    return VALUES["long" if name == "kernel" and kind in LONG_KINDS else name]


def random_kind(rng: Random, weights: dict[str, float]) -> str:
    """One of the kinds, by weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def random_leaf(rng: Random, kind: str, shape: Shape, widths: tuple[int, ...] = WIDTHS) -> Layer:
    """A layer of a kind that holds no others, as it may stand behind the shape."""
    match kind:
        case "conv":
            kernel, stride = rng.choice((3, 3, 3, 5, 5, 7, 9, 1, 1)), rng.choice((1, 1, 2))
            return Layer("conv", (rng.choice(widths), kernel, stride, kernel // 2))
        case "up":
            return Layer("up", (rng.choice(widths),))
        case "activation":
            return Layer("activation", (rng.choice(ACTIVATION_NAMES),))
        case "pool":
            return Layer("pool", (rng.choice(("Max", "Max", "Avg")), 3))
        case "dropout":
            return Layer("dropout", (rng.choice(RATES[:3]),))
        case "norm":
            return Layer("norm")
        case "TokenMixing":
            return Layer(kind, (shape.positions, rng.choice(VALUES["hidden"])))
    values: list[int | str] = []
    for name in argument_names(kind):
        if name == "activation":
            values += [rng.choice(ACTIVATION_FUNCTIONS)] * (rng.random() < 0.3)
        else:
            values.append(rng.choice(widths if name == "channels" else values_of(kind, name)))
    return Layer(kind, tuple(values))
