"""What one layer hands on, how many parameters it has and how many multiply-accumulates it takes.

In: the kind of a layer that holds no others, its arguments and the shape in front of it. Out: a
`Size`. The formulas follow the texts of `library`; a test compares them with PyTorch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Shape:
    """Channels and spatial sides, without the batch axis."""

    channels: int
    sides: tuple[int, ...]

    @property
    def positions(self) -> int:
        """Product of the sides."""
        return prod(self.sides)

    @property
    def dimensions(self) -> int:
        """1 or 2."""
        return len(self.sides)


@dataclass(frozen=True)
class Size:
    """The shape behind a layer, and what the layer costs for one example."""

    shape: Shape
    parameters: int = 0
    macs: int = 0

    def then(self, other: "Size") -> "Size":
        """Both, one behind the other."""
        parameters, macs = self.parameters + other.parameters, self.macs + other.macs
        return Size(other.shape, parameters, macs)


def leaf_size(kind: str, arguments: tuple, shape: Shape) -> Size:
    """The size of a layer that is no wrapper."""
    if kind in ("activation", "dropout", "PositionEncoding", "ChannelNorm"):
        return Size(shape)
    numbers = [value for value in arguments if not isinstance(value, str)]
    return _SIZES[kind](shape, *numbers)


def convolved(
    shape: Shape,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    padding: int = -1,
    groups: int = 1,
) -> Size:
    """A convolution with bias; padding -1 is half the kernel."""
    padding = kernel // 2 if padding < 0 else padding
    sides = tuple((side + 2 * padding - kernel) // stride + 1 for side in shape.sides)
    weights = shape.channels * channels * kernel**shape.dimensions // groups
    out = Shape(channels, sides)
    return Size(out, weights + channels, weights * max(0, out.positions))


def _normed(size: Size) -> Size:
    return Size(size.shape, size.parameters + 2 * size.shape.channels, size.macs)


def _linear(positions: int, inputs: int, outputs: int) -> tuple[int, int]:
    """(parameters, MACs) of a linear layer with bias at so many positions."""
    return inputs * outputs + outputs, inputs * outputs * positions


def _plus(size: Size, *others: tuple[int, int]) -> Size:
    parameters = size.parameters + sum(other[0] for other in others)
    return Size(size.shape, parameters, size.macs + sum(other[1] for other in others))


def _pool(shape: Shape, window: int) -> Size:
    halved = (side // 2 if window == 2 else (side - 1) // 2 + 1 for side in shape.sides)
    return Size(Shape(shape.channels, tuple(halved)))


def _up(shape: Shape, channels: int) -> Size:
    out = Shape(channels, tuple(2 * side for side in shape.sides))
    weights = shape.channels * channels * 2**shape.dimensions
    return Size(out, weights + channels, weights * shape.positions)


def _conv_block(shape: Shape, channels: int, kernel: int, stride: int) -> Size:
    return _normed(convolved(shape, channels, kernel, stride))


def _res_block(shape: Shape, channels: int, kernel: int, stride: int) -> Size:
    first = _conv_block(shape, channels, kernel, stride)
    skip = convolved(shape, channels, 1, stride)
    both = first.then(convolved(first.shape, channels, kernel))
    return _plus(both, (skip.parameters, skip.macs))


def _separable(shape: Shape, channels: int, kernel: int, stride: int) -> Size:
    first = convolved(shape, channels)
    return first.then(_normed(convolved(first.shape, channels, kernel, stride, groups=channels)))


def _inverted(shape: Shape, channels: int, expansion: int, kernel: int, stride: int) -> Size:
    inner = _separable(shape, channels * expansion, kernel, stride)
    return inner.then(convolved(inner.shape, channels))


def _grouped(shape: Shape, groups: int, width: int, kernel: int, stride: int) -> Size:
    first = convolved(shape, groups * width)
    second = convolved(first.shape, groups * width, kernel, stride, groups=groups)
    return first.then(_normed(second))


def _dilated(shape: Shape, channels: int, kernel: int, dilation: int) -> Size:
    weights = convolved(shape, channels, kernel)
    sides = tuple(
        side + 2 * (kernel // 2 * dilation) - dilation * (kernel - 1) for side in shape.sides
    )
    out = Shape(channels, sides)
    macs = (weights.parameters - channels) * max(0, out.positions)
    return _normed(Size(out, weights.parameters, macs))


def _multi_scale(shape: Shape, channels: int, wide: int, stride: int) -> Size:
    narrow, broad = convolved(shape, channels, 3, stride), convolved(shape, channels, wide, stride)
    out = Shape(2 * channels, narrow.shape.sides)
    return _normed(Size(out, narrow.parameters + broad.parameters, narrow.macs + broad.macs))


def _large_kernel(shape: Shape, channels: int, kernel: int) -> Size:
    first = convolved(shape, channels)
    depthwise = _normed(convolved(first.shape, channels, kernel, groups=channels))
    expanded = convolved(first.shape, 2 * channels)
    reduced = convolved(expanded.shape, channels)
    return first.then(depthwise).then(expanded).then(reduced)


def _squeeze_excite(shape: Shape, channels: int, kernel: int, stride: int) -> Size:
    small = channels // 4 + 1
    conv = convolved(shape, channels, kernel, stride)
    return _plus(conv, _linear(1, channels, small), _linear(1, small, channels))


def _channel_gate(shape: Shape, kernel: int) -> Size:
    return Size(shape, kernel + 1, kernel * shape.channels)


def _spatial_gate(shape: Shape, kernel: int) -> Size:
    weights = 2 * kernel**shape.dimensions
    return Size(shape, weights + 1, weights * shape.positions)


def _gated(shape: Shape, channels: int, kernel: int, stride: int) -> Size:
    conv = convolved(shape, 2 * channels, kernel, stride)
    out = Shape(channels, conv.shape.sides)
    return _normed(Size(out, conv.parameters, conv.macs))


def _long_conv(shape: Shape, channels: int, kernel: int) -> Size:
    both = convolved(shape, 2 * channels)
    signal = Shape(channels, shape.sides)
    size = Size(signal, both.parameters, both.macs)
    long = convolved(signal, channels, kernel, groups=channels)
    return size.then(long).then(convolved(signal, channels))


def _attention(shape: Shape, heads: int, width: int, window: int = 0) -> Size:
    full, positions = heads * width, shape.positions
    seen = window or max(1, positions)  # what cannot run is still measured
    rounded = -(-positions // seen) * seen
    between = (0, 2 * rounded * seen * full)
    norm = (2 * full, 0)
    return _plus(convolved(shape, full), norm, _linear(rounded, full, 4 * full), between)


def _linear_attention(shape: Shape, heads: int, width: int) -> Size:
    full, positions = heads * width, shape.positions
    between = (0, 2 * positions * full * width)
    return _plus(
        convolved(shape, full),
        _linear(positions, full, 3 * full),
        _linear(positions, full, full),
        between,
    )


def _recurrent(shape: Shape, hidden: int, gates: int = 3) -> Size:
    first = convolved(shape, hidden)
    return first.then(_sequence(first.shape, hidden, gates))


def _sequence(shape: Shape, hidden: int, gates: int = 3) -> Size:
    """Both directions of a GRU (3 gates) or an LSTM (4)."""
    weights = 2 * gates * hidden * (shape.channels + hidden)
    out = Shape(2 * hidden, shape.sides)
    return Size(out, weights + 4 * gates * hidden, weights * shape.positions)


def _token_mixing(shape: Shape, positions: int, hidden: int) -> Size:
    inside = _linear(shape.channels, shape.positions, hidden)
    return _plus(Size(shape), inside, _linear(shape.channels, hidden, positions))


def _fourier(shape: Shape) -> Size:
    return Size(shape, 0, shape.channels * shape.positions**2)


_SIZES: dict[str, Callable[..., Size]] = {
    "conv": convolved,
    "up": _up,
    "norm": lambda shape: _normed(Size(shape)),
    "pool": _pool,
    "ConvBlock": _conv_block,
    "ResBlock": _res_block,
    "SeparableBlock": _separable,
    "InvertedBlock": _inverted,
    "GroupedBlock": _grouped,
    "DilatedBlock": _dilated,
    "MultiScaleBlock": _multi_scale,
    "LargeKernelBlock": _large_kernel,
    "SqueezeExciteBlock": _squeeze_excite,
    "ChannelGate": _channel_gate,
    "SpatialGate": _spatial_gate,
    "GatedBlock": _gated,
    "LongConvBlock": _long_conv,
    "AttentionBlock": _attention,
    "WindowBlock": _attention,
    "LinearAttentionBlock": _linear_attention,
    "RecurrentBlock": _recurrent,
    "MemoryBlock": lambda shape, hidden: _recurrent(shape, hidden, 4),
    "SequenceBlock": _sequence,
    "TokenMixing": _token_mixing,
    "FourierMixing": _fourier,
}
