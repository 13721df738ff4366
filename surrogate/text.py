"""Writes a canonical graph as lines of text, and folds repeated blocks.

    NET 1x40>10                                 input shape and classes
    Conv k3 s2 1>8 @8x20                        operator, attributes, operands, output shape
    BatchNorm @8x20                             operands are left out if they are the line before
    Add ^3 ^1 @8x20                             ^d: the output d lines back; IN: the graph input
    Add ^1 W1x10x8 #0.5                         W: a weight; #: a constant; =d: weights of that line
    x3{ ... }                                   the lines between stand three times

The weights of Conv, Linear, norms and recurrences follow from their attributes and are not written.
The batch axis is left out where it comes first and written as B elsewhere.
"""

from bisect import bisect_right
from collections import defaultdict
from functools import lru_cache

from surrogate.cost import GATES
from surrogate.ir import BATCH, Attribute, Constant, Dim, Node, Operand, Ref, Shape, Weight

LONGEST_BLOCK = 64  # lines of a repeated block
FEWEST_SAVED = 3  # lines that a repetition must save to be folded
BARE = {"k", "s", "d", "g", "p", "a", "i"}
"""Attributes written without an equals sign."""
LAYERS = {
    *("Conv", "ConvTranspose", "Linear", "BatchNorm", "InstanceNorm", "LayerNorm", "GroupNorm"),
    *GATES,
}
"""Operators whose weights follow from their attributes."""


def write(nodes: list[Node], outputs: list[Ref]) -> list[str]:
    """One line per node, the header first, nothing folded."""
    source = nodes[0]
    classes = _size(outputs[0].shape)
    lines = [f"NET {_size(source.shape)}>{classes}"]
    place = {node: index for index, node in enumerate(nodes)}
    seen: dict[tuple, tuple[int, int]] = {}
    for index, node in enumerate(nodes[1:], start=1):
        lines.append(_line(node, index, place, seen))
    return lines


def fold(lines: list[str]) -> list[str]:
    """Replace runs of identical neighbouring blocks by `xN{`, the block, `}`."""
    folded: list[str] = []
    numbers: dict[str, int] = {}
    ids = [numbers.setdefault(line, len(numbers)) for line in lines]
    places: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(ids):
        places[number].append(place)
    start = 0
    while start < len(lines):
        same = places[ids[start]]
        ends = same[bisect_right(same, start) : bisect_right(same, start + LONGEST_BLOCK)]
        saved, period, count = _longest_run(ids, start, ends)
        if saved < FEWEST_SAVED:
            folded.append(lines[start])
            start += 1
            continue
        folded += [f"x{count}{{", *lines[start : start + period], "}"]
        start += period * count
    return folded


def unfold(lines: list[str]) -> list[str]:
    """The inverse of `fold`."""
    unfolded: list[str] = []
    block_start, count = 0, 1
    for line in lines:
        if line.startswith("x") and line.endswith("{"):
            block_start, count = len(unfolded), int(line[1:-1])
        elif line == "}":
            unfolded += unfolded[block_start:] * (count - 1)
        else:
            unfolded.append(line)
    return unfolded


def _longest_run(ids: list[int], start: int, ends: list[int]) -> tuple[int, int, int]:
    """Saved lines, period and repetitions of the best block that begins here.

    `ends` are the places behind `start`, within reach, where the same line stands again.
    """
    best = (0, 0, 0)
    for end in ends:
        period = end - start
        block = ids[start:end]
        count = 1
        while ids[start + count * period : start + (count + 1) * period] == block:
            count += 1
        best = max(best, ((count - 1) * period, -period, count))
    return best[0], -best[1], best[2]


