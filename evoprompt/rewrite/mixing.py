"""The library's classes of gates, recurrences and attention, as steps.

In: the steps from one place on. Out: how many of them a class does, and its line, or None.
"""

import re
from collections.abc import Sequence
from math import prod

import numpy as np

from evoprompt.rewrite import forms
from evoprompt.rewrite.matching import (
    TOKEN_NORM,
    Found,
    conv_of,
    ops_of,
    positions_of,
    text_of,
    with_op,
)
from evoprompt.rewrite.reading import data
from evoprompt.rewrite.steps import Chain, Part, Step, Wrap
from surrogate.ir import Constant, Node, Operand, Ref, Weight

_LINEAR = re.compile(r"nn\.LazyLinear\((\d+)\)")


def _gates(steps: Sequence[Step]) -> Found | None:
    """A gate for each channel, or for each position."""
    gate = steps[0]
    if not isinstance(gate, Part) or gate.entry not in gate.exit.node.inputs:
        return None
    wide = len(gate.entry.shape) == 4
    of_channels = ["ReduceMean", "View", "Conv", "Transpose", "Sigmoid"] + ["View"] * wide
    convs = with_op(gate, "Conv")
    if ops_of(gate) == [*of_channels, "Mul"] and len(gate.nodes[0].shape) == 2:
        kernel = _kernel_of(convs[0], (1, 1))
        is_mean = gate.nodes[0].attributes["a"] == positions_of(gate)
        return (1, f"ChannelGate({kernel})") if kernel and is_mean else None
    if sorted(ops_of(gate)) == ["Concat", "Conv", "Mul", "ReduceMax", "ReduceMean", "Sigmoid"]:
        kernel = _kernel_of(convs[0], (2, 1))
        joined = with_op(gate, "Concat")[0]
        parts = [ref.node.op for ref in joined.inputs if isinstance(ref, Ref)]
        is_over = all(n.attributes["a"] == (1,) for n in gate.nodes if n.op.startswith("Reduce"))
        is_pair = parts == ["ReduceMean", "ReduceMax"] and joined.attributes["a"] == 1
        return (1, f"SpatialGate({kernel})") if kernel and is_over and is_pair else None
    return None


def _recurrent(steps: Sequence[Step]) -> Found | None:
    """A projection and a recurrence in both directions that gives all positions back."""
    if len(steps) < 2 or not isinstance(steps[1], Part):
        return None
    conv, part = conv_of(steps[0]), steps[1]
    wide = len(part.entry.shape) == 4
    cells = [node for node in part.nodes if node.op in ("GRU", "LSTM")]
    kind = cells[0].op if cells else ""
    wanted = ["Transpose", kind, "Transpose", "View", "Transpose"]
    if conv is None or not conv.is_pointwise or not cells:
        return None
    if ops_of(part) != (["View", *wanted, "View"] if wide else wanted):
        return None
    [cell] = cells
    is_both = cell.attributes == {"c": (conv.channels, conv.channels), "bi": True}
    name = "RecurrentBlock" if kind == "GRU" else "MemoryBlock"
    return (2, f"{name}({conv.channels})") if _gives_back(part) and is_both else None


def _sequence(steps: Sequence[Step]) -> Found | None:
    """A recurrence in both directions that reads the input itself."""
    part = steps[0]
    if not isinstance(part, Part):
        return None
    source = part.entry.node
    before = data(source)[0] if source.op == "View" else part.entry
    is_flat = before != part.entry and len(before.shape) == 2 and source.shape[1] == (0, 1)
    is_first = source.op == "Input" or (is_flat and before.node.op == "Input")
    wide = ["View"] * (len(part.entry.shape) == 4)
    wanted = [*wide, "Transpose", "GRU", "Transpose", "View", "Transpose", *wide]
    if not is_first or ops_of(part) != wanted or not _gives_back(part):
        return None
    [cell] = with_op(part, "GRU")
    channels = part.entry.shape[1].offset
    hidden = cell.attributes["c"][1]  # type: ignore[index]
    if cell.attributes != {"c": (channels, hidden), "bi": True}:
        return None
    return 1, f"SequenceBlock({'1' if is_flat else 'in_shape[0]'}, {hidden})"


