"""Spelling rules for what moves data: views, transposes, slices, splits, joins, padding.

A rule takes a node as an exporter wrote it and returns it in canonical words, or the value that
makes it superfluous. Split becomes Slice, Gather of fixed rows Select, every reshape View.
"""

from collections.abc import Callable

from surrogate.errors import BatchShapeError
from surrogate.ir import Constant, Dim, Node, Ref
from surrogate.shapes import PROBES
from surrogate.spelling import Raw, data_input, int_tuple, keep_attributes, operand_at

OPEN_END = 2**31 - 1  # exporters' "to the end"


def merge(node: Node) -> Node | Ref:
    """Join neighbours of one kind; nodes of other kinds are returned as they are."""
    if node.op == "View":
        return _merge_view(node)
    return _merge_transpose(node) if node.op == "Transpose" else node


def _view(node: Node, _: Raw) -> Node | Ref:
    node.op, node.inputs = "View", node.inputs[:1]
    return _merge_view(node)


def _merge_view(node: Node) -> Node | Ref:
    """A view of a view is one view; a view that changes nothing is none."""
    source = data_input(node)
    if source.node.op == "View":
        source = data_input(source.node)
    node.inputs = [source]
    if source.shape == node.shape:
        return source
    return _select(node, source.node) if source.node.op == "Slice" else node


def _select(view: Node, cut: Node) -> Node:
    """A slice of one position whose axis is then dropped picks that position."""
    axes, starts, stops = (int_tuple(cut.attributes[key]) for key in ("a", "from", "to"))
    assert axes
    assert starts
    assert stops
    if len(axes) == 1 and stops[0] - starts[0] == 1:
        axis = axes[0]
        if cut.shape[:axis] + cut.shape[axis + 1 :] == view.shape:
            view.op, view.inputs = "Select", [data_input(cut)]
            view.attributes = {"a": axis, "i": starts}
    return view


def _transpose(node: Node, raw: Raw) -> Node | Ref:
    rank = len(node.shape)
    node.attributes = {"order": int_tuple(raw.get("perm")) or tuple(reversed(range(rank)))}
    return _merge_transpose(node)


def _merge_transpose(node: Node) -> Node | Ref:
    """A transpose of a transpose is one; one that changes nothing is none."""
    source = data_input(node)
    order = int_tuple(node.attributes["order"]) or ()
    if source.node.op == "Transpose":
        inner = int_tuple(source.node.attributes["order"]) or ()
        source, order = data_input(source.node), tuple(inner[axis] for axis in order)
    if order == tuple(range(len(node.shape))):
        return source
    node.inputs, node.attributes = [source], {"order": order}
    return node


def _einsum(node: Node, raw: Raw) -> Node | Ref:
    """Blanks mean nothing; an equation that only turns one operand is a Transpose."""
    equation = str(raw.get("equation", "")).replace(" ", "")
    node.attributes = {"equation": equation}
    before, arrow, after = equation.partition("->")
    if len(node.inputs) != 1 or not arrow:
        return node
    rank = len(data_input(node).shape)
    dots = "".join(map(chr, range(0x100, 0x100 + max(0, rank - len(before) + 3))))
    before, after = before.replace("...", dots), after.replace("...", dots)
    if sorted(before) != sorted(after) or len(set(before)) != rank or len(before) != rank:
        return node
    node.op, node.attributes = "Transpose", {"order": tuple(map(before.index, after))}
    return _merge_transpose(node)


def _slice(node: Node, raw: Raw) -> Node | Ref:
    source = data_input(node)
    rank = len(source.shape)
    starts = _probed(operand_at(node, 1) or raw.get("starts"))
    ends = _probed(operand_at(node, 2) or raw.get("ends"))
    axes = int_tuple(operand_at(node, 3) or raw.get("axes")) or tuple(range(len(starts[0])))
    steps = int_tuple(operand_at(node, 4)) or (1,) * len(axes)
    ranges = []
    for place, axis in enumerate(_each_positive(axes, rank)):
        size, step = source.shape[axis], steps[place]
        if size.scale:
            _check_open(
                (starts[0][place], starts[1][place]), (ends[0][place], ends[1][place]), size
            )
            if step != 1:
                ranges.append((axis, starts[0][place], -1, step))
            continue
        span = range(size.offset)[slice(starts[0][place], ends[0][place], step)]
        if span != range(size.offset):
            ranges.append((axis, span.start, span.stop, span.step))
    if not ranges:
        return source
    return _sliced(node, source, sorted(ranges))


def _check_open(starts: tuple[int, int], ends: tuple[int, int], size: Dim) -> None:
    """An axis that grows with the batch is taken from a fixed place to its end, or not at all."""
    is_open = all(
        end >= size.at(probe) and (end >= OPEN_END or ends[0] != ends[1])
        for end, probe in zip(ends, PROBES, strict=True)
    )
    if starts != (0, 0) or not is_open:
        raise BatchShapeError("it takes some examples of the batch and leaves others")


