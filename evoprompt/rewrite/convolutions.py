"""The library's classes of convolutions, as steps.

In: the steps from one place on. Out: how many of them a class does, and its line, or None.
"""

import re
from collections.abc import Sequence

from evoprompt.rewrite.matching import (
    ACTIVATIONS,
    NORM,
    Found,
    closing_of,
    conv_of,
    depthwise_of,
    ops_of,
    positions_of,
    text_of,
)
from evoprompt.rewrite.steps import Part, Step, Wrap


def _conv_block(steps: Sequence[Step]) -> Found | None:
    conv, act = conv_of(steps[0]), closing_of(steps[1:])
    if conv is None or act is None:
        return None
    if conv.is_plain:
        return 3, f"ConvBlock({conv.channels}, {conv.kernel}, {conv.stride}{act})"
    if conv.groups == 1 == conv.stride:
        return 3, f"DilatedBlock({conv.channels}, {conv.kernel}, {conv.dilation}{act})"
    return None


def _res_block(steps: Sequence[Step]) -> Found | None:
    wrap = steps[0]
    if not isinstance(wrap, Wrap) or wrap.kind != "Sum" or len(wrap.branches) != 2:
        return None
    long, short = sorted(wrap.branches, key=len, reverse=True)
    if len(long) != 2 or len(short) != 1:
        return None
    block = re.fullmatch(r"ConvBlock\((\d+), (\d+), (\d+)(, F\.\w+)?\)", text_of(long[0]))
    second, skip = conv_of(long[1]), conv_of(short[0])
    if not block or second is None or skip is None:
        return None
    channels, kernel, stride = map(int, block.groups()[:3])
    if second == (channels, kernel, 1, 1, 1) and skip == (channels, 1, stride, 1, 1):
        return 1, f"ResBlock({channels}, {kernel}, {stride}{block[4] or ''})"
    return None


def _separable(steps: Sequence[Step]) -> Found | None:
    if len(steps) < 4:
        return None
    first, middle, act = conv_of(steps[0]), depthwise_of(steps[1]), closing_of(steps[2:])
    if first is None or not first.is_pointwise or middle is None or act is None:
        return None
    return 4, f"SeparableBlock({first.channels}, {middle[0]}, {middle[1]}{act})"


def _inverted(steps: Sequence[Step]) -> Found | None:
    if len(steps) < 6:
        return None
    first, act = conv_of(steps[0]), ACTIVATIONS.get(text_of(steps[1]))
    middle, last = depthwise_of(steps[2]), conv_of(steps[5])
    if first is None or last is None or middle is None or act is None:
        return None
    is_whole = first.is_pointwise and last.is_pointwise and first.channels % last.channels == 0
    if not is_whole or closing_of(steps[3:5]) != act:
        return None
    expansion = first.channels // last.channels
    return 6, f"InvertedBlock({last.channels}, {expansion}, {middle[0]}, {middle[1]}{act})"


def _grouped(steps: Sequence[Step]) -> Found | None:
    if len(steps) < 4:
        return None
    first, middle, act = conv_of(steps[0]), conv_of(steps[1]), closing_of(steps[2:])
    if first is None or not first.is_pointwise or middle is None or act is None:
        return None
    if middle.channels != first.channels or middle.groups == 1 or middle.dilation > 1:
        return None
    width = first.channels // middle.groups
    return 4, f"GroupedBlock({middle.groups}, {width}, {middle.kernel}, {middle.stride}{act})"


def _multi_scale(steps: Sequence[Step]) -> Found | None:
    wrap, act = steps[0], closing_of(steps[1:])
    if not isinstance(wrap, Wrap) or wrap.kind != "Concat" or act is None:
        return None
    if [len(branch) for branch in wrap.branches] != [1, 1]:
        return None
    narrow, wide = (conv_of(branch[0]) for branch in wrap.branches)
    if narrow is None or wide is None or not wide.is_plain:
        return None
    if narrow != (wide.channels, 3, wide.stride, 1, 1):
        return None
    return 3, f"MultiScaleBlock({wide.channels}, {wide.kernel}, {wide.stride}{act})"


def _large_kernel(steps: Sequence[Step]) -> Found | None:
    first = conv_of(steps[0])
    if first is None or not first.is_pointwise or len(steps) < 2:
        return None
    wrap = steps[1]
    if not isinstance(wrap, Wrap) or wrap.kind != "Residual" or len(wrap.branches[0]) != 5:
        return None
    middle, norm, wide, act, last = wrap.branches[0]
    is_inner = (
        text_of(norm) == "Channels(lambda c: nn.GroupNorm(1, c))" and text_of(act) == "nn.GELU()"
    )
    channels, window = first.channels, depthwise_of(middle)
    is_whole = conv_of(wide) == (2 * channels, 1, 1, 1, 1) and conv_of(last) == (
        channels,
        1,
        1,
        1,
        1,
    )
    if not is_inner or not is_whole or window is None or window[1] != 1:
        return None
    return 2, f"LargeKernelBlock({channels}, {window[0]})"


def _gated(steps: Sequence[Step]) -> Found | None:
    conv, texts = conv_of(steps[0]), [text_of(step) for step in steps[1:3]]
    is_gate = len(texts) == 2 and texts[0] == "nn.GLU(1)" and NORM.fullmatch(texts[1])
    if conv is None or not is_gate or not conv.is_plain or conv.channels % 2:
        return None
    return 3, f"GatedBlock({conv.channels // 2}, {conv.kernel}, {conv.stride})"


def _squeeze_excite(steps: Sequence[Step]) -> Found | None:
    """A convolution, an activation, and a gate of two linear layers on the means."""
    if len(steps) < 3 or not isinstance(steps[2], Part):
        return None
    conv, act, gate = conv_of(steps[0]), ACTIVATIONS.get(text_of(steps[1])), steps[2]
    wanted = ["ReduceMean", "Linear", "Relu", "Linear", "Sigmoid", "View", "Mul"]
    if conv is None or not conv.is_plain or act is None or ops_of(gate) != wanted:
        return None
    mean, first, _, second, _, _, product = gate.nodes
    small = conv.channels // 4 + 1
    is_mean = mean.attributes["a"] == positions_of(gate) and len(mean.shape) == 2
    is_whole = first.attributes["c"] == (conv.channels, small) and len(first.inputs) == 3
    if is_mean and is_whole and len(second.inputs) == 3 and gate.entry in product.inputs:
        return 3, f"SqueezeExciteBlock({conv.channels}, {conv.kernel}, {conv.stride}{act})"
    return None


PATTERNS = (
    *(_conv_block, _res_block, _separable, _inverted, _grouped),
    *(_multi_scale, _large_kernel, _gated, _squeeze_excite),
)
