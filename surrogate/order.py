"""The canonical order of a graph's nodes and operands, and the hash that follows from it.

Independent of names and of the order in the file: nodes are coloured by what they compute and,
where that leaves twins, by who uses them (Weisfeiler & Leman 1968, until the colours are stable);
then they are numbered from the output, the longer branch first. Not promised: one order for
operands that no number of rounds tells apart; such twins are exchangeable in natural graphs.
"""

import hashlib
from collections import defaultdict

from surrogate.ir import Constant, Node, Operand, Ref, Weight, live_nodes, refs
from surrogate.spelling import COMMUTATIVE

HASH_VERSION = "1"


def put_in_order(outputs: list[Ref]) -> list[Node]:
    """Sort the operands of commutative operators; returns the nodes in canonical order."""
    nodes = live_nodes(outputs)
    _trim(nodes, outputs)
    colours = _colours(nodes, outputs)
    heights = _heights(nodes)
    for node in nodes:
        if node.op in COMMUTATIVE:
            node.inputs.sort(key=lambda operand: _operand_rank(operand, colours, heights))
    return _numbered(outputs, colours, heights)


def _trim(nodes: list[Node], outputs: list[Ref]) -> None:
    """Forget the outputs that nothing reads, such as the last state of a recurrence."""
    used: dict[Node, int] = defaultdict(int)
    for ref in [*outputs, *(ref for node in nodes for ref in refs(node))]:
        used[ref.node] = max(used[ref.node], ref.output)
    for node in nodes:
        node.shapes, node.types = node.shapes[: used[node] + 1], node.types[: used[node] + 1]


def graph_hash(nodes: list[Node], outputs: list[Ref]) -> str:
    """SHA-256 of the graph whose nodes stand in canonical order."""
    place = {node: index for index, node in enumerate(nodes)}
    weights: dict[tuple, int] = {}
    rows = [HASH_VERSION]
    for node in nodes:
        operands = [_written(operand, place, weights) for operand in node.inputs]
        rows.append("|".join([_label(node), *operands]))
    rows += [f"out {place[ref.node]}.{ref.output}" for ref in outputs]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _label(node: Node) -> str:
    attributes = [f"{key}={node.attributes[key]!r}" for key in sorted(node.attributes)]
    shapes = ["x".join(f"{dim.scale}b{dim.offset}" for dim in shape) for shape in node.shapes]
    return f"{node.op} {attributes} {shapes} {node.types[0]}"


def _written(operand: Operand, place: dict[Node, int], weights: dict[tuple, int]) -> str:
    match operand:
        case Ref():
            return f"r{place[operand.node]}.{operand.output}"
        case Weight():
            number = weights.setdefault(operand.key, len(weights))
            sources = [weights.setdefault(((s,), "source"), len(weights)) for s in operand.sources]
            return f"w{number} {sources} {operand.shape} {operand.part}"
        case Constant():
            return _constant_label(operand)
        case _:
            return "-"


def _constant_label(constant: Constant) -> str:
    scalar = constant.scalar
    shape = () if constant.has_one_element else constant.shape
    return f"c{constant.digest if scalar is None else scalar} {shape}"


def _heights(nodes: list[Node]) -> dict[Node, int]:
    """Nodes on the longest path from the input."""
    heights: dict[Node, int] = {}
    for node in nodes:
        heights[node] = 1 + max((heights[ref.node] for ref in refs(node)), default=0)
    return heights


def _colours(nodes: list[Node], outputs: list[Ref]) -> dict[Node, str]:
    """A name-free digest per node, refined while that matters."""
    colours: dict[Node, str] = {}
    labels = {node: _label(node) for node in nodes}
    weight_colours: dict[str, str] = defaultdict(str)
    for node in nodes:
        colours[node] = _colour(node, labels[node], colours, weight_colours, "")
    count = len(set(colours.values()))
    while _has_tied_operands(nodes, colours):
        used_by, weight_colours = _users(nodes, colours, outputs)
        fresh: dict[Node, str] = {}
        for node in nodes:
            context = colours[node] + used_by[node]
            fresh[node] = _colour(node, labels[node], fresh, weight_colours, context)
        colours = fresh
        previous, count = count, len(set(colours.values()))
        if count == previous:
            break
    return colours


def _colour(
    node: Node, label: str, colours: dict[Node, str], weights: dict[str, str], context: str
) -> str:
    parts = []
    for operand in node.inputs:
        match operand:
            case Ref():
                parts.append(f"r{colours[operand.node]}.{operand.output}")
            case Weight():
                shared = "".join(weights[source] for source in operand.sources)
                parts.append(f"w{operand.shape}{operand.part}{len(operand.sources)}{shared}")
            case Constant():
                parts.append(_constant_label(operand))
            case _:
                parts.append("-")
    if node.op in COMMUTATIVE:
        parts.sort()
    content = "|".join([label, context, *parts])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def _has_tied_operands(nodes: list[Node], colours: dict[Node, str]) -> bool:
    for node in nodes:
        if node.op not in COMMUTATIVE:
            continue
        distinct = {(ref.node, ref.output) for ref in refs(node)}
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


def _operand_rank(operand: Operand, colours: dict[Node, str], heights: dict[Node, int]) -> tuple:
    """The longest branch first, then weights, then constants."""
    match operand:
        case Ref():
            return 0, -heights[operand.node], colours[operand.node], operand.output
        case Weight():
            return 1, 0, f"{operand.shape}{operand.part}", 0
        case Constant():
            return 2, 0, _constant_label(operand), 0
        case _:
            return 3, 0, "", 0


def _numbered(outputs: list[Ref], colours: dict[Node, str], heights: dict[Node, int]) -> list[Node]:
    """Producers before users, a branch in one piece, the longer branch first."""
    done: dict[Node, None] = {}
    stack = [output.node for output in reversed(outputs)]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        missing = [ref.node for ref in refs(node) if ref.node not in done]
        if missing:
            missing.sort(key=lambda other: (heights[other], colours[other]))
            stack.append(missing[-1])
        else:
            done[stack.pop()] = None
    return list(done)
