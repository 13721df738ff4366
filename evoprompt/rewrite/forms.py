"""Known stretches of a graph, told as the text that they have by themselves.

In: the nodes between two values, and a text in the words of `surrogate`. Out: whether they are that
text's graph, whatever its weights are called.
"""

from collections.abc import Iterator
from itertools import permutations
from math import prod

from evoprompt.rewrite.reading import data
from surrogate.decode import decode
from surrogate.ir import COMMUTATIVE, Constant, Node, Operand, Ref, Weight

MOST_HEADS = 16


def is_form(entry: Ref, exit: Ref, nodes: tuple[Node, ...], text: str) -> bool:
    """Whether the nodes from entry to exit are the graph of a text."""
    graph = decode(text)
    if len(graph.nodes) - 1 != len(nodes):
        return False
    return _Pairing(entry, Ref(graph.nodes[0])).meet(exit, graph.outputs[0])


class _Pairing:
    """Which node of one graph is which of the other, as far as known."""

    def __init__(self, entry: Ref, source: Ref) -> None:
        self.pairs: dict[Node, Node] = {}
        self.names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.entry, self.source = entry, source

    def meet(self, ours: Ref, theirs: Ref) -> bool:
        """Whether two values are computed alike."""
        if theirs == self.source or ours == self.entry:
            return theirs == self.source and ours == self.entry
        one, other = ours.node, theirs.node
        if one in self.pairs:
            return self.pairs[one] is other and ours.output == theirs.output
        is_alike = (one.op, one.attributes) == (other.op, other.attributes)
        if not is_alike or ours.output != theirs.output or ours.shape != theirs.shape:
            return False
        for order in _orders(one, other):
            known = dict(self.pairs), dict(self.names)
            self.pairs[one] = other
            if all(self._is_same(a, b) for a, b in zip(one.inputs, order, strict=True)):
                return True
            self.pairs, self.names = known
        return False

    def _is_same(self, ours: Operand, theirs: Operand) -> bool:
        if isinstance(ours, Ref) and isinstance(theirs, Ref):
            return self.meet(ours, theirs)
        if isinstance(ours, Weight) and isinstance(theirs, Weight):
            known = self.names.setdefault(ours.sources, theirs.sources)
            is_new = list(self.names.values()).count(theirs.sources) == 1
            is_alike = (ours.shape, ours.part) == (theirs.shape, theirs.part)
            return is_alike and is_new and known == theirs.sources
        if isinstance(ours, Constant) and isinstance(theirs, Constant):
            return ours.word == theirs.word
        return ours is None and theirs is None


def _orders(one: Node, other: Node) -> Iterator[tuple[Operand, ...]]:
    if len(one.inputs) != len(other.inputs):
        return
    if one.op in COMMUTATIVE:
        yield from permutations(other.inputs)
    else:
        yield tuple(other.inputs)


def self_attention(entry: Ref, exit: Ref, nodes: tuple[Node, ...]) -> str | None:
    """`SelfAttention(heads)`, if that is what the nodes do."""
    if entry.shape != exit.shape or len(entry.shape) != 3 or not 18 < len(nodes) < 34:
        return None
    steps, width = (dim.offset for dim in entry.shape[1:])
    is_fast = any(node.op == "Softmax" and len(node.shape) == 4 for node in nodes)
    for heads in range(1, min(width, MOST_HEADS) + 1):
        if width % heads == 0 and data(nodes[0]) == [entry]:
            lines = _fast_attention(steps, width, heads)
            if not is_fast:
                lines = _plain_attention(steps, width, heads, source="IN ")
            text = "\n".join([f"NET {steps}x{width}>{steps}x{width}", *lines])
            if is_form(entry, exit, nodes, text):
                return f"SelfAttention({heads}{', False' if is_fast else ''})"
    return None