def _gives_back(part: Part) -> bool:
    """Whether a recurrence reads the positions of its part in order and gives all of them back."""
    orders = [node.attributes["order"] for node in with_op(part, "Transpose")]
    cells = [node for node in part.nodes if node.op in ("GRU", "LSTM")]
    is_whole = orders == [(2, 0, 1), (0, 2, 1, 3), (1, 2, 0)] and len(cells[0].inputs) == 4
    return is_whole and part.exit.shape[2:] == part.entry.shape[2:]


def _channel_norm(steps: Sequence[Step]) -> Found | None:
    """The norm over channels at each position, without weights."""
    if len(steps) < 3 or text_of(steps[1]) != TOKEN_NORM:
        return None
    if ops_of(steps[0]) != ["Transpose"] or ops_of(steps[2]) != ["Transpose"]:
        return None
    rank = len(steps[0].shape)
    orders = [step.nodes[0].attributes["order"] for step in (steps[0], steps[2])]  # type: ignore[union-attr]
    there, back = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    return (3, "ChannelNorm()") if orders == [there, back] else None


def _attention(steps: Sequence[Step]) -> Found | None:
    """A projection and attention of all positions to all, with its residual."""
    if len(steps) < 4 or not isinstance(steps[2], Wrap) or steps[2].kind != "Residual":
        return None
    conv, there, back, inner = conv_of(steps[0]), steps[1], steps[3], steps[2].branches[0]
    if conv is None or not conv.is_pointwise or steps[3].shape != steps[0].shape:
        return None
    wide = ["View"] * (len(steps[0].shape) == 4)
    if ops_of(there) != [*wide, "Transpose"] or ops_of(back) != ["Transpose", *wide]:
        return None
    name, heads = _attention_of(inner, conv.channels)
    return (4, f"{name}({heads}, {conv.channels // heads})") if heads else None


def _attention_of(inner: Chain, channels: int) -> tuple[str, int]:
    """The class of the library and its heads; no heads where it has none."""
    if len(inner) != 2:
        return "", 0
    first, last = inner
    full = re.fullmatch(r"SelfAttention\((\d+)\)", text_of(last))
    if full and text_of(first) == "Features(nn.LayerNorm)":
        return "AttentionBlock", int(full[1])
    if isinstance(first, Part) and text_of(last) == f"nn.LazyLinear({channels})":
        heads = forms.linear_attention(first.entry, first.exit, first.nodes)
        return "LinearAttentionBlock", heads or 0
    return "", 0


def _long_conv(steps: Sequence[Step]) -> Found | None:
    """A projection in two halves, of which a long convolution reads one and the other is a gate."""
    if len(steps) < 2 or not isinstance(steps[0], Part):
        return None
    part, last = steps[0], conv_of(steps[1])
    wanted = ["Conv", "Conv", "Mul", "Slice", "Slice", "Swish"]
    if last is None or not last.is_pointwise or sorted(ops_of(part)) != wanted:
        return None
    project, long = with_op(part, "Conv")
    channels, inputs = last.channels, part.entry.shape[1].offset
    kernel: tuple[int, ...] = long.attributes["k"]  # type: ignore[assignment]
    is_whole = project.attributes == {"k": (1,) * len(kernel), "c": (inputs, 2 * channels)}
    is_whole = is_whole and long.attributes == {
        "k": kernel,
        "g": channels,
        "c": (channels, channels),
    }
    starts = [data(node)[0].node.attributes.get("from") for node in (long, *with_op(part, "Swish"))]
    is_whole = is_whole and starts == [(0,), (channels,)] and len(set(kernel)) == 1
    has_biases = len(project.inputs) == 3 == len(long.inputs)
    if is_whole and has_biases and kernel[0] % 2:
        return 2, f"LongConvBlock({channels}, {kernel[0]})"
    return None