def _line(node: Node, index: int, place: dict[Node, int], seen: dict) -> str:
    operands = [
        _operand(operand, index, slot, node.op, place, seen)
        for slot, operand in enumerate(node.inputs)
    ]
    operands = [word for word in operands if word]
    is_layer = node.op in LAYERS
    data = [word for word in operands if not (word[0] == "=" and is_layer)]
    if data == ["^1"]:
        operands.remove("^1")
    return " ".join([_head(node), *operands, f"@{_size(node.shape)}"])


def _head(node: Node) -> str:
    """The words before the operands."""
    has_weights = node.op in LAYERS
    count = sum([isinstance(operand, Weight) for operand in node.inputs]) if has_weights else 0
    return _words(node.op, tuple(node.attributes.items()), count)


@lru_cache(maxsize=16_384)
def _words(op: str, items: tuple[tuple[str, Attribute], ...], weight_count: int) -> str:
    attributes = dict(items)
    channels = attributes.pop("c", None)
    words = [op]
    words += [_attribute(key, attributes[key]) for key in sorted(attributes, key=_attribute_rank)]
    if isinstance(channels, tuple):
        words.append(f"{channels[0]}>{channels[1]}")
    return " ".join([*words, *_layer_variant(op, weight_count)])


def _attribute_rank(key: str) -> tuple[int, str]:
    order = "ksdgpai"
    return (order.index(key) if key in order else len(order), key)


def _attribute(key: str, value: Attribute) -> str:
    if value is True:
        return key
    if isinstance(value, tuple):
        is_uniform = len(set(value)) == 1 and key in "ksdp"
        text = "x".join(_number(part) for part in (value[:1] if is_uniform else value))
    else:
        text = _number(value)
    return f"{key}{text}" if key in BARE else f"{key}={text}"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace(" ", "")


def _layer_variant(op: str, count: int) -> list[str]:
    """Says so where a layer has fewer weights than usual."""
    if op in ("Conv", "ConvTranspose", "Linear"):
        return ["nobias"] if count == 1 else []
    if op in GATES:
        return ["nobias"] if count == 2 else []
    if op in LAYERS:
        return {0: ["noaffine"], 1: ["nobias"]}.get(count, [])
    return []


def _operand(
    operand: Operand, index: int, slot: int, op: str, place: dict[Node, int], seen: dict
) -> str:
    if type(operand) is Ref:
        output = f".{operand.output}" if operand.output else ""
        back = place[operand.node]
        return f"^{index - back}{output}" if back else "IN"
    if isinstance(operand, Weight):
        return _weight(operand, index, slot, op, seen)
    return _constant(operand) if isinstance(operand, Constant) else "-"


def _weight(weight: Weight, index: int, slot: int, op: str, seen: dict) -> str:
    """Nothing for a layer's own weight; `=d` and the slot for one that was used before."""
    last = seen.get(weight.key)
    seen[weight.key] = (index, slot)
    shared = f"={index - last[0]}.{last[1]}" if last else ""
    if op in LAYERS:
        return shared
    shape = "x".join(map(str, weight.shape)) or "1"
    part = f":{weight.part}" if weight.part else ""
    return shared or f"W{shape}{part}"


def _constant(constant: Constant) -> str:
    scalar = constant.scalar
    shape = "" if constant.has_one_element else f":{_size(constant.shape)}"
    return f"#{constant.digest if scalar is None else _number(scalar)}{shape}"


@lru_cache(maxsize=16_384)
def _size(shape: Shape) -> str:
    if shape[:1] == (BATCH,):
        return "x".join(map(_dim, shape[1:])) or "1"
    return "x".join(map(_dim, shape)) if any(dim.scale for dim in shape) else _fixed(shape)


def _fixed(shape: Shape) -> str:
    """A shape without the batch axis anywhere."""
    return "=" + "x".join(map(_dim, shape))


def _dim(dim: Dim) -> str:
    if dim.scale == 0:
        return str(dim.offset)
    batch = "B" if dim.scale == 1 else f"{dim.scale}B"
    return f"{batch}{dim.offset:+d}" if dim.offset else batch
