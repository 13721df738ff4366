"""Well-known architectures as programs of the grammar: what it is able to express.

In: the input shape and the number of classes. Out: name -> `Spec`, small versions that keep what
the name stands for. Inputs with many positions are cut into larger patches.
Not promised: the sizes of the papers; and where a docstring says so, a detail is another one.
"""

from collections.abc import Callable
from math import prod

from evoprompt.grammar.shapes import MAXIMUM_POSITIONS, repair
from evoprompt.grammar.spec import CHAIN, Head, Hidden, Layer, Spec

Layers = tuple[Layer, ...]
RELU, GELU, TANH = (Layer("activation", (name,)) for name in ("ReLU", "GELU", "Tanh"))
NORM, CHANNEL_NORM = Layer("norm"), Layer("ChannelNorm")
AVERAGE = Head("Avg")


def _conv(channels: int, kernel: int = 1, stride: int = 1) -> Layer:
    return Layer("conv", (channels, kernel, stride, kernel // 2))


def _around(kind: str, *layers: Layer) -> Layer:
    return Layer(kind, (), layers)


def _feed_forward(channels: int) -> Layer:
    return _around("Residual", CHANNEL_NORM, _conv(2 * channels), GELU, _conv(channels))


def lenet() -> tuple[Layers, Head]:
    """LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document
    recognition: two convolutions, each with pooling, and two hidden layers.
    """
    pool = Layer("pool", ("Avg", 2))
    body = (_conv(6, 5), TANH, pool, Layer("conv", (16, 5, 1, 0)), TANH, pool)
    return body, Head(hidden=(Hidden(120, "Tanh"), Hidden(84, "Tanh")))


def resnet() -> tuple[Layers, Head]:
    """He, Zhang, Ren & Sun 2016, arXiv 1512.03385: conv-norm-relu-conv-norm, the input added, relu;
    shortcuts of other shapes are subsampled and filled with zeros (its option A).
    """

    def block(channels: int, stride: int) -> Layers:
        inner = (Layer("ConvBlock", (channels, 3, stride)), _conv(channels, 3), NORM)
        return _around("Residual", *inner), RELU

    return (Layer("ConvBlock", (12, 3, 1)), *block(12, 1), *block(24, 2), *block(24, 1)), AVERAGE


def resnet_v2() -> tuple[Layers, Head]:
    """He, Zhang, Ren & Sun 2016, arXiv 1603.05027: norm and relu before each convolution."""

    def block(channels: int, stride: int) -> Layer:
        first = (NORM, RELU, _conv(channels, 3, stride))
        return _around("Residual", *first, NORM, RELU, _conv(channels, 3))

    return (_conv(12, 3), block(12, 1), block(24, 2), block(24, 1), NORM, RELU), AVERAGE


def densenet() -> tuple[Layers, Head]:
    """Huang, Liu, van der Maaten & Weinberger 2017, arXiv 1608.06993: all later layers of a block
    see the output of each; a convolution and average pooling between blocks.
    """
    layer = _around("Dense", NORM, RELU, _conv(6, 3))
    transition = (NORM, RELU, _conv(16), Layer("pool", ("Avg", 2)))
    return (_conv(12, 3), layer, layer, layer, *transition, layer, layer, NORM, RELU), AVERAGE


def unet() -> tuple[Layers, Head]:
    """Ronneberger, Fischer & Brox 2015, arXiv 1505.04597: down twice and up twice, joined to what
    was there before by concatenation; with a classifier behind it.
    """
    pool = Layer("pool", ("Max", 2))
    inner = _around("Dense", pool, Layer("ConvBlock", (24, 3, 1)), Layer("up", (12,)))
    middle = (Layer("ConvBlock", (12, 3, 1)), inner, Layer("ConvBlock", (12, 3, 1)))
    outer = _around("Dense", pool, *middle, Layer("up", (8,)))
    return (Layer("ConvBlock", (8, 3, 1)), outer, Layer("ConvBlock", (8, 3, 1))), AVERAGE


def mobilenet_v2() -> tuple[Layers, Head]:
    """Sandler, Howard, Zhu, Zhmoginov & Chen 2018, arXiv 1801.04381: inverted residuals with linear
    bottlenecks; no shortcut where the stride is 2.
    """

    def block(channels: int, stride: int) -> Layer:
        inverted = Layer("InvertedBlock", (channels, 4, 3, stride))
        return inverted if stride > 1 else _around("Residual", inverted)

    body = (Layer("ConvBlock", (8, 3, 2)), block(8, 1), block(12, 2), block(12, 1))
    return (*body, Layer("ConvBlock", (48, 1, 1))), AVERAGE


def se_resnet() -> tuple[Layers, Head]:
    """Hu, Shen & Sun 2018, arXiv 1709.01507: channels of a residual branch are weighed by what they
    hold on average.
    """

    def block(channels: int, stride: int) -> Layers:
        first = Layer("ConvBlock", (channels, 3, stride))
        squeeze = Layer("SqueezeExciteBlock", (channels, 3, 1))
        return _around("Residual", first, squeeze), RELU

    return (Layer("ConvBlock", (12, 3, 1)), *block(12, 1), *block(24, 2)), AVERAGE


def resnext() -> tuple[Layers, Head]:
    """Xie, Girshick, Dollar, Tu & He 2017, arXiv 1611.05431: residual bottlenecks whose middle is a
    grouped convolution.
    """

    def block(channels: int, stride: int) -> Layers:
        grouped = Layer("GroupedBlock", (4, channels // 4, 3, stride))
        return _around("Residual", grouped, _conv(channels), NORM), RELU

    return (Layer("ConvBlock", (16, 3, 1)), *block(16, 1), *block(24, 2), *block(24, 1)), AVERAGE


def inception() -> tuple[Layers, Head]:
    """Szegedy et al. 2015, arXiv 1409.4842: views of 1, 3 and 5 positions and a pooled one, side by
    side; ours pools at half the positions and repeats what it finds.
    """

    def module(channels: int) -> Layer:
        pooled = _around(CHAIN, Layer("pool", ("Max", 3)), _conv(channels))
        narrow = _around(CHAIN, _conv(channels), RELU, _conv(channels, 3))
        wide = _around(CHAIN, _conv(channels), RELU, _conv(channels, 5))
        return _around("Concat", _conv(channels), narrow, wide, pooled)

    pool = Layer("pool", ("Max", 3))
    stem = Layer("ConvBlock", (8, 5, 1))
    return (stem, module(4), RELU, pool, module(8), RELU), AVERAGE


def wavenet() -> tuple[Layers, Head]:
    """Van den Oord et al. 2016, arXiv 1609.03499; Bai, Kolter & Koltun 2018, arXiv 1803.01271:
    residual gated convolutions with dilations that double; ours look both ways.
    """

    def block(dilation: int) -> Layer:
        return _around(
            "Residual", Layer("DilatedBlock", (12, 3, dilation)), Layer("GatedBlock", (12, 1, 1))
        )

    return (_conv(12), *(block(dilation) for dilation in (1, 2, 4, 8)), RELU), AVERAGE


def hyena() -> tuple[Layers, Head]:
    """Poli et al. 2023, arXiv 2302.10866: long convolutions whose outputs are gated by another
    projection of the input, and feed-forward layers; ours are as long as 31 positions.
    """
    mixing = _around("Residual", CHANNEL_NORM, Layer("LongConvBlock", (12, 31)))
    return (_conv(12, 3), mixing, _feed_forward(12), mixing, _feed_forward(12)), AVERAGE


def bi_gru() -> tuple[Layers, Head]:
    """Schuster & Paliwal 1997; Cho et al. 2014, arXiv 1406.1078: two recurrent layers, each read in
    both directions.
    """
    return (Layer("RecurrentBlock", (10,)), Layer("RecurrentBlock", (10,))), AVERAGE


def convnext() -> tuple[Layers, Head]:
    """Liu, Mao, Wu, Feichtenhofer, Darrell & Xie 2022, arXiv 2201.03545: depthwise convolutions of
    7 positions, one norm, an inverted bottleneck with GELU; a strided convolution between stages.
    """
    narrow, wide = Layer("LargeKernelBlock", (12, 7)), Layer("LargeKernelBlock", (24, 7))
    down = (CHANNEL_NORM, Layer("conv", (24, 2, 2, 0)))
    return (CHANNEL_NORM, narrow, narrow, *down, wide, wide), AVERAGE


def vit() -> tuple[Layers, Head]:
    """Dosovitskiy et al. 2021, arXiv 2010.11929: patches with positions, attention over all of them
    and feed-forward layers; the average is classified, in place of a token of its own.
    """
    block = (Layer("AttentionBlock", (2, 6)), _feed_forward(12))
    return (Layer("PositionEncoding"), *block, *block, CHANNEL_NORM), AVERAGE


def swin() -> tuple[Layers, Head]:
    """Liu et al. 2021, arXiv 2103.14030: attention within windows, patches merged between stages;
    ours are windows of neighbours in reading order, and they are not shifted.
    """
    first = (Layer("WindowBlock", (2, 6, 4)), _feed_forward(12))
    second = (Layer("WindowBlock", (4, 6, 4)), _feed_forward(24))
    return (*first, Layer("conv", (24, 2, 2, 0)), *second, CHANNEL_NORM), AVERAGE


def linear_transformer() -> tuple[Layers, Head]:
    """Shen, Zhang, Zhao, Yi & Li 2018, arXiv 1812.01243: keys and values are summed up first, so
    that attention costs as much per position however many there are.
    """
    block = (Layer("LinearAttentionBlock", (2, 6)), _feed_forward(12))
    return (Layer("PositionEncoding"), *block, *block), AVERAGE


def mlp_mixer(tokens: int) -> tuple[Layers, Head]:
    """Tolstikhin et al. 2021, arXiv 2105.01601: layers that mix the patches of one channel, and
    ones that mix the channels of one patch.
    """
    block = (Layer("TokenMixing", (tokens, 8)), _feed_forward(12))
    return (*block, *block, CHANNEL_NORM), AVERAGE


def fnet() -> tuple[Layers, Head]:
    """Lee-Thorp, Ainslie, Eckstein & Ontanon 2021, arXiv 2105.03824: the real part of a Fourier
    transform over the positions in place of attention.
    """
    mixing = (_around("Residual", Layer("FourierMixing")), CHANNEL_NORM)
    wide = (_around("Residual", _conv(24), GELU, _conv(12)), CHANNEL_NORM)
    return (*mixing, *wide, *mixing, *wide), AVERAGE


ON_POSITIONS: tuple[Callable[[], tuple[Layers, Head]], ...] = (
    *(lenet, resnet, resnet_v2, densenet, unet, mobilenet_v2, se_resnet, resnext, inception),
    *(wavenet, hyena, bi_gru),
)
ON_PATCHES: tuple[Callable[[], tuple[Layers, Head]], ...] = (
    *(convnext, vit, swin, linear_transformer, fnet),
)


def references(in_shape: tuple[int, ...], num_classes: int) -> dict[str, Spec]:
    """Name -> program of every reference for a task's shapes."""
    sides = in_shape if len(in_shape) == 1 else in_shape[1:]
    size = _patch_size(sides)
    patches = Layer("conv", (12, size, size, 0))
    tokens = prod(max(1, side // size) for side in sides)
    few = () if prod(sides) <= MAXIMUM_POSITIONS else (patches,)
    found = {make.__name__: make() for make in ON_POSITIONS}
    found["bi_gru"] = ((*few, *found["bi_gru"][0]), found["bi_gru"][1])
    for make in ON_PATCHES:
        body, head = make()
        found[make.__name__] = ((patches, *body), head)
    body, head = mlp_mixer(tokens)
    found["mlp_mixer"] = ((patches, *body), head)
    return {name: repair(Spec(in_shape, num_classes, *layers)) for name, layers in found.items()}


def _patch_size(sides: tuple[int, ...]) -> int:
    """The side of a patch: at least 2 where there is room, and few enough patches for attention."""
    size = 2 if min(sides) > 3 else 1
    while prod(side // size for side in sides) > MAXIMUM_POSITIONS // 2 and size < min(sides):
        size *= 2
    return size
