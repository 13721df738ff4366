"""Steps -> the program's text: parts as classes, then `Net` with one layer per line.

In: a reading of a graph, the task's shapes. Out: canonical source. Parts with the same lines are
one class. The last layers are the head: pool, flatten, linear layers.
"""

import re

from evoprompt.grammar.canonical import INDENT, source_of
from evoprompt.rewrite import parts
from evoprompt.rewrite.chains import Chain, Line, Part, Step, chain
from evoprompt.rewrite.layers import SIZED
from evoprompt.rewrite.reading import Reading
from surrogate.ir import BATCH, Ref, Shape

_POOL = re.compile(r"nn\.(Adaptive)?(Avg|Max)Pool([12])d\((\d+)\)")
_ACTIVATION = re.compile(r"nn\.(ReLU|GELU|SiLU|ELU|Mish|LeakyReLU|Tanh)\(\)")


def source(reading: Reading, in_shape: tuple[int, ...], num_classes: int) -> str:
    """The program of a graph; raises `NoRuleError`."""
    entry = Ref(reading.source)
    steps = chain(reading, entry, reading.output)
    forward = "x"
    if len(in_shape) == 1 and steps and _is_new_axis(steps[0], in_shape):
        steps, forward = steps[1:], "x.unsqueeze(1)"
    body, head = _split(steps, num_classes, entry.shape)
    classes = _Classes(reading)
    inside = [line for step in body for line in classes.step(step, 3)]
    net = [
        "class Net(nn.Module):",
        "    def __init__(self, in_shape, num_classes):",
        "        super().__init__()",
        "        self.body = nn.Sequential(",
        *inside,
        "        )",
        "        self.head = nn.Sequential(",
        *(f"{INDENT * 3}{line}," for line in head),
        "        )",
        "    def forward(self, x):",
        f"        return self.head(self.body({forward}))",
    ]
    own = [*classes.lines(), *net]
    text = "\n".join(own)
    used = [name for name in SIZED if f"{name}(" in text]
    helpers = [line for name in used for line in SIZED[name].strip("\n").split("\n")]
    return source_of([*helpers, *own], dimensions=2 if len(in_shape) == 3 else 1)


def _is_new_axis(step: Step, in_shape: tuple[int, ...]) -> bool:
    return isinstance(step, Line) and step.shape == (BATCH, (0, 1), (0, in_shape[0]))


def _split(steps: Chain, num_classes: int, first: Shape) -> tuple[Chain, list[str]]:
    """The body's steps and the head's lines.

    `nn.Flatten()` does nothing to rows: it stands in every head.
    """
    shapes = [first, *(step.shape for step in steps)]
    start = len(steps)
    texts = [step.text if isinstance(step, Line) else "" for step in steps]
    while start and len(shapes[start - 1]) == 2:
        is_act = _ACTIVATION.fullmatch(texts[start - 1]) and start < len(steps)
        if not texts[start - 1].startswith("nn.LazyLinear(") and not is_act:
            break
        start -= 1
    while start < len(steps) and not texts[start].startswith("nn.LazyLinear("):
        start += 1
    lines = [text for text in texts[start:]]
    if lines:
        lines[-1] = lines[-1].replace(f"LazyLinear({num_classes}", "LazyLinear(num_classes")
    if start and texts[start - 1] == "nn.Flatten()":
        start -= 1
        pool = _POOL.fullmatch(texts[start - 1]) if start else None
        if pool and lines:
            pooled = _adaptive(pool, shapes[start - 1], shapes[start])
            if pooled:
                return steps[: start - 1], [pooled, "nn.Flatten()", *lines]
    return steps[:start], ["nn.Flatten()", *lines]


def _adaptive(pool: re.Match[str], before: Shape, after: Shape) -> str | None:
    """The pooling as one to so many positions."""
    adaptive, kind, dims, size = pool.groups()
    if not adaptive:
        counts = {dim.offset for dim in after[2:]}
        if len(counts) > 1 or any(dim.offset % int(size) for dim in before[2:]):
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
            return [f"{space}{self._name(step)}(),"]
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
        body = parts.class_lines(self.reading, part.entry, part.exit, list(part.nodes))
        return self.names.setdefault(body, f"Part{len(self.names) + 1}")
