"""Steps that a class of the grammar's library does in one line.

In: the steps of a chain. Out: the steps with the library's classes in place of what they do. A
pattern is taken only if the class does exactly this at these shapes; biases, paddings and widths
included.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from evoprompt.rewrite.steps import Chain, Line, Part, Step, Wrap
from surrogate.ir import Constant, Node, Ref, Weight

ACTIVATIONS = {
    "nn.ReLU()": "",
    "nn.GELU()": ", F.gelu",
    "nn.SiLU()": ", F.silu",
    "nn.ELU()": ", F.elu",
    "nn.Mish()": ", F.mish",
    "nn.LeakyReLU()": ", F.leaky_relu",
    "nn.Tanh()": ", F.tanh",
}
_CONV = re.compile(r"nn\.LazyConv[12]d\((\d+), (\d+), (\d+), (\d+)(?:, (groups|dilation)=(\d+))?\)")
_DEPTHWISE = re.compile(
    r"Channels\(lambda c: nn\.Conv[12]d\(c, c, (\d+), (\d+), (\d+), groups=c\)\)"
)
_NORM = re.compile(r"nn\.LazyBatchNorm[12]d\(\)")


class Conv(NamedTuple):
    """A convolution with bias whose padding is half its kernel."""

    channels: int
    kernel: int
    stride: int
    groups: int = 1
    dilation: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether it has neither groups nor dilation."""
        return self.groups == 1 == self.dilation

    @property
    def is_pointwise(self) -> bool:
        """Whether it mixes channels and nothing else."""
        return self[1:] == (1, 1, 1, 1)


Found = tuple[int, str]
"""How many steps, and the line that does them."""
Pattern = Callable[[Sequence[Step]], Found | None]


def lifted(chain: Chain) -> Chain:
    """The chain with lines of the library; the longest pattern first."""
    done: list[Step] = []
    place = 0
    while place < len(chain):
        rest = chain[place:]
        found = max((f for p in _PATTERNS if (f := p(rest))), default=None, key=lambda f: f[0])
        if found is None:
            done.append(_wrapper(rest[0]))
            place += 1
        else:
            place += found[0]
            done.append(Line(found[1], chain[place - 1].shape))
    return tuple(done)


def _text(step: Step) -> str:
    return step.text if isinstance(step, Line) else ""


def _conv(step: Step) -> Conv | None:
    match = _CONV.fullmatch(_text(step))
    if not match:
        return None
    channels, kernel, stride, padding = map(int, match.groups()[:4])
    named = {match[5]: int(match[6])} if match[5] else {}
    conv = Conv(channels, kernel, stride, **named)
    return conv if padding == kernel // 2 * conv.dilation and kernel % 2 else None


def _depthwise(step: Step) -> tuple[int, int] | None:
    """Kernel and stride."""
    match = _DEPTHWISE.fullmatch(_text(step))
    if not match:
        return None
    kernel, stride, padding = map(int, match.groups())
    return (kernel, stride) if padding == kernel // 2 and kernel % 2 else None


def _closing(steps: Sequence[Step]) -> str | None:
    """The last argument for a norm and an activation."""
    if len(steps) < 2 or not _NORM.fullmatch(_text(steps[0])):
        return None
    return ACTIVATIONS.get(_text(steps[1]))


def _conv_block(steps: Sequence[Step]) -> Found | None:
    conv, act = _conv(steps[0]), _closing(steps[1:])
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
    block = re.fullmatch(r"ConvBlock\((\d+), (\d+), (\d+)(, F\.\w+)?\)", _text(long[0]))
    second, skip = _conv(long[1]), _conv(short[0])
    if not block or second is None or skip is None:
        return None
    channels, kernel, stride = map(int, block.groups()[:3])
    if second == (channels, kernel, 1, 1, 1) and skip == (channels, 1, stride, 1, 1):
        return 1, f"ResBlock({channels}, {kernel}, {stride}{block[4] or ''})"
    return None


