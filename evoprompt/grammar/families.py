"""Random programs of many habits: what a person might write who thinks of one kind of network.

In: a random generator and the task's shapes. Out: a legal `Spec` of bearable size: plain and
residual convolutions, dense and U-shaped ones, branches, transformers, mixers, Fourier mixing,
recurrence, gated long convolutions, multilayer perceptrons, and free mixtures of all of them.
"""

from collections.abc import Callable
from math import prod
from random import Random

from evoprompt.grammar.choices import (
    BLOCK_WEIGHTS,
    HIDDEN_WIDTHS,
    PLAIN,
    RATES,
    VALUES,
    WIDTHS,
    random_kind,
    random_leaf,
)
from evoprompt.grammar.layer_sizes import Shape
from evoprompt.grammar.shapes import (
    MAXIMUM_POSITIONS,
    chain_size,
    input_shape,
    layer_size,
    repair,
    totals,
)
from evoprompt.grammar.spec import (
    ACTIVATION_NAMES,
    BRANCHED,
    CHAIN,
    Head,
    Hidden,
    Layer,
    Spec,
)

MAXIMUM_PARAMETERS = 500_000
MACS_PER_VALUE = 20_000  # of the input's values; (1, 40) gives 0.8 million
ATTENTION = ("AttentionBlock", "AttentionBlock", "WindowBlock", "LinearAttentionBlock")
GATED = ("LongConvBlock", "GatedBlock", "SqueezeExciteBlock", "LargeKernelBlock")
Layers = tuple[Layer, ...]


