"""The structure of a network: chains of layers, wrappers around chains, the rest in parts.

In: two values of the graph. Out: the steps from one to the other. A value through which every path
goes ends a step; between two such values stands one layer, or a sum, a concatenation or a gate of
branches that have nothing in common, which the grammar has wrappers for, or a `Part`.
"""

from collections.abc import Iterator
from itertools import pairwise

from evoprompt.rewrite import forms, layers, shortcuts, views
from evoprompt.rewrite.lifting import lifted
from evoprompt.rewrite.reading import NoRuleError, Reading, data, inside
from evoprompt.rewrite.steps import Chain, Line, Part, Step, Wrap
from surrogate.ir import BATCH, Node, Ref, Shape, Weight

MOST_AXES = 4  # of a value between two lines; layers know no others


def chain(reading: Reading, entry: Ref, exit: Ref) -> Chain:
    """The steps from one value to another; none where they are the same."""
    if entry == exit:
        return ()
    nodes = inside(reading, entry, exit)
    steps: list[Step] = []
    for (start, first), (stop, last) in pairwise(_cuts(reading, entry, exit, nodes)):
        steps += _segment(reading, start, stop, nodes[first + 1 : last + 1])
    return lifted(tuple(_joined(steps)))


def _cuts(reading: Reading, entry: Ref, exit: Ref, nodes: list[Node]) -> list[tuple[Ref, int]]:
    """The values through which everything goes, with the places of their nodes; both ends too."""
    place = {entry.node: -1} | {node: index for index, node in enumerate(nodes)}
    held = [0] * (len(nodes) + 1)  # how many things hold a place between two steps

    def hold(first: int, last: int) -> None:
        """No step ends at first ... last - 1."""
        if first < last:
            held[first] += 1
            held[last] -= 1

    outputs: dict[Node, set[int]] = {}
    weights: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for ref in data(node):
            start = place[ref.node]
            hold(start if ref.node in reading.grown else start + 1, index)
            outputs.setdefault(ref.node, set()).add(ref.output)
        is_plain = node.shape[:1] == (BATCH,) and len(node.shape) <= MOST_AXES
        if node in reading.grown or node in reading.glued or not is_plain:
            hold(index, index + 1)
        for name in {n for o in node.inputs if isinstance(o, Weight) for n in o.sources}:
            hold(weights.setdefault(name, index), index)
    found, holding = [(entry, -1)], 0
    for index, node in enumerate(nodes[:-1]):
        holding += held[index]
        read = outputs.get(node, set())
        if not holding and len(read) == 1:
            found.append((Ref(node, *read), index))
    return [*found, (exit, len(nodes) - 1)]


def _segment(reading: Reading, start: Ref, stop: Ref, nodes: list[Node]) -> list[Step]:
    """What stands between two neighbouring values."""
    whole: list[Step] = [Part(start, stop, tuple(nodes))]
    alone = lifted(tuple(whole))
    if isinstance(alone[0], Line):
        return list(alone)
    if len(nodes) == 1 and data(nodes[0]) == [start]:
        texts = layers.lines(nodes[0]) if nodes[0].op != "View" else None
        if texts and len(texts) == 1:
            return [Line(texts[0], stop.shape, Part(start, stop, tuple(nodes)))]
        return _lines(texts, stop.shape) if texts else whole
    attention = forms.self_attention(start, stop, tuple(nodes))
    if attention:
        return [Line(attention, stop.shape)]
    texts = shortcuts.lines(start, stop, nodes)
    if texts:
        return _lines(texts, stop.shape)
    wrapped = _wrapped(reading, start, stop, nodes)
    return [wrapped] if wrapped is not None else whole


def _lines(texts: list[str], shape: Shape) -> list[Step]:
    return [Line(text, shape) for text in texts]


def _wrapped(reading: Reading, start: Ref, stop: Ref, nodes: list[Node]) -> Step | None:
    """A wrapper of the grammar, if the nodes are one."""
    last, operands = stop.node, data(stop.node)
    if len(operands) != len(last.inputs) or stop.output:
        return None
    if last.op == "Concat" and last.attributes["a"] == 1 and len(last.shape) > 2:
        return _branched(reading, "Concat", start, stop, nodes, operands, [last])
    if last.op == "Add":
        operands, sums = _terms(reading, start, last)
        if all(ref.shape == stop.shape for ref in operands):
            return _branched(reading, "Sum", start, stop, nodes, operands, sums)
    if last.op == "Mul" and start in operands and len(operands) == 2:
        [other] = [ref for ref in operands if ref != start] or [start]
        if other.node.op == "Sigmoid" and other.shape == start.shape == stop.shape:
            inner = data(other.node)
            return _branched(reading, "Gate", start, stop, nodes, inner, [last, other.node])
    return None