def _separable(steps: Sequence[Step]) -> Found | None:
    if len(steps) < 4:
        return None
    first, middle, act = _conv(steps[0]), _depthwise(steps[1]), _closing(steps[2:])
    if first is None or not first.is_pointwise or middle is None or act is None:
        return None
    return 4, f"SeparableBlock({first.channels}, {middle[0]}, {middle[1]}{act})"


def _inverted(steps: Sequence[Step]) -> Found | None:
    if len(steps) < 6:
        return None
    first, act = _conv(steps[0]), ACTIVATIONS.get(_text(steps[1]))
    middle, last = _depthwise(steps[2]), _conv(steps[5])
    if first is None or last is None or middle is None or act is None:
        return None
    is_whole = first.is_pointwise and last.is_pointwise and first.channels % last.channels == 0
    if not is_whole or _closing(steps[3:5]) != act:
        return None
    expansion = first.channels // last.channels
    return 6, f"InvertedBlock({last.channels}, {expansion}, {middle[0]}, {middle[1]}{act})"


def _grouped(steps: Sequence[Step]) -> Found | None:
    if len(steps) < 4:
        return None
    first, middle, act = _conv(steps[0]), _conv(steps[1]), _closing(steps[2:])
    if first is None or not first.is_pointwise or middle is None or act is None:
        return None
    if middle.channels != first.channels or middle.groups == 1 or middle.dilation > 1:
        return None
    width = first.channels // middle.groups
    return 4, f"GroupedBlock({middle.groups}, {width}, {middle.kernel}, {middle.stride}{act})"


def _multi_scale(steps: Sequence[Step]) -> Found | None:
    wrap, act = steps[0], _closing(steps[1:])
    if not isinstance(wrap, Wrap) or wrap.kind != "Concat" or act is None:
        return None
    if [len(branch) for branch in wrap.branches] != [1, 1]:
        return None
    narrow, wide = (_conv(branch[0]) for branch in wrap.branches)
    if narrow is None or wide is None or not wide.is_plain:
        return None
    if narrow != (wide.channels, 3, wide.stride, 1, 1):
        return None
    return 3, f"MultiScaleBlock({wide.channels}, {wide.kernel}, {wide.stride}{act})"


def _large_kernel(steps: Sequence[Step]) -> Found | None:
    first = _conv(steps[0])
    if first is None or not first.is_pointwise or len(steps) < 2:
        return None
    wrap = steps[1]
    if not isinstance(wrap, Wrap) or wrap.kind != "Residual" or len(wrap.branches[0]) != 5:
        return None
    middle, norm, wide, act, last = wrap.branches[0]
    is_inner = _text(norm) == "Channels(lambda c: nn.GroupNorm(1, c))" and _text(act) == "nn.GELU()"
    channels, window = first.channels, _depthwise(middle)
    is_whole = _conv(wide) == (2 * channels, 1, 1, 1, 1) and _conv(last) == (channels, 1, 1, 1, 1)
    if not is_inner or not is_whole or window is None or window[1] != 1:
        return None
    return 2, f"LargeKernelBlock({channels}, {window[0]})"


def _gated(steps: Sequence[Step]) -> Found | None:
    conv = _conv(steps[0])
    is_gate = len(steps) > 2 and _text(steps[1]) == "nn.GLU(1)" and _NORM.fullmatch(_text(steps[2]))
    if conv is None or not is_gate or not conv.is_plain or conv.channels % 2:
        return None
    return 3, f"GatedBlock({conv.channels // 2}, {conv.kernel}, {conv.stride})"


def _ops(step: Step) -> list[str]:
    return [node.op for node in step.nodes] if isinstance(step, Part) else []


def _with_op(step: Part, op: str) -> list[Node]:
    return [node for node in step.nodes if node.op == op]


def _positions(step: Part) -> tuple[int, ...]:
    return tuple(range(2, len(step.entry.shape)))