def _each_positive(axes: tuple[int, ...], rank: int) -> list[int]:
    return [axis + rank if axis < 0 else axis for axis in axes]


def _sliced(node: Node, source: Ref, ranges: list[tuple[int, int, int, int]]) -> Node:
    node.op, node.inputs = "Slice", [source]
    axes, starts, stops, steps = (tuple(column) for column in zip(*ranges, strict=True))
    node.attributes = {"a": axes, "from": starts, "to": stops}
    if set(steps) != {1}:
        node.attributes["step"] = steps
    return node


def _probed(value: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Whole numbers at both probes."""
    if isinstance(value, Constant) and value.data is not None:
        first, second = (tuple(int(v) for v in array.reshape(-1)) for array in value.data)
        return first, second
    values = int_tuple(value) or ()
    return values, values


def _split(node: Node, raw: Raw) -> Node:
    node.attributes = {"a": int(raw.get("axis", 0))}  # type: ignore[call-overload]
    return node


def split_part(part: Ref) -> Node:
    """One output of a Split is a Slice."""
    node = part.node
    source = data_input(node)
    axis = node.attributes["a"]
    assert isinstance(axis, int)
    axis = axis + len(source.shape) if axis < 0 else axis
    if source.shape[axis].scale:
        raise BatchShapeError("it splits the batch")
    start = sum(shape[axis].offset for shape in node.shapes[: part.output])
    stop = start + part.shape[axis].offset
    new = Node("Slice", {}, [], (part.shape,), (node.types[part.output],))
    return _sliced(new, source, [(axis, start, stop, 1)])


def _gather(node: Node, raw: Raw) -> Node:
    """A fixed row is a Slice without its axis; other rows stay a Gather."""
    source, index = node.inputs[0], node.inputs[1]
    axis = int(raw.get("axis", 0))  # type: ignore[call-overload]
    values = int_tuple(index) if isinstance(index, Constant) and index.is_static else None
    assert source is not None
    axis = axis + len(source.shape) if axis < 0 else axis
    if not isinstance(source, Ref) or values is None or len(values) > 16:
        node.attributes = {"a": axis}
        return node
    if source.shape[axis].scale:
        raise BatchShapeError("it picks examples of the batch")
    size = source.shape[axis].offset
    node.op, node.inputs = "Select", [source]
    node.attributes = {"a": axis, "i": tuple(v + size if v < 0 else v for v in values)}
    return node


def _cumulative(node: Node, raw: Raw) -> Node:
    keep_attributes(node, raw)
    axis = int_tuple(node.inputs[1]) if isinstance(node.inputs[1], Constant) else None
    if axis and isinstance(node.inputs[0], Ref):
        node.inputs = node.inputs[:1]
        node.attributes["a"] = _each_positive(axis[:1], len(node.shape))[0]
    return node


def _concat(node: Node, raw: Raw) -> Node | Ref:
    if len(node.inputs) == 1:
        return data_input(node)
    axis = int(raw["axis"])  # type: ignore[call-overload]
    node.attributes = {"a": axis + len(node.shape) if axis < 0 else axis}
    return node


def _softmax(node: Node, raw: Raw) -> Node:
    axis = int(raw.get("axis", -1))  # type: ignore[call-overload]
    node.attributes = {"a": axis + len(node.shape) if axis < 0 else axis}
    return node


def _pad(node: Node, raw: Raw) -> Node | Ref:
    source = data_input(node)
    pads = int_tuple(operand_at(node, 1) or raw.get("pads")) or ()
    if not any(pads):
        return source
    node.attributes = {"p": pads}
    if raw.get("mode", "constant") != "constant":
        node.attributes["mode"] = str(raw["mode"])
    value = operand_at(node, 2)
    is_zero = value is None or (isinstance(value, Constant) and value.scalar == 0.0)
    node.inputs = [source] if is_zero else [source, value]
    return node


def _expand(node: Node, _: Raw) -> Node | Ref:
    source = data_input(node)
    node.inputs = [source]
    return source if source.shape == node.shape else node


def _resize(node: Node, raw: Raw) -> Node:
    node.inputs = node.inputs[:1]  # sizes and scales stand in the output shape
    used = {"nearest_mode": "nearest", "cubic_coeff_a": "cubic"}
    mode = raw.get("mode", "nearest")
    keep_attributes(node, {k: v for k, v in raw.items() if used.get(k, mode) == mode})
    return node


RULES: dict[str, Callable[[Node, Raw], Node | Ref]] = {
    "Concat": _concat,
    "CumSum": _cumulative,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _view,
    "Gather": _gather,
    "LogSoftmax": _softmax,
    "Pad": _pad,
    "Reshape": _view,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _view,
    "Transpose": _transpose,
    "Unsqueeze": _view,
}
