"""Random networks of repeated cells, the way search spaces for images are built.

In: a random generator. Out: a `CellNet`: a stem, stages of equal cells, a step down between stages,
a head; `cell_source` writes it as a program. A cell is a random graph of operators, in the manner
of NAS-Bench-101 (conv-norm-act, concat), NAS-Bench-201 (act-conv-norm, sum), DARTS, ResNet,
ResNeXt, DenseNet or MobileNet.
Not promised: that two of them are different networks. Promised: none is of NAS-Bench-201, whose
skeleton (three stages of five cells, 16, 32 and 64 channels) is never drawn.
"""

from dataclasses import dataclass
from random import Random

IN_SHAPES = ((3, 16, 16),) * 5 + ((3, 32, 32),) * 4 + ((1, 40),) * 2 + ((1, 28, 28),)
WIDTHS = (8, 8, 12, 12, 16, 16, 16, 20, 24, 24, 32, 32, 48, 64)
WIDEST = 128
COUNTS = (1, 1, 2, 2, 2, 3, 3, 4, 5, 6)  # cells of a stage
MAC_LIMITS = (2_000_000, 4_000_000, 4_000_000, 8_000_000, 15_000_000)
RARE_MAC_LIMIT = 50_000_000
BENCHMARK_SKELETON = ((16, 32, 64), (5, 5, 5))
"""Widths and cells of the stages of NAS-Bench-201 (Dong & Yang 2020, arXiv 2001.00326, 2.1)."""
SPARSE = ("none", "skip", "conv1", "conv3", "avg3")
"""The operators of the cells that are wired as in NAS-Bench-201."""
OPERATORS = (
    *("conv1", "conv3", "conv5", "depthwise3", "depthwise5", "separable3", "separable5"),
    *("dilated3", "dilated_separable3", "grouped3", "avg3", "max3", "skip"),
)
FREE = ("avg3", "max3", "skip")
"""The operators without weights."""
ORDERS = ("act-conv-norm", "conv-norm-act", "norm-act-conv")
GROUPS = 4  # of a grouped convolution
ACTIVATIONS = ("ReLU",) * 8 + ("GELU", "SiLU", "Mish", "LeakyReLU", "ELU", "Hardswish")
SPARSE_SHARE = 0.4
SKELETON_TRIES = 10  # for one wiring


@dataclass(frozen=True)
class Edge:
    """An operator from one node of a cell to a later one; node 0 is the cell's input."""

    source: int
    target: int
    operator: str


