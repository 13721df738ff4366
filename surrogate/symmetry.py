"""The order of operands that no number of colour rounds tells apart: exact, within a bound.

In: a graph whose commutative operands are sorted but for ties; out: ranks that settle the ties.
Two branches that nothing else reads are interchangeable: either order gives the same graph. For
others, each member of a tied class is singled out in turn, the colours are refined, and the order
whose written form is the smallest wins; members that lead to one form are automorphic and only one
of them is followed (McKay & Piperno 2014, section 2). Past `VISITS` the smallest form so far is
taken: not promised is one order for graphs built to be hard.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from surrogate.ir import COMMUTATIVE, Node, Operand, Ref, Weight

VISITS = 300_000  # nodes looked at; about a second
Vertex = Node | str
"""A node, or the name of a trained tensor."""
Colours = dict[Vertex, int]
Rank = Callable[[Operand], tuple]


@dataclass
class Search:
    """One graph, and what it takes to settle its ties."""

    nodes: list[Node]
    outputs: list[Ref]
    rank: Rank
    """The order of operands, as far as it is known."""
    written: Callable[[Mapping[Vertex, int]], str]
    """Sorts the operands by rank and these colours and returns the graph's written form."""
    visits: int = 0

    def __post_init__(self) -> None:
        self.readers: dict[Vertex, list[Node | None]] = defaultdict(list)
        for ref in self.outputs:
            self.readers[ref.node].append(None)
        for node in self.nodes:
            for operand in node.inputs:
                for vertex in vertices(operand):
                    self.readers[vertex].append(node)

    def settle(self, first: Mapping[Node, str]) -> Mapping[Vertex, int]:
        """Return colours that tell all operands apart whose order matters."""
        if not self._open_ties({}):
            return {}
        names = sorted(set(first.values()))
        places = {name: index for index, name in enumerate(names)}
        colours: Colours = {node: places[colour] for node, colour in first.items()}
        colours |= {v: 0 for v in self.readers if isinstance(v, str)}
        _, best = self._smallest(self._refined(colours))
        return best

    def _open_ties(self, colours: Mapping[Vertex, int]) -> list[tuple[int, Vertex]]:
        """Members of ties that are not interchangeable, each under its colour."""
        found: list[tuple[int, Vertex]] = []
        for node in self.nodes:
            if node.op not in COMMUTATIVE or len(node.inputs) < 2:
                continue
            groups: dict[tuple, list[Operand]] = defaultdict(list)
            for operand in node.inputs:
                if isinstance(operand, Ref | Weight):
                    own = tuple(colours.get(v, 0) for v in vertices(operand))
                    groups[(*self.rank(operand), own)].append(operand)
            for group in groups.values():
                others = [o for o in group[1:] if not _is_one(group[0], o)]
                if any(not self._is_interchangeable(node, group[0], o) for o in others):
                    found += [(colours.get(v, 0), v) for o in group for v in vertices(o)]
        return found

    def _is_interchangeable(self, reader: Node, left: Operand, right: Operand) -> bool:
        """Whether exchanging two branches changes nothing but their places in `reader`."""
        image: dict[Vertex, Vertex] = {}
        stack: list[tuple[Operand, Operand]] = [(left, right)]
        while stack:
            one, other = stack.pop()
            if self._label(one) != self._label(other):
                return False
            for a, b in zip(vertices(one), vertices(other), strict=True):
                self.visits += 1
                if image.get(a) == b:
                    continue
                if a in image or b in image:
                    return False
                image[a], image[b] = b, a
                if isinstance(a, Node) and isinstance(b, Node) and a is not b:
                    if len(a.inputs) != len(b.inputs):
                        return False
                    stack += zip(self._sorted(a), self._sorted(b), strict=True)
        return self._is_private(reader, image) or self.visits > VISITS

    def _sorted(self, node: Node) -> Iterable[Operand]:
        return sorted(node.inputs, key=self.rank) if node.op in COMMUTATIVE else node.inputs

    def _is_private(self, reader: Node, image: Mapping[Vertex, Vertex]) -> bool:
        """Whether whoever reads an exchanged vertex is exchanged too, with its partner."""
        for vertex, partner in image.items():
            if vertex == partner:
                continue
            expected = [r and image.get(r, r) for r in self.readers[vertex]]
            found = self.readers[partner]
            if any(r is not reader and (r is None or image.get(r, r) is r) for r in found):
                return False
            if sorted(map(id, expected)) != sorted(map(id, found)):
                return False
        return True

    def _label(self, operand: Operand) -> tuple:
        """What an operand is, apart from which one."""
        if isinstance(operand, Ref):
            return "ref", operand.output, operand.node.label
        if isinstance(operand, Weight):
            return "weight", len(operand.sources), operand.shape, operand.part
        return "fixed", self.rank(operand)

    def _smallest(self, colours: Colours) -> tuple[str, Colours]:
        """The smallest form below these colours, and the colours that lead to it."""
        ties = self._open_ties(colours)
        if not ties or self.visits > VISITS:
            return self.written(colours), colours
        least = min(colour for colour, _ in ties)
        kind = type(next(v for colour, v in ties if colour == least))
        members = [v for v, c in colours.items() if c == least and type(v) is kind]
        best: tuple[str, Colours] | None = None
        seen: set[str] = set()
        for member in members:
            if best is not None and self.visits > VISITS:
                break
            child = self._refined({**colours, member: -1})
            form = self._first_form(child) if len(members) > 1 else ""
            if form in seen:
                continue
            seen.add(form)
            below = self._smallest(child)
            best = below if best is None else min(best, below, key=lambda pair: pair[0])
        assert best is not None
        return best

    def _first_form(self, colours: Colours) -> str:
        """The written form at the end of one way down."""
        while (ties := self._open_ties(colours)) and self.visits <= VISITS:
            colours = self._refined({**colours, min(ties, key=lambda tie: tie[0])[1]: -1})
        return self.written(colours)

    def _refined(self, colours: Colours) -> Colours:
        """Colours that also tell apart by operands and readers, until that tells no more."""
        count = 0
        while count < (count := len(set(colours.values()))) and self.visits <= VISITS:
            self.visits += len(colours)
            read_by: dict[Vertex, list[tuple[int, int, int]]] = defaultdict(list)
            signs: dict[Vertex, tuple] = {}
            for node in self.nodes:
                operands = []
                for slot, operand in enumerate(node.inputs):
                    place = -1 if node.op in COMMUTATIVE else slot
                    output = operand.output if isinstance(operand, Ref) else 0
                    for index, vertex in enumerate(vertices(operand)):
                        read_by[vertex].append((colours[node], place, output + index))
                        operands.append((place, colours[vertex], output + index))
                signs[node] = (1, colours[node], tuple(sorted(operands)))
            for place, ref in enumerate(self.outputs):
                read_by[ref.node].append((-1, place, ref.output))
            for vertex, colour in colours.items():
                own = signs.get(vertex, (0, colour, ()))
                signs[vertex] = (*own, tuple(sorted(read_by[vertex])))
            places = {sign: index for index, sign in enumerate(sorted(set(signs.values())))}
            colours = {vertex: places[sign] for vertex, sign in signs.items()}
        return colours


def vertices(operand: Operand) -> tuple[Vertex, ...]:
    """The node or the trained tensors behind an operand."""
    if isinstance(operand, Ref):
        return (operand.node,)
    return operand.sources if isinstance(operand, Weight) else ()


def _is_one(left: Operand, right: Operand) -> bool:
    if isinstance(left, Weight) and isinstance(right, Weight):
        return left.key == right.key
    return left == right