def _squeeze_excite(steps: Sequence[Step]) -> Found | None:
    """A convolution, an activation, and a gate of two linear layers on the means."""
    if len(steps) < 3 or not isinstance(steps[2], Part):
        return None
    conv, act, gate = _conv(steps[0]), ACTIVATIONS.get(_text(steps[1])), steps[2]
    wanted = ["ReduceMean", "Linear", "Relu", "Linear", "Sigmoid", "View", "Mul"]
    if conv is None or not conv.is_plain or act is None or _ops(gate) != wanted:
        return None
    mean, first, _, second, _, _, product = gate.nodes
    small = conv.channels // 4 + 1
    is_mean = mean.attributes["a"] == _positions(gate) and len(mean.shape) == 2
    is_whole = first.attributes["c"] == (conv.channels, small) and len(first.inputs) == 3
    if is_mean and is_whole and len(second.inputs) == 3 and gate.entry in product.inputs:
        return 3, f"SqueezeExciteBlock({conv.channels}, {conv.kernel}, {conv.stride}{act})"
    return None


def _kernel_of(node: Node, channels: tuple[int, int]) -> int | None:
    """The kernel of a convolution with bias that keeps positions."""
    kernel: tuple[int, ...] = node.attributes["k"]  # type: ignore[assignment]
    is_plain = node.attributes.keys() == {"k", "c"} and len(node.inputs) == 3
    is_plain = is_plain and isinstance(node.inputs[1], Weight) and len(set(kernel)) == 1
    is_plain = is_plain and node.attributes["c"] == channels and kernel[0] % 2 == 1
    return kernel[0] if is_plain else None


def _gates(steps: Sequence[Step]) -> Found | None:
    """A gate for each channel, or for each position."""
    gate = steps[0]
    if not isinstance(gate, Part) or gate.entry not in gate.exit.node.inputs:
        return None
    wide = len(gate.entry.shape) == 4
    of_channels = ["ReduceMean", "View", "Conv", "Transpose", "Sigmoid"] + ["View"] * wide
    convs = _with_op(gate, "Conv")
    if _ops(gate) == [*of_channels, "Mul"] and len(gate.nodes[0].shape) == 2:
        kernel = _kernel_of(convs[0], (1, 1))
        is_mean = gate.nodes[0].attributes["a"] == _positions(gate)
        return (1, f"ChannelGate({kernel})") if kernel and is_mean else None
    if sorted(_ops(gate)) == ["Concat", "Conv", "Mul", "ReduceMax", "ReduceMean", "Sigmoid"]:
        kernel = _kernel_of(convs[0], (2, 1))
        joined = _with_op(gate, "Concat")[0]
        parts = [ref.node.op for ref in joined.inputs if isinstance(ref, Ref)]
        is_over = all(n.attributes["a"] == (1,) for n in gate.nodes if n.op.startswith("Reduce"))
        is_pair = parts == ["ReduceMean", "ReduceMax"] and joined.attributes["a"] == 1
        return (1, f"SpatialGate({kernel})") if kernel and is_over and is_pair else None
    return None


def _recurrent(steps: Sequence[Step]) -> Found | None:
    """A projection and a recurrence in both directions that gives all positions back."""
    if len(steps) < 2 or not isinstance(steps[1], Part):
        return None
    conv, part = _conv(steps[0]), steps[1]
    wide = len(part.entry.shape) == 4
    cells = [node for node in part.nodes if node.op in ("GRU", "LSTM")]
    kind = cells[0].op if cells else ""
    wanted = ["Transpose", kind, "Transpose", "View", "Transpose"]
    if conv is None or not conv.is_pointwise or not cells:
        return None
    if _ops(part) != (["View", *wanted, "View"] if wide else wanted):
        return None
    [cell] = cells
    orders = [node.attributes["order"] for node in part.nodes if node.op == "Transpose"]
    is_whole = orders == [(2, 0, 1), (0, 2, 1, 3), (1, 2, 0)] and len(cell.inputs) == 4
    is_whole = is_whole and part.exit.shape[2:] == part.entry.shape[2:]
    is_both = cell.attributes == {"c": (conv.channels, conv.channels), "bi": True}
    name = "RecurrentBlock" if kind == "GRU" else "MemoryBlock"
    return (2, f"{name}({conv.channels})") if is_whole and is_both else None