@dataclass(frozen=True)
class CellNet:
    """A whole network; `edges` all lie on a path through the cell."""

    in_shape: tuple[int, ...]
    num_classes: int
    widths: tuple[int, ...]
    """Channels of each stage, multiples of 4."""
    counts: tuple[int, ...]
    """Cells of each stage."""
    stem: tuple[int, int]
    """Kernel and stride."""
    step: str
    """Between stages: "residual", "conv" or "pool"."""
    order: str
    """One of `ORDERS`: of activation, convolution and norm."""
    norm: str
    activation: str
    edges: tuple[Edge, ...]
    join: str
    """How a node joins its edges: "sum", or "concat" and a convolution 1x1."""
    inner: float
    """Channels inside a cell per channel outside; not 1: a convolution 1x1 on either side."""
    residual: bool
    """The cell's input is added to its output."""
    head: str
    """"Avg" or "Max" pooling before the classifier."""

    @property
    def dimensions(self) -> int:
        """Spatial dimensions of the layers."""
        return len(self.in_shape) - 1

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that stand in the cell, behind its input."""
        return tuple(sorted({edge.target for edge in self.edges}))


def random_cell_net(rng: Random) -> CellNet:
    """A network below a limit of multiply-accumulates, most of them below ten million."""
    limit = RARE_MAC_LIMIT if rng.random() < 0.03 else rng.choice(MAC_LIMITS)
    wiring = _sparse_wiring if rng.random() < SPARSE_SHARE else _free_wiring
    in_shape = rng.choice(IN_SHAPES)
    while True:
        wired = wiring(rng)
        for _ in range(SKELETON_TRIES):
            widths, counts, stem = _skeleton(rng)
            net = CellNet(
                in_shape=in_shape,
                num_classes=100 if in_shape[0] == 3 and rng.random() < 0.2 else 10,
                widths=widths,
                counts=counts,
                stem=stem,
                step=rng.choice(("residual", "residual", "conv", "pool")),
                head="Max" if rng.random() < 0.1 else "Avg",
                **wired,
            )
            if (widths, counts) != BENCHMARK_SKELETON and macs(net) <= limit:
                return net


def _skeleton(rng: Random) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, int]]:
    """Widths and cells of the stages, and the stem."""
    stages = rng.choice((2, 3, 3, 3, 3, 4))
    width, growth = rng.choice(WIDTHS), rng.choice((2, 2, 2, 2, 1.5, 1))
    widths = [min(WIDEST, 4 * round(width * growth**stage / 4)) for stage in range(stages)]
    counts = [rng.choice(COUNTS)] * stages
    if rng.random() < 0.25:
        counts = [rng.choice(COUNTS) for _ in range(stages)]
    stem = rng.choice(((3, 1), (3, 1), (3, 1), (3, 1), (3, 2), (5, 1), (5, 2), (7, 2)))
    return tuple(widths), tuple(counts), stem


def _sparse_wiring(rng: Random) -> dict:
    """Three nodes, an operator or none from each node to every later one, sums."""
    while True:
        drawn = [
            Edge(source, target, rng.choice(SPARSE))
            for target in (1, 2, 3)
            for source in range(target)
        ]
        edges = _on_a_path(drawn, 3)
        if edges:
            break
    plain = rng.random() < 0.8
    return {
        "edges": edges,
        "join": "sum",
        "order": "act-conv-norm" if plain else rng.choice(ORDERS),
        "norm": "batch",
        "activation": "ReLU" if plain else rng.choice(ACTIVATIONS),
        "inner": 1.0,
        "residual": False,
    }


def _free_wiring(rng: Random) -> dict:
    """Two to five nodes, each with one to three operators out of a few, summed or concatenated."""
    last = rng.choice((1, 2, 2, 3, 3, 4, 5))
    palette = rng.sample(OPERATORS, rng.choice((1, 2, 3, 4, 6)))
    while True:
        drawn = []
        for target in range(1, last + 1):
            sources = rng.sample(range(target), min(target, rng.choice((1, 1, 2, 2, 3))))
            drawn += [Edge(source, target, rng.choice(palette)) for source in sorted(sources)]
        edges = _on_a_path(drawn, last)
        if any(edge.operator not in FREE for edge in edges):
            break
        palette = (*palette, rng.choice(("conv1", "conv3", "separable3")))
    norm = rng.choices(("batch", "group", "none"), (0.86, 0.07, 0.07))[0]
    return {
        "edges": edges,
        "join": rng.choice(("sum", "sum", "concat")),
        "order": rng.choice(ORDERS),
        "norm": norm,
        "activation": rng.choice(ACTIVATIONS),
        "inner": rng.choice((1.0, 1.0, 1.0, 0.5, 0.25, 2.0, 3.0)),
        "residual": rng.random() < 0.5,
    }


def _on_a_path(edges: list[Edge], last: int) -> tuple[Edge, ...]:
    """The edges that lead from node 0 to the last node."""
    edges = [edge for edge in edges if edge.operator != "none"]
    reached, needed = {0}, {last}
    for edge in edges:  # in order of their targets
        if edge.source in reached:
            reached.add(edge.target)
    for edge in reversed(edges):
        if edge.target in needed:
            needed.add(edge.source)
    return tuple(edge for edge in edges if edge.source in reached and edge.target in needed)


def inner_width(net: CellNet, width: int) -> int:
    """Channels inside a cell of a stage."""
    return max(4, 4 * round(width * net.inner / 4))


def macs(net: CellNet) -> int:
    """Multiply-accumulates of the stem, the cells and the steps for one example; the head's not."""
    side, dims = -(-net.in_shape[1] // net.stem[1]), net.dimensions
    total = net.in_shape[0] * net.widths[0] * net.stem[0] ** dims * side**dims
    for stage, (width, count) in enumerate(zip(net.widths, net.counts, strict=True)):
        if stage:
            before, strided = net.widths[stage - 1], is_halved(net, stage)
            side = side // 2 if strided else side
            per_position = before * width * (1 if net.step == "pool" else 3**dims)
            if net.step == "residual":
                per_position += width * width * 3**dims + before * width
            total += per_position * side**dims
        total += count * _cell_macs(net, width) * side**dims
    return total


def _cell_macs(net: CellNet, width: int) -> int:
    """Of one cell at one position."""
    inner, dims = inner_width(net, width), net.dimensions
    total = 2 * width * inner if net.inner != 1 else 0
    for edge in net.edges:
        if edge.operator in FREE:
            continue
        kind, area = edge.operator[:-1], int(edge.operator[-1]) ** dims
        match kind:
            case "conv" | "dilated":
                total += inner * inner * area
            case "grouped":
                total += inner * inner * area // GROUPS
            case "depthwise":
                total += inner * area
            case "separable" | "dilated_separable":
                total += inner * area + inner * inner
    if net.join == "concat":
        joined = [len(entering(net, node)) for node in net.nodes]
        total += inner * inner * sum(count for count in joined if count > 1)
    return total


def entering(net: CellNet, node: int) -> list[Edge]:
    """The edges into a node."""
    return [edge for edge in net.edges if edge.target == node]


def is_halved(net: CellNet, stage: int) -> bool:
    """Whether the step before a stage halves the sides: where they are even and at least four."""
    side = -(-net.in_shape[1] // net.stem[1])
    for _ in range(stage - 1):
        side = side // 2 if side >= 4 and side % 2 == 0 else side
    return side >= 4 and side % 2 == 0