def window_attention(entry: Ref, exit: Ref, nodes: tuple[Node, ...]) -> tuple[int, int] | None:
    """Heads and window of the library's WindowBlock behind its projection, or None."""
    softmax = [node for node in nodes if node.op == "Softmax"]
    if len(softmax) != 1 or len(softmax[0].shape) != 3 or len(nodes) < 22:
        return None
    window, width = softmax[0].shape[-1].offset, entry.shape[1].offset
    count = prod(dim.offset for dim in entry.shape[2:])
    windows = -(-count // window)
    heads = softmax[0].shape[0].scale // windows
    if windows < 2 or not heads or width % heads:
        return None
    text = _window_block([dim.offset for dim in entry.shape[2:]], width, heads, window)
    return (heads, window) if is_form(entry, exit, nodes, text) else None


def _window_block(sides: list[int], c: int, h: int, window: int) -> str:
    count = prod(sides)
    windows = -(-count // window)
    whole = windows * window
    size = "x".join(map(str, sides))
    first = [f"View IN @{c}x{count}"] if len(sides) > 1 else []
    source = "" if first else "IN "
    pad = [f"Pad p0x0x0x0x{whole - count}x0 @{whole}x{c}"] if whole > count else []
    inner = _plain_attention(window, c, h, windows)
    lines = [
        f"NET {c}x{size}>{c}x{size}",
        *first,
        f"Transpose order=0x2x1 {source}@{count}x{c}",
        *pad,
        f"View @{windows}Bx{window}x{c}",
        f"LayerNorm a2 @{windows}Bx{window}x{c}",
        *inner,
        f"Add ^1 ^{len(inner) + 2} @{windows}Bx{window}x{c}",
        f"View @{whole}x{c}",
        *([f"Slice a1 from=0 to={count} @{count}x{c}"] if pad else []),
        f"Transpose order=0x2x1 @{c}x{count}",
        *([f"View @{c}x{size}"] if first else []),
    ]
    return "\n".join(lines)


def _sized(batches: int, *sizes: int) -> str:
    """A shape in the words of a text: the batch is not said where it is plain."""
    return (f"{batches}Bx" if batches > 1 else "") + "x".join(map(str, sizes))


def _opening(s: int, c: int, m: int, source: str = "") -> list[str]:
    b = "B" if m == 1 else f"{m}B"
    return [
        f"Transpose order=1x0x2 {source}@{s}x{b}x{c}",
        f"Linear {c}>{3 * c} @{s}x{b}x{3 * c}",
        f"View @1x{s}x{b}x3x{c}",
        f"Transpose order=3x1x2x0x4 @3x{s}x{b}x1x{c}",
        f"View @3x{s}x{b}x{c}",
    ]


def _closing(s: int, c: int, m: int) -> list[str]:
    b = "B" if m == 1 else f"{m}B"
    lines = [f"View @{s * m}Bx{c}", f"Linear {c}>{c} @{s * m}Bx{c}", f"View @{s}x{b}x{c}"]
    return [*lines, f"Transpose order=1x0x2 @{_sized(m, s, c)}"]


def _plain_attention(s: int, c: int, h: int, m: int = 1, source: str = "") -> list[str]:
    """`nn.MultiheadAttention` that gives its weights too, on `m` times as many rows as examples."""
    w, b = c // h, "B" if m == 1 else f"{m}B"
    many = "B" if h * m == 1 else f"{h * m}B"
    rows, square = _sized(h * m, s, w), _sized(h * m, s, s)
    split = [f"View @{s}x{many}x{w}"] if h > 1 else []
    turned, k = f"Transpose order=1x0x2 @{rows}", len(split)
    return [
        *_opening(s, c, m, source),
        f"Select a0 i0 @{s}x{b}x{c}",
        *split,
        turned,
        f"Mul ^1 #{w**-0.5:.6g} @{rows}",
        f"Select a0 i1 ^{4 + k} @{s}x{b}x{c}",
        *split,
        f"Transpose order=1x2x0 @{_sized(h * m, w, s)}",
        f"MatMul ^{3 + k} ^1 @{square}",
        f"Softmax a2 @{square}",
        f"Select a0 i2 ^{8 + 2 * k} @{s}x{b}x{c}",
        *split,
        turned,
        f"MatMul ^{3 + k} ^1 @{rows}",
        f"Transpose order=1x0x2 @{s}x{many}x{w}",
        *_closing(s, c, m),
    ]


def _fast_attention(s: int, c: int, h: int) -> list[str]:
    """The same without its weights."""
    w, many = c // h, "B" if h == 1 else f"{h}B"
    split = [f"View @{s}x{many}x{w}"] if h > 1 else []
    split += [f"Transpose order=1x0x2 @{_sized(h, s, w)}", f"View @{h}x{s}x{w}"]
    root, k = f"{w**-0.25:.6g}", len(split)
    return [
        *_opening(s, c, 1, "IN "),
        f"Select a0 i1 @{s}xBx{c}",
        *split,
        f"Transpose order=0x1x3x2 @{h}x{w}x{s}",
        f"Mul ^1 #{root} @{h}x{w}x{s}",
        f"Select a0 i0 ^{k + 4} @{s}xBx{c}",
        *split,
        f"Mul ^1 #{root} @{h}x{s}x{w}",
        f"MatMul ^1 ^{k + 3} @{h}x{s}x{s}",
        f"Softmax a3 @{h}x{s}x{s}",
        f"Select a0 i2 ^{2 * k + 8} @{s}xBx{c}",
        *split,
        f"MatMul ^{k + 2} ^1 @{h}x{s}x{w}",
        f"Transpose order=2x0x1x3 @{s}xBx{h}x{w}",
        *_closing(s, c, 1),
    ]


def linear_attention(entry: Ref, exit: Ref, nodes: tuple[Node, ...]) -> int | None:
    """The heads of the library's LinearAttentionBlock between its norms, if that is what it is."""
    if entry.shape != exit.shape or len(entry.shape) != 3:
        return None
    s, c = (dim.offset for dim in entry.shape[1:])
    for h in range(1, min(c, MOST_HEADS) + 1):
        w = c // h
        lines = [
            f"NET {s}x{c}>{s}x{c}",
            f"Linear {c}>{3 * c} IN @{s}x{3 * c}",
            f"View @{s}x{h}x{3 * w}",
            f"Transpose order=0x2x1x3 @{h}x{s}x{3 * w}",
            f"Slice a3 from=0 to={w} @{h}x{s}x{w}",
            f"Softmax a3 @{h}x{s}x{w}",
            f"Slice a3 from={w} to={2 * w} ^3 @{h}x{s}x{w}",
            f"Softmax a2 @{h}x{s}x{w}",
            f"Transpose order=0x1x3x2 @{h}x{w}x{s}",
            f"Slice a3 from={2 * w} to={3 * w} ^6 @{h}x{s}x{w}",
            f"MatMul ^2 ^1 @{h}x{w}x{w}",
            f"MatMul ^6 ^1 @{h}x{s}x{w}",
            f"Transpose order=0x2x1x3 @{s}x{h}x{w}",
            f"View @{s}x{c}",
        ]
        if c % h == 0 and is_form(entry, exit, nodes, "\n".join(lines)):
            return h
    return None