def _token_mixing(steps: Sequence[Step]) -> Found | None:
    """A perceptron along the positions."""
    step = steps[0]
    if not isinstance(step, Wrap) or step.kind != "Residual" or len(step.branches) != 1:
        return None
    inner = step.branches[0]
    if len(step.shape) == 4:
        if len(inner) != 4 or text_of(inner[0]) not in ("nn.Flatten(2)", "nn.Flatten(2, 3)"):
            return None
        last = inner[3].nodes[0] if isinstance(inner[3], Part) else None
        if last is None or ops_of(inner[3]) != ["Linear", "View"] or len(last.inputs) != 3:
            return None
        inner, positions = inner[1:], str(last.shape[-1].offset)
    else:
        match = _LINEAR.fullmatch(text_of(inner[-1]))
        positions = match[1] if match else ""
    hidden = _LINEAR.fullmatch(text_of(inner[0]))
    if len(inner) != 3 or text_of(inner[1]) != "nn.GELU()" or not hidden or not positions:
        return None
    return 1, f"TokenMixing({positions}, {hidden[1]})"


def _windows(steps: Sequence[Step]) -> Found | None:
    """A projection and attention within windows."""
    if len(steps) < 2 or not isinstance(steps[1], Part):
        return None
    conv, part = conv_of(steps[0]), steps[1]
    if conv is None or not conv.is_pointwise or part.entry.shape != part.exit.shape:
        return None
    found = forms.window_attention(part.entry, part.exit, part.nodes)
    if found is None:
        return None
    heads, window = found
    return 2, f"WindowBlock({heads}, {conv.channels // heads}, {window})"


def _kernel_of(node: Node, channels: tuple[int, int]) -> int | None:
    """The kernel of a convolution with bias that keeps positions."""
    kernel: tuple[int, ...] = node.attributes["k"]  # type: ignore[assignment]
    is_plain = node.attributes.keys() == {"k", "c"} and len(node.inputs) == 3
    is_plain = is_plain and isinstance(node.inputs[1], Weight) and len(set(kernel)) == 1
    is_plain = is_plain and node.attributes["c"] == channels and kernel[0] % 2 == 1
    return kernel[0] if is_plain else None


def _fourier(steps: Sequence[Step]) -> Found | None:
    """Waves along the positions."""
    part = steps[0]
    if not isinstance(part, Part) or part.entry.shape != part.exit.shape:
        return None
    wide = ["View"] * (len(part.entry.shape) == 4)
    if ops_of(part) != [*wide, "MatMul", "Div", *wide]:
        return None
    product, ratio = with_op(part, "MatMul")[0], with_op(part, "Div")[0]
    count = product.shape[-1].offset
    steps_L = np.arange(count)
    waves = np.cos(2 * np.pi / count * np.outer(steps_L, steps_L))
    root = ratio.inputs[1].scalar if isinstance(ratio.inputs[1], Constant) else None
    is_scaled = root is not None and abs(root - count**0.5) < 1e-4
    return (1, "FourierMixing()") if is_scaled and _is_table(product.inputs[1], waves) else None


def _encoding(steps: Sequence[Step]) -> Found | None:
    """Waves of many lengths added to the channels."""
    part = steps[0]
    if not isinstance(part, Part) or ops_of(part) != ["Add"]:
        return None
    sizes = [dim.offset for dim in part.exit.shape[1:]]
    steps_L = np.arange(prod(sizes[1:]))
    rates_C = np.arange(1, sizes[0] + 1)
    waves = np.sin(2 * steps_L / (rates_C[:, None] + 1)).reshape(sizes)
    tables = [operand for operand in part.nodes[0].inputs if isinstance(operand, Constant)]
    is_whole = len(tables) == 1 and _is_table(tables[0], waves)
    return (1, "PositionEncoding()") if is_whole else None


def _is_table(operand: Operand, values: np.ndarray) -> bool:
    """Whether a constant holds these numbers, but for the last digits."""
    if not isinstance(operand, Constant) or operand.data is None or not operand.is_static:
        return False
    array = operand.data[0]
    return array.shape == values.shape and bool(np.allclose(array, values, atol=1e-4))


PATTERNS = (
    *(_gates, _recurrent, _sequence, _channel_norm, _attention, _long_conv, _token_mixing),
    *(_windows, _fourier, _encoding),
)