class Draw:
    """A random generator with the widths and kinds of one program, and the shape so far."""

    def __init__(self, rng: Random, in_shape: tuple[int, ...]) -> None:
        self.rng = rng
        low = rng.randrange(len(WIDTHS))
        self.widths = WIDTHS[max(0, low - 6) : low + 7]  # of one program are of one order
        self.width = rng.choice(self.widths)
        self.activation = rng.choice(ACTIVATION_NAMES)
        flat = len(in_shape) == 1
        self.shape = Shape(1, in_shape) if flat else Shape(in_shape[0], in_shape[1:])
        self.body: list[Layer] = []

    def add(self, *layers: Layer) -> None:
        """Put layers behind those that are there."""
        for layer in layers:
            self.body.append(layer)
            self.shape = layer_size(layer, self.shape).shape

    def leaf(self, kind: str) -> Layer:
        """A layer for the shape so far."""
        return random_leaf(self.rng, kind, self.shape, self.widths)

    def conv(self, kernel: int = 0, stride: int = 1, width: int = 0) -> Layer:
        """A convolution that keeps the sides, or divides them by its stride."""
        kernel = kernel or self.rng.choice((3, 3, 5, 7))
        return Layer("conv", (width or self.width, kernel, stride, kernel // 2))

    def act(self) -> Layer:
        """The program's activation."""
        return Layer("activation", (self.activation,))


def random_head(rng: Random) -> Head:
    """Flatten or pool, then none to two hidden layers."""
    pool = rng.choice(("", "", "Avg", "Avg", "Max"))
    positions = rng.choice((1,) * 12 + (2, 4, 5)) if pool else 1
    activation, rate = rng.choice(ACTIVATION_NAMES), rng.choice((0.0, 0.0, 0.0, *RATES))
    count = rng.choice((0, 0, 0, 0, 1, 1, 2))
    hidden = tuple(Hidden(rng.choice(HIDDEN_WIDTHS), activation, rate) for _ in range(count))
    return Head(pool, positions, 0.0 if hidden else rate, hidden)


def _stem(draw: Draw) -> None:
    """A first convolution, with norm and activation or without."""
    rng = draw.rng
    stride = 1
    while prod(draw.shape.sides) > stride**draw.shape.dimensions * 2 * MAXIMUM_POSITIONS:
        stride *= 2
    stride = max(stride, rng.choice((1, 2)))
    if rng.random() < 0.3:
        draw.add(Layer("ConvBlock", (draw.width, rng.choice((3, 5, 7)), min(2, stride))))
        return
    draw.add(draw.conv(rng.choice((3, 5, 5, 7)), stride))
    draw.add(*[Layer("norm")] * (rng.random() < 0.5), *[draw.act()] * (rng.random() < 0.8))


def _patches(draw: Draw) -> None:
    """Patches as one convolution whose stride is its kernel."""
    sides = draw.shape.sides
    sizes = [size for size in (2, 4, 5, 8) if all(side % size == 0 for side in sides)]
    size = draw.rng.choice([size for size in sizes if min(sides) // size > 1] or [1])
    draw.add(Layer("conv", (draw.width, size, size, 0)))
    draw.add(*[Layer("PositionEncoding")] * (draw.rng.random() < 0.5))


def plain(draw: Draw) -> None:
    """Convolutions with activations, norms and pooling between them."""
    for _ in range(draw.rng.randint(1, 4)):
        draw.add(draw.leaf("conv"))
        draw.add(*[Layer("norm")] * (draw.rng.random() < 0.4), draw.act())
        draw.add(*[draw.leaf("pool")] * (draw.rng.random() < 0.3))


def blocks(draw: Draw) -> None:
    """A stem and blocks of a few kinds."""
    if draw.rng.random() < 0.7:
        _stem(draw)
    kinds = [random_kind(draw.rng, BLOCK_WEIGHTS) for _ in range(draw.rng.choice((1, 2, 2, 3)))]
    for _ in range(draw.rng.randint(1, 5)):
        kind = draw.rng.choice(kinds)
        if draw.rng.random() < 0.25:
            kind = random_kind(draw.rng, PLAIN)
        draw.add(draw.leaf(kind))


def residual(draw: Draw) -> None:
    """Stages of residual branches, a step down between them."""
    _stem(draw)
    kind = draw.rng.choice(("conv", "conv", "SeparableBlock", "GroupedBlock", "InvertedBlock"))
    for stage in range(draw.rng.choice((1, 2, 2, 3))):
        if stage:
            draw.add(draw.leaf(draw.rng.choice(("pool", "ConvBlock", "conv"))))
        for _ in range(draw.rng.choice((1, 1, 2))):
            draw.add(Layer("Residual", (), _branch(draw, kind)))


def _branch(draw: Draw, kind: str) -> Layers:
    """What stands inside a residual branch: a block, or conv-norm-act-conv."""
    if kind != "conv":
        return (draw.leaf(kind),)
    kernel = draw.rng.choice((3, 3, 5))
    norm = [Layer("norm")] * (draw.rng.random() < 0.7)
    first = [*norm, draw.act()] * (draw.rng.random() < 0.4)  # the order of ResNet v2
    return (*first, draw.conv(kernel), *norm, draw.act(), draw.conv(kernel))


def dense(draw: Draw) -> None:
    """Layers that see all before them, with narrow steps between."""
    _stem(draw)
    growth = draw.rng.choice((4, 6, 8, 12))
    for _ in range(draw.rng.choice((1, 1, 2))):
        for _ in range(draw.rng.choice((2, 2, 3))):
            inner = (Layer("norm"), draw.act(), draw.conv(3, 1, growth))
            draw.add(Layer("Dense", (), inner[draw.rng.choice((0, 0, 1, 2)) :]))
        draw.add(draw.conv(1), draw.leaf("pool"))


def u_shaped(draw: Draw) -> None:
    """Down, through the middle, up again, and joined."""
    _stem(draw)
    middle: Layers = (draw.leaf("ConvBlock"),)
    for _ in range(draw.rng.choice((1, 1, 2))):
        around = draw.leaf(draw.rng.choice(("ConvBlock", "ResBlock", "conv", "SeparableBlock")))
        middle = (around, Layer("UShape", (), middle))
        middle += (draw.leaf("ConvBlock"),) * (draw.rng.random() < 0.4)
    draw.add(*middle[draw.rng.choice((0, 1)) :])


def _feed_forward(draw: Draw) -> Layer:
    ratio = draw.rng.choice((1, 2, 2, 3))
    norm = [Layer("ChannelNorm")] * (draw.rng.random() < 0.7)
    wide = draw.conv(1, 1, draw.width * ratio)
    return Layer("Residual", (), (*norm, wide, Layer("activation", ("GELU",)), draw.conv(1)))


def transformer(draw: Draw) -> None:
    """Patches, then attention and feed-forward layers by turns."""
    _patches(draw)
    kind = draw.rng.choice(ATTENTION)
    block = draw.leaf(kind)
    draw.width = block.arguments[0] * block.arguments[1]
    for _ in range(draw.rng.choice((1, 2, 2, 3))):
        draw.add(block, *[_feed_forward(draw)] * (draw.rng.random() < 0.85))


def mixer(draw: Draw) -> None:
    """Patches, then mixing of positions and feed-forward layers by turns."""
    _patches(draw)
    hidden = draw.rng.choice(VALUES["hidden"])
    fourier = draw.rng.random() < 0.3
    for _ in range(draw.rng.choice((1, 2, 2, 3))):
        mixing = Layer("TokenMixing", (draw.shape.positions, hidden))
        if fourier:
            mixing = Layer("Residual", (), (Layer("FourierMixing"),))
        draw.add(mixing, _feed_forward(draw))


def recurrent(draw: Draw) -> None:
    """Recurrence, on the input itself or behind convolutions."""
    if draw.rng.random() < 0.35:
        draw.add(Layer("SequenceBlock", (draw.rng.choice(VALUES["hidden"]),)))
    else:
        _stem(draw)
        draw.add(draw.leaf(draw.rng.choice(("RecurrentBlock", "RecurrentBlock", "MemoryBlock"))))
    draw.add(*[draw.leaf("ConvBlock")] * (draw.rng.random() < 0.4))


def branches(draw: Draw) -> None:
    """Several views of the same input, side by side."""
    _stem(draw)
    for _ in range(draw.rng.choice((1, 1, 2))):
        count = draw.rng.choice((2, 2, 3))
        kind = draw.rng.choice(BRANCHED)
        draw.add(Layer(kind, (), tuple(_view(draw) for _ in range(count))))
        draw.add(*[draw.leaf("pool")] * (draw.rng.random() < 0.4))


def _view(draw: Draw) -> Layer:
    kind = draw.rng.choice(("conv", "conv", "ConvBlock", "DilatedBlock", "SeparableBlock", "pool"))
    leaf = draw.leaf(kind)
    if kind == "pool":
        return Layer(CHAIN, (), (leaf, draw.conv(1)))
    if kind == "conv" and draw.rng.random() < 0.4:
        return Layer(CHAIN, (), (draw.conv(1), draw.act(), leaf))
    return leaf


def gated(draw: Draw) -> None:
    """Gates: long convolutions and gated ones in residual branches, channel and spatial gates."""
    _stem(draw)
    kind = draw.rng.choice(GATED)
    for _ in range(draw.rng.choice((1, 2, 2, 3))):
        inner = (*[Layer("ChannelNorm")] * (draw.rng.random() < 0.4), draw.leaf(kind))
        wrapper = draw.rng.choice(("Residual", "Residual", "Gate", ""))
        draw.add(*([Layer(wrapper, (), inner)] if wrapper else inner))
        if draw.rng.random() < 0.3:
            draw.add(draw.leaf(draw.rng.choice(("ChannelGate", "SpatialGate"))))


def wild(draw: Draw) -> None:
    """Anything behind anything."""
    if draw.rng.random() < 0.5:
        _stem(draw)
    for _ in range(draw.rng.randint(1, 5)):
        draw.add(random_layer(draw.rng, draw.shape, draw.widths))


def random_layer(
    rng: Random, shape: Shape, widths: tuple[int, ...] = WIDTHS, depth: int = 0
) -> Layer:
    """A plain layer, a block, or (one in six) a wrapper with one to three layers inside."""
    draw = rng.random()
    if draw < 0.17 and depth < 2:
        return _random_wrapper(rng, shape, widths, depth)
    weights = PLAIN if draw < 0.42 else BLOCK_WEIGHTS
    return random_leaf(rng, random_kind(rng, weights), shape, widths)


def _random_wrapper(rng: Random, shape: Shape, widths: tuple[int, ...], depth: int) -> Layer:
    kind = rng.choice(("Residual", "Residual", "Dense", "Gate", "UShape", "Concat", "Sum"))
    count = rng.choice((2, 2, 3)) if kind in BRANCHED else rng.choice((1, 2, 2, 3))
    inner = tuple(random_layer(rng, shape, widths, depth + 1) for _ in range(count))
    return Layer(kind, (), inner)


FAMILIES: dict[Callable[[Draw], None], float] = {
    plain: 4,
    blocks: 6,
    residual: 3,
    dense: 1.5,
    u_shaped: 1.5,
    transformer: 2,
    mixer: 1.5,
    recurrent: 1.5,
    branches: 2,
    gated: 2,
    wild: 4,
}


def random_spec(rng: Random, in_shape: tuple[int, ...], num_classes: int) -> Spec:
    """A program of one of the habits; one in twenty-five has no body at all."""
    while True:
        head = random_head(rng)
        if rng.random() < 0.04:
            hidden = tuple(Hidden(rng.choice(HIDDEN_WIDTHS)) for _ in range(rng.choice((1, 2))))
            return repair(Spec(in_shape, num_classes, (), Head(hidden=hidden)))
        draw = Draw(rng, in_shape)
        rng.choices(list(FAMILIES), list(FAMILIES.values()))[0](draw)
        spec = repair(Spec(in_shape, num_classes, tuple(draw.body), head))
        if chain_size(spec.body, input_shape(spec)).parameters > 0 and is_bearable(spec):
            return spec


def is_bearable(spec: Spec) -> bool:
    """Whether the program is small enough to be worth a search's time on two cores."""
    size = totals(spec)
    limit = MACS_PER_VALUE * max(40, prod(spec.in_shape))
    return size.parameters <= MAXIMUM_PARAMETERS and size.macs <= limit


def is_legal(spec: Spec) -> bool:
    """Whether a program that was read from somewhere builds, runs and is bearable."""
    try:
        return repair(spec) == spec and is_bearable(spec)
    except ArithmeticError:  # a stride, a number of groups or of heads of 0
        return False