def _channel_norm(steps: Sequence[Step]) -> Found | None:
    """The norm over channels at each position, without weights."""
    if len(steps) < 3 or _text(steps[1]) != (
        "Features(lambda c: nn.LayerNorm(c, elementwise_affine=False))"
    ):
        return None
    if _ops(steps[0]) != ["Transpose"] or _ops(steps[2]) != ["Transpose"]:
        return None
    rank = len(steps[0].shape)
    orders = [step.nodes[0].attributes["order"] for step in (steps[0], steps[2])]  # type: ignore[union-attr]
    there, back = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    return (3, "ChannelNorm()") if orders == [there, back] else None


def _attention(steps: Sequence[Step]) -> Found | None:
    """A projection and attention of all positions to all, with its residual."""
    if len(steps) < 4 or not isinstance(steps[2], Wrap):
        return None
    conv, wrap, there, back = _conv(steps[0]), steps[2], steps[1], steps[3]
    if conv is None or not conv.is_pointwise or wrap.kind != "Residual":
        return None
    wide = ["View"] * (len(steps[0].shape) == 4)
    if _ops(there) != [*wide, "Transpose"] or _ops(back) != ["Transpose", *wide]:
        return None
    inner = wrap.branches[0]
    if len(inner) != 2 or _text(inner[0]) != "Features(nn.LayerNorm)":
        return None
    heads = _heads(inner[1], conv.channels)
    if heads is None or steps[3].shape != steps[0].shape:
        return None
    return 4, f"AttentionBlock({heads}, {conv.channels // heads})"


_MULTI_HEAD = sorted(
    ["Transpose", "Linear", "View", "Transpose", "View", "Transpose", "View", "MatMul", "Softmax"]
    + ["Select", "View", "Transpose", "Mul"] * 2
    + ["Select", "View", "Transpose", "MatMul", "Linear"]
)


def _heads(step: Step, channels: int) -> int | None:
    """The heads of `nn.MultiheadAttention` of a sequence to itself."""
    if not isinstance(step, Part) or sorted(_ops(step)) != _MULTI_HEAD:
        return None
    linear = _with_op(step, "Linear")
    is_whole = [node.attributes["c"] for node in linear] == [
        (channels, 3 * channels),
        (channels, channels),
    ] and all(len(node.inputs) == 3 for node in linear)
    [softmax] = _with_op(step, "Softmax")
    heads, width = softmax.shape[0].scale, channels // max(1, softmax.shape[0].scale)
    scales = [
        operand.scalar
        for node in _with_op(step, "Mul")
        for operand in node.inputs
        if isinstance(operand, Constant)
    ]
    root = width**-0.25
    if not is_whole or heads * width != channels or len(softmax.shape) != 3:
        return None
    if len(scales) == 2 and all(s is not None and abs(s - root) < 1e-4 for s in scales):
        return heads
    return None


def _wrapper(step: Step) -> Step:
    """A Residual around what is first halved and at last brought back is a UShape."""
    if not isinstance(step, Wrap) or step.kind != "Residual" or len(step.branches[0]) < 3:
        return step
    first, *middle, last = step.branches[0]
    is_down = re.fullmatch(r"nn\.MaxPool[12]d\(3, 2, 1\)", _text(first))
    is_up = re.fullmatch(r"nn\.Upsample\((size|scale_factor)=[\d(), ]+\)", _text(last))
    return Wrap("UShape", (tuple(middle),), step.shape) if is_down and is_up else step


_PATTERNS: tuple[Pattern, ...] = (
    _conv_block,
    _res_block,
    _separable,
    _inverted,
    _grouped,
    _multi_scale,
    _large_kernel,
    _gated,
    _squeeze_excite,
    _gates,
    _recurrent,
    _channel_norm,
    _attention,
)