def _terms(reading: Reading, start: Ref, last: Node) -> tuple[list[Ref], list[Node]]:
    """The operands of sums of sums, in the order in which they are added up."""
    pair, sums = data(last), [last]
    more = [
        ref
        for ref in pair
        if ref.node.op == "Add" and ref != start and len(reading.users[ref.node]) == 1
    ]
    more = [ref for ref in more if len(data(ref.node)) == len(ref.node.inputs)]
    if len(more) != 1 or pair[0] == pair[1]:
        return pair, sums
    [other] = [ref for ref in pair if ref != more[0]]
    if other == start:
        return pair, sums
    inner, below = _terms(reading, start, more[0].node)
    return [*inner, other], sums + below


def _branched(
    reading: Reading,
    kind: str,
    start: Ref,
    stop: Ref,
    nodes: list[Node],
    operands: list[Ref],
    joins: list[Node],
) -> Step | None:
    """The wrapper of these branches, if they meet nowhere and are all there is."""
    seen: set[Node] = set(joins)
    names: set[str] = set()
    count = len(joins)
    for operand in operands:
        branch = [] if operand == start else inside(reading, start, operand)
        if not branch and operand != start:
            return None
        if any(node in reading.glued or node in reading.grown for node in branch[-1:]):
            return None
        own = {
            n for node in branch for o in node.inputs if isinstance(o, Weight) for n in o.sources
        }
        if names & own:
            return None
        names |= own
        seen.update(branch)
        count += len(branch)
    if count != len(seen) or seen != set(nodes) or len(operands) - operands.count(start) == 0:
        return None
    if operands.count(start) > 1:
        return None
    kind, operands = _named(kind, start, operands)
    try:
        branches = tuple(chain(reading, start, operand) for operand in operands)
    except NoRuleError:
        return None
    return Wrap(kind, branches, stop.shape)


def _named(kind: str, start: Ref, operands: list[Ref]) -> tuple[str, list[Ref]]:
    """A sum with the entry is a Residual, a concatenation behind the entry is Dense."""
    others = [ref for ref in operands if ref != start]
    if len(operands) == 2 and len(others) == 1:
        if kind == "Sum":
            return "Residual", others
        is_alike = operands[0] == start and start.shape[2:] == others[0].shape[2:]
        if kind == "Concat" and is_alike:
            return "Dense", others
    return kind, operands


def _joined(steps: list[Step]) -> list[Step]:
    """Neighbouring parts become one; views alone become lines."""
    done: list[Step] = []
    run: list[Part] = []
    for step in [*steps, None]:
        if isinstance(step, Part):
            run.append(step)
            continue
        if run and _divides(run[0].entry, run):
            while done and isinstance(done[-1], Line) and done[-1].part and _is_free(run[0].nodes):
                run.insert(0, done.pop().part)  # type: ignore[union-attr,arg-type]
        done += _run(run)
        run = []
        if step is not None:
            done.append(step)
    return done


def _divides(entry: Ref, run: list[Part]) -> bool:
    """Whether a part divides an axis of what it reads, whose width then may not be any."""
    for node in (node for part in run for node in part.nodes):
        is_split = node.op == "View" and len(node.shape) > len(entry.shape)
        if data(node)[:1] == [entry] and (is_split or node.op == "Slice"):
            return True
    return False


def _is_free(nodes: tuple[Node, ...]) -> bool:
    """Whether nothing so far says how wide the value in front of these nodes is."""
    return not any(isinstance(operand, Weight) for operand in nodes[0].inputs)


def _run(run: list[Part]) -> Iterator[Step]:
    tail: list[Part] = []
    while run and _is_view(run[-1]) and len(run[-1].shape) == 2:
        tail.insert(0, run.pop())  # nn.Flatten() belongs to what follows
    if run and all(_is_view(part) for part in run):
        tail, run = [*run, *tail], []
    if run:
        nodes = tuple(node for part in run for node in part.nodes)
        whole = Part(run[0].entry, run[-1].exit, nodes)
        text = shortcuts.shuffle(whole.entry, whole.exit, nodes)
        text = text or forms.self_attention(whole.entry, whole.exit, nodes)
        yield Line(text, whole.shape) if text else whole
    for part in tail:
        texts = views.layers(part.entry.shape, part.shape)
        yield from _lines(texts, part.shape) if texts is not None else [part]


def _is_view(part: Part) -> bool:
    return len(part.nodes) == 1 and part.nodes[0].op == "View"
