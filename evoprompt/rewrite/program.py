"""Steps -> the program's text: `Net` with one layer per line, then its parts as classes.

In: a reading of a graph, the task's shapes. Out: canonical source. Parts with the same lines are
one class. The last layers are the head: pool, flatten, linear layers.
"""

import re

from evoprompt.grammar.canonical import INDENT, source_of
from evoprompt.rewrite import parts
from evoprompt.rewrite.chains import chain
from evoprompt.rewrite.reading import Reading
from evoprompt.rewrite.steps import Chain, Line, Part, Step
from surrogate.ir import BATCH, Node, Ref, Shape

_POOL = re.compile(r"nn\.(Adaptive)?(Avg|Max)Pool([12])d\((\d+)\)")


def source(reading: Reading, in_shape: tuple[int, ...], num_classes: int) -> str:
    """The program of a graph; raises `NoRuleError`."""
    entry, forward = Ref(reading.source), "x"
    first = [user for user in reading.users[reading.source] if user.op == "View"]
    if first == reading.users[reading.source] and _is_new_axis(first[0], in_shape):
        entry, forward = Ref(first[0]), "x.unsqueeze(1)"
    steps = chain(reading, entry, reading.output)
    body, rest = _split(steps, entry.shape)
    classes = _Classes(reading)
    inside = [line for step in body for line in classes.step(step, 3)]
    head = _head_lines(classes, rest, num_classes)
    inside, head = _with_pool(body, rest, inside, head)
    net = [
        "class Net(nn.Module):",
        "    def __init__(self, in_shape, num_classes):",
        "        super().__init__()",
        "        self.body = nn.Sequential(",
        *inside,
        "        )",
        "        self.head = nn.Sequential(",
        *head,
        "        )",
        "    def forward(self, x):",
        f"        return self.head(self.body({forward}))",
    ]
    return source_of([*classes.lines(), *net], dimensions=2 if len(in_shape) == 3 else 1)


def _is_new_axis(node: Node, in_shape: tuple[int, ...]) -> bool:
    return len(in_shape) == 1 and node.shape == (BATCH, (0, 1), (0, in_shape[0]))


def _split(steps: Chain, first: Shape) -> tuple[Chain, Chain]:
    """The body's steps and the head's: from where the axes are no longer those of the input."""
    shapes = [first, *(step.shape for step in steps)]
    start = len(steps)
    while start and len(shapes[start]) != max(3, len(first)):
        start -= 1
    return steps[:start], steps[start:]


def _head_lines(classes: "_Classes", steps: Chain, num_classes: int) -> list[str]:
    """The head's lines; the last layer's width is the number of classes.

    `nn.Flatten()` does nothing to rows: it stands in every head, behind what makes them.
    """
    flatten, linear = f"{INDENT * 3}nn.Flatten(),", f"nn.LazyLinear({num_classes}"
    lines = [classes.step(step, 3) for step in steps]
    if [flatten] not in lines:
        rows = [place for place, step in enumerate(steps) if len(step.shape) == 2]
        lines.insert(rows[0] + 1 if rows else 0, [flatten])
    head = [line for some in lines for line in some]
    if head[-1].strip().startswith((f"{linear}, ", f"{linear})")):
        head[-1] = head[-1].replace(linear, "nn.LazyLinear(num_classes")
    return head


def _with_pool(
    body: Chain, rest: Chain, inside: list[str], head: list[str]
) -> tuple[list[str], list[str]]:
    """The body's and the head's lines; a pooling in front of the head stands in it."""
    last = body[-1] if body else None
    if not isinstance(last, Line) or not rest or head[0].strip() != "nn.Flatten(),":
        return inside, head
    pool = _POOL.fullmatch(last.text)
    before = body[-2].shape if len(body) > 1 else None
    text = _adaptive(pool, before, last.shape) if pool else None
    return (inside[:-1], [f"{INDENT * 3}{text},", *head]) if text else (inside, head)


def _adaptive(pool: re.Match[str], before: Shape | None, after: Shape) -> str | None:
    """The pooling as one to so many positions."""
    adaptive, kind, dims, size = pool.groups()
    if not adaptive:
        counts = {dim.offset for dim in after[2:]}
        is_whole = before and not any(dim.offset % int(size) for dim in before[2:])
        if len(counts) > 1 or not is_whole:
            return None
        size = str(counts.pop())
    return f"nn.Adaptive{kind}Pool{dims}d({size})"


class _Classes:
    """The parts that have become classes so far."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.names: dict[tuple[str, ...], str] = {}

    def lines(self) -> list[str]:
        """The definitions."""
        return [
            line
            for body, name in self.names.items()
            for line in (f"class {name}(nn.Module):", *body)
        ]

    def step(self, step: Step, depth: int) -> list[str]:
        """The lines of a step inside `nn.Sequential(`."""
        space = INDENT * depth
        if isinstance(step, Line):
            return [f"{space}{step.text},"]
        if isinstance(step, Part):
            return [f"{space}{self._name(step)},"]
        if len(step.branches) == 1:
            inside = [line for one in step.branches[0] for line in self.step(one, depth + 1)]
        else:
            inside = [line for branch in step.branches for line in self._branch(branch, depth + 1)]
        return [f"{space}{step.kind}(", *inside, f"{space}),"]

    def _branch(self, branch: Chain, depth: int) -> list[str]:
        if not branch:
            return [f"{INDENT * depth}nn.Identity(),"]
        if len(branch) == 1:
            return self.step(branch[0], depth)
        inside = [line for one in branch for line in self.step(one, depth + 1)]
        return [f"{INDENT * depth}nn.Sequential(", *inside, f"{INDENT * depth}),"]

    def _name(self, part: Part) -> str:
        made = parts.class_of(self.reading, part.entry, part.exit, list(part.nodes))
        name = self.names.setdefault(made.lines, f"Part{len(self.names) + 1}")
        return f"{made.size_of}({name})" if made.size_of else f"{name}()"
