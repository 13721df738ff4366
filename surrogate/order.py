"""The canonical order of a graph's nodes and operands, and the hash that follows from it.

Independent of names and of the order in the file: nodes are coloured by what they compute and,
where that leaves twins, by who uses them (Weisfeiler & Leman 1968, until the colours are stable);
`symmetry` settles what is tied even then. Nodes are numbered from the output, the longer branch
first. Colours are computed only for graphs that have branches of one length to be told apart.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache

from surrogate.ir import COMMUTATIVE, Constant, Node, Operand, Ref, Shape, Weight, live_in, refs
from surrogate.symmetry import VISITS, Search, Vertex, vertices

HASH_VERSION = "1"
_DIGEST = re.compile("[0-9a-f]{8}")


def put_in_order(nodes: list[Node], outputs: list[Ref]) -> list[Node]:
    """Sort the operands of commutative operators; returns the nodes in canonical order.

    `nodes` holds at least all that the outputs need, producers first.
    """
    nodes = live_in(nodes, outputs)
    _trim(nodes, outputs)
    put_labels(nodes)
    heights = _heights(nodes)
    if not _has_level_branches(nodes, heights):
        return _arranged(nodes, outputs, heights, {}, {})
    colours, is_tied = _colours(nodes, outputs)
    if not is_tied:
        return _arranged(nodes, outputs, heights, colours, {})

    def written(ranks: Mapping[Vertex, int]) -> str:
        return "\n".join(_rows(_arranged(nodes, outputs, heights, colours, ranks), outputs))

    def rank(operand: Operand) -> tuple:
        return _operand_rank(operand, colours, heights)

    ranks = Search(nodes, outputs, rank, written).settle(colours)
    return _arranged(nodes, outputs, heights, colours, ranks)


def put_labels(nodes: list[Node]) -> None:
    """Write down what each node is by itself."""
    for node in nodes:
        node.label = _label(node.op, tuple(node.attributes.items()), node.shapes, node.types[0])


def _arranged(
    nodes: list[Node],
    outputs: list[Ref],
    heights: Mapping[Node, int],
    colours: Mapping[Node, str],
    ranks: Mapping[Vertex, int],
) -> list[Node]:
    """Sort operands and number the nodes."""
    for node in nodes:
        if node.op in COMMUTATIVE:
            node.inputs.sort(key=lambda o: _operand_rank(o, colours, heights))
            if ranks:
                node.inputs.sort(
                    key=lambda o: (
                        _operand_rank(o, colours, heights),
                        [ranks.get(vertex, 0) for vertex in vertices(o)],
                    )
                )
    return _numbered(nodes, outputs, colours, heights)


def _trim(nodes: list[Node], outputs: list[Ref]) -> None:
    """Forget the outputs that nothing reads, such as the last state of a recurrence."""
    used: dict[Node, int] = {ref.node: ref.output for ref in outputs}
    for node in reversed(nodes):
        if len(node.shapes) > 1:
            last = used[node] + 1
            node.shapes, node.types = node.shapes[:last], node.types[:last]
        for operand in node.inputs:
            if type(operand) is Ref and used.get(operand.node, -1) < operand.output:
                used[operand.node] = operand.output


def graph_hash(nodes: list[Node], outputs: list[Ref]) -> str:
    """SHA-256 of the graph whose nodes stand in canonical order."""
    return hashlib.sha256("\n".join(_rows(nodes, outputs)).encode()).hexdigest()


def _rows(nodes: list[Node], outputs: list[Ref]) -> list[str]:
    place = {node: index for index, node in enumerate(nodes)}
    weights: dict[tuple, int] = {}
    uses = places_of_use(nodes)
    rows = [HASH_VERSION]
    for node in nodes:
        operands = [_written(operand, place, weights, uses) for operand in node.inputs]
        rows.append("|".join([node.label, *operands]))
    rows += [f"out {place[ref.node]}.{ref.output}" for ref in outputs]
    return rows


@lru_cache(maxsize=16_384)
def _label(op: str, items: tuple, shapes: tuple[Shape, ...], element_type: int) -> str:
    attributes = [f"{key}={value!r}" for key, value in sorted(items)]
    sizes = ["x".join(f"{dim.scale}b{dim.offset}" for dim in shape) for shape in shapes]
    return f"{op} {attributes} {sizes} {element_type}"


def places_of_use(nodes: list[Node]) -> Callable[[str], list[tuple]]:
    """Where a trained tensor is read, in canonical order; only sums of weights ask for it."""
    found: dict[str, list[tuple]] = defaultdict(list)

    def uses(name: str) -> list[tuple]:
        if not found:
            for index, node in enumerate(nodes):
                for slot, operand in enumerate(node.inputs):
                    if isinstance(operand, Weight):
                        for source in operand.sources:
                            found[source].append((index, slot, len(operand.sources)))
        return found[name]

    return uses


def _written(
    operand: Operand,
    place: dict[Node, int],
    weights: dict[tuple, int],
    uses: Callable[[str], list[tuple]],
) -> str:
    if type(operand) is Ref:
        return f"r{place[operand.node]}.{operand.output}"
    if isinstance(operand, Weight):
        number = weights.setdefault(operand.key, len(weights))
        names = sorted(operand.sources, key=uses) if operand.is_symmetric else operand.sources
        sources = [weights.setdefault(((name,), "source"), len(weights)) for name in names]
        return f"w{number} {sources} {operand.shape} {operand.part}"
    return _constant_word(operand) if isinstance(operand, Constant) else "-"


def _constant_label(constant: Constant) -> str:
    """What a constant is, to the last digit: for the order of nodes."""
    scalar = constant.scalar
    shape = () if constant.has_one_element else constant.shape
    return f"c{constant.digest if scalar is None else scalar} {shape}"


def _constant_word(constant: Constant) -> str:
    """What a constant is, as far as the text tells: for the hash."""
    word = constant.word
    shape = () if constant.has_one_element else constant.shape
    return f"c{word if _DIGEST.fullmatch(word) else float(word)} {shape}"


def _heights(nodes: list[Node]) -> dict[Node, int]:
    """Nodes on the longest path from the input."""
    heights: dict[Node, int] = {}
    for node in nodes:
        below = [heights[o.node] for o in node.inputs if type(o) is Ref]
        heights[node] = 1 + max(below, default=0)
    return heights


def _has_level_branches(nodes: list[Node], heights: Mapping[Node, int]) -> bool:
    """Whether some node reads two others of one height, or a sum several weights."""
    for node in nodes:
        if len(node.inputs) < 2:
            continue
        producers = {o.node for o in node.inputs if type(o) is Ref}
        if len({heights[producer] for producer in producers}) < len(producers):
            return True
        if node.op in COMMUTATIVE and len(node.inputs) - len(producers) > 1:
            return True
    return False


def _colours(nodes: list[Node], outputs: list[Ref]) -> tuple[dict[Node, str], bool]:
    """A name-free digest per node, refined while that matters, and whether ties are left."""
    colours: dict[Node, str] = {}
    weight_colours: dict[str, str] = {}
    for node in nodes:
        colours[node] = _colour(node, colours, weight_colours, "")
    count = len(set(colours.values()))
    visits = 0
    while is_tied := _has_tied_operands(nodes, colours):
        visits += len(nodes)
        used_by, weight_colours = _users(nodes, colours, outputs)
        fresh: dict[Node, str] = {}
        for node in nodes:
            context = colours[node] + used_by[node]
            fresh[node] = _colour(node, fresh, weight_colours, context)
        colours = fresh
        previous, count = count, len(set(colours.values()))
        if count == previous or visits > VISITS:
            break
    return colours, is_tied


def _colour(
    node: Node,
    colours: dict[Node, str],
    weights: Mapping[str, str],
    context: str,
) -> str:
    parts = []
    for operand in node.inputs:
        if type(operand) is Ref:
            parts.append(f"r{colours[operand.node]}.{operand.output}")
        elif isinstance(operand, Weight):
            shared = [weights[source] for source in operand.sources] if weights else []
            shared = "".join(sorted(shared) if operand.is_symmetric else shared)
            parts.append(f"w{operand.shape}{operand.part}{len(operand.sources)}{shared}")
        else:
            parts.append(_constant_label(operand) if isinstance(operand, Constant) else "-")
    if node.op in COMMUTATIVE:
        parts.sort()
    content = "|".join([node.label, context, *parts])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def _has_tied_operands(nodes: list[Node], colours: dict[Node, str]) -> bool:
    for node in nodes:
        if node.op not in COMMUTATIVE or len(node.inputs) < 2:
            continue
        distinct = set(refs(node))
        weights = {o.key for o in node.inputs if isinstance(o, Weight)}
        if len({(colours[n], output) for n, output in distinct}) < len(distinct):
            return True
        if len(weights) > 1:
            return True
    return False


def _users(
    nodes: list[Node], colours: dict[Node, str], outputs: list[Ref]
) -> tuple[dict[Node, str], dict[str, str]]:
    """For every node and every weight: the colours and places of those that read it."""
    node_users: dict[Node, list[str]] = defaultdict(list)
    weight_users: dict[str, list[str]] = defaultdict(list)
    for index, output in enumerate(outputs):
        node_users[output.node].append(f"out{index}")
    for node in nodes:
        for index, operand in enumerate(node.inputs):
            slot = f"{colours[node]}{'' if node.op in COMMUTATIVE else index}"
            if isinstance(operand, Ref):
                node_users[operand.node].append(f"{slot}.{operand.output}")
            elif isinstance(operand, Weight):
                for source in operand.sources:
                    weight_users[source].append(slot)
    by_node = {node: ",".join(sorted(node_users[node])) for node in nodes}
    by_weight = {name: ",".join(sorted(users)) for name, users in weight_users.items()}
    return by_node, by_weight


def _operand_rank(
    operand: Operand, colours: Mapping[Node, str], heights: Mapping[Node, int]
) -> tuple:
    """The longest branch first, then weights, then constants."""
    if type(operand) is Ref:
        node = operand.node
        return 0, -heights[node], colours.get(node, ""), operand.output
    if isinstance(operand, Weight):
        return 1, 0, f"{operand.shape}{operand.part}", 0
    if isinstance(operand, Constant):
        return 2, 0, _constant_label(operand), 0
    return 3, 0, "", 0


def _numbered(
    nodes: list[Node],
    outputs: list[Ref],
    colours: Mapping[Node, str],
    heights: Mapping[Node, int],
) -> list[Node]:
    """The input first; producers before users, a branch in one piece, the longer branch first."""
    done = {node: None for node in nodes if node.op == "Input"}
    stack = [output.node for output in reversed(outputs)]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        missing = [o.node for o in node.inputs if type(o) is Ref and o.node not in done]
        if len(missing) > 1:
            missing.sort(key=lambda other: (heights[other], colours.get(other, "")))
        if missing:
            stack.append(missing[-1])
        else:
            done[stack.pop()] = None
    return list(done)
