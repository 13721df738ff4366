"""Random networks as short plans, and changes that make another network of them.

A plan is a tuple of steps; a step reads earlier ones. Two plans of different `sketch` - colour
refinement on the plan itself, without any code of the package - are different networks.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

Size = tuple[int, int]
"""Channels and positions."""
COMMUTATIVE = {"Add", "Mul", "Max"}
PAIRS = ("Add", "Mul", "Max", "Sub", "Concat", "Attend")
CHOICES = {
    "k": (1, 3, 5),
    "d": (1, 2, 3),
    "g": (1, 2),
    "out": (4, 6, 8),
    "alpha": (0.1, 0.2, 0.7),
    "eps": (1e-5, 1e-3, 1e-2),
    "groups": (1, 2),
    "axis": (1, 2),
    "mode": ("constant", "reflect", "edge"),
    "window": (2, 3),
    "approximate": ("none", "tanh"),
    "number": (0.5, 2.0, -1.5),
    "start": (0, 1),
    "last": (1, 2),
    "perm": ((0, 2, 1, 3), (0, 3, 2, 1), (0, 1, 3, 2)),
}
KINDS = {
    "Conv": ("k", "d", "g", "out"),
    "Linear": ("out",),
    "BatchNormalization": ("eps",),
    "GroupNormalization": ("groups", "eps"),
    "LayerNormalization": ("eps",),
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "Gelu": ("approximate",),
    "Relu": (),
    "Sigmoid": (),
    "MaxPool": ("window",),
    "AveragePool": ("window",),
    "Softmax": ("axis",),
    "Scale": ("number",),
    "Slice": ("axis", "start", "last"),
    "Pad": ("mode",),
    "Turn": ("perm",),
    "Fold": (),
    "Add": (),
    "Mul": (),
    "Max": (),
    "Sub": (),
    "Concat": ("axis",),
    "Attend": ("axis",),
}
WEIGHTS = {
    "Conv": 2, "Linear": 2, "BatchNormalization": 4, "GroupNormalization": 2,
    "LayerNormalization": 2,
}  # fmt: skip


class MisfitError(ValueError):
    """The plan is no valid network."""


@dataclass(frozen=True)
class Step:
    """One operator of a plan."""

    kind: str
    sources: tuple[int, ...]
    """Steps that it reads; 0 is the input."""
    settings: tuple[tuple[str, object], ...] = ()
    weights: int = 0
    """Number of its set of weights; steps with one number share them."""

    def get(self, key: str) -> object:
        """One of its settings."""
        return dict(self.settings)[key]

    def number(self, key: str, default: int = 0) -> int:
        """A setting that is a whole number."""
        return int(str(dict(self.settings).get(key, default)))

    @property
    def own(self) -> str:
        """The first part of its weights' names."""
        return f"{self.kind}.{self.weights}"


Plan = tuple[Step, ...]


def draw(rng: Random) -> Plan:
    """A random plan in which every step is read."""
    steps: list[Step] = []
    wanted = rng.randrange(4, 13)
    while len(steps) < wanted:
        kind = rng.choice(list(KINDS))
        count = 2 if kind in PAIRS else 1
        recent = [max(0, len(steps) - rng.randrange(4)) for _ in range(count)]
        settings = tuple((key, rng.choice(CHOICES[key])) for key in KINDS[kind])
        older = [s.weights for s in steps if s.kind == kind and s.weights]
        number = rng.choice(older) if older and rng.random() < 0.3 else len(steps) + 1
        step = Step(kind, tuple(recent), settings, number if kind in WEIGHTS else 0)
        try:
            shapes((*steps, step))
        except MisfitError:
            continue
        steps.append(step)
    return tuple(steps)


def change(plan: Plan, what: str, rng: Random) -> Plan | None:
    """Another network: one attribute, width, edge or sharing differs; None if none is found."""
    for _ in range(40):
        place = rng.randrange(len(plan))
        step = _changed(plan, place, what, rng)
        changed = (*plan[:place], step, *plan[place + 1 :])
        try:
            shapes(changed)
        except MisfitError:
            continue
        if sketch(changed) != sketch(plan):
            return changed
    return None


def _changed(plan: Plan, place: int, what: str, rng: Random) -> Step:
    step = plan[place]
    if what == "edge":
        slot = rng.randrange(len(step.sources))
        sources = list(step.sources)
        sources[slot] = rng.randrange(place + 1)
        return replace(step, sources=tuple(sources))
    if what == "sharing":
        same = [s.weights for s in plan if s.kind == step.kind and s.weights]
        return replace(step, weights=rng.choice([*same, 99])) if same else step
    keys = ["out"] if what == "width" else [key for key in KINDS[step.kind] if key != "out"]
    settings = dict(step.settings)
    keys = [key for key in keys if key in settings]
    if keys:
        key = rng.choice(keys)
        settings[key] = rng.choice(CHOICES[key])
    return replace(step, settings=tuple(settings.items()))


def sketch(plan: Plan) -> Counter:
    """Colours of the plan's live steps after refinement: different ones, different networks."""
    live, stack = set(), [*unread(plan)]
    while stack:
        place = stack.pop()
        if place and place not in live:
            live.add(place)
            stack += plan[place - 1].sources
    sizes = shapes(plan)
    signs = {p: (plan[p - 1].kind, plan[p - 1].settings, sizes[p]) for p in sorted(live)}
    colours = {0: hash("input")} | {place: hash(sign) for place, sign in signs.items()}
    for _ in range(5):
        read_by: dict[object, list[Any]] = {}
        for place in live:
            step = plan[place - 1]
            for slot, source in enumerate(step.sources):
                mark = (colours[place], 0 if step.kind in COMMUTATIVE else slot)
                read_by.setdefault(source, []).append(mark)
            read_by.setdefault(("w", step.kind, step.weights), []).append(colours[place])
        fresh = {0: hash((colours[0], tuple(sorted(read_by.get(0, [])))))}
        for place in sorted(live):
            step = plan[place - 1]
            below = [colours[s] for s in step.sources]
            below = sorted(below) if step.kind in COMMUTATIVE else below
            twins = sorted(read_by[("w", step.kind, step.weights)]) if step.weights else []
            readers = tuple(sorted(read_by.get(place, [])))
            fresh[place] = hash((colours[place], tuple(below), tuple(twins), readers))
        colours = fresh
    return Counter(colours.values())


def unread(plan: Plan) -> list[int]:
    """The steps that the head reads: those that no other step does."""
    read = {source for step in plan for source in step.sources}
    return [place for place in range(1, len(plan) + 1) if place not in read]


def shapes(plan: Plan) -> list[Size]:
    """Channels and positions behind every step; raises `MisfitError`."""
    found: list[Size] = [(4, 16)]
    keys = set()
    forms: dict[str, tuple[int, ...]] = {}
    for step in plan:
        sources = sorted(step.sources) if step.kind in COMMUTATIVE else step.sources
        key = (step.kind, tuple(sources), step.settings, step.weights)
        if key in keys:
            raise MisfitError("the same step twice is one step")
        keys.add(key)
        size = found[step.sources[0]]
        fan_in = size[1] if step.kind in ("Linear", "LayerNormalization") else size[0]
        form = (fan_in, *(step.number(key) for key in ("out", "g", "k")))
        if step.weights and forms.setdefault(step.own, form) != form:
            raise MisfitError("one weight of two shapes")
        found.append(_shape(step, [found[source] for source in step.sources]))
    return found


def _shape(step: Step, below: list[Size]) -> Size:
    if len(below) == 2 and step.kind != "Concat" and below[0] != below[1]:
        raise MisfitError("operands of two shapes")
    if len(below) == 2 and step.kind != "Attend" and step.sources[0] == step.sources[1]:
        raise MisfitError("an operand twice")
    if below[0][0] % step.number("groups", 1) or below[0][0] % step.number("g", 1):
        raise MisfitError("groups")
    rule = _SHAPES.get(step.kind)
    width, length = rule(step, below) if rule else below[0]
    if not (1 < width <= 40 and 1 < length <= 40) or width % step.number("g", 1):
        raise MisfitError("too small or too large")
    return width, length


def _cut(step: Step, below: list[Size]) -> Size:
    sizes = list(below[0])
    sizes[step.number("axis") - 1] -= step.number("start") + step.number("last")
    return sizes[0], sizes[1]


def _folded(_: Step, below: list[Size]) -> Size:
    if below[0][1] % 2:
        raise MisfitError("odd")
    return 2 * below[0][0], below[0][1] // 2


def _turned(_: Step, below: list[Size]) -> Size:
    if below[0] != (4, 16):
        raise MisfitError("no four heads of four")
    return below[0]


def _joined(step: Step, below: list[Size]) -> Size:
    axis = step.number("axis") - 1
    if below[0][1 - axis] != below[1][1 - axis]:
        raise MisfitError("operands of two shapes")
    sizes = list(below[0])
    sizes[axis] += below[1][axis]
    return sizes[0], sizes[1]


def _pooled(step: Step, below: list[Size]) -> Size:
    return below[0][0], below[0][1] // step.number("window")


_SHAPES: dict[str, Callable[[Step, list[Size]], Size]] = {
    "Conv": lambda step, below: (step.number("out"), below[0][1]),
    "Linear": lambda step, below: (below[0][0], step.number("out")),
    "MaxPool": _pooled,
    "AveragePool": _pooled,
    "Slice": _cut,
    "Pad": lambda _, below: (below[0][0], below[0][1] + 3),
    "Turn": _turned,
    "Fold": _folded,
    "Concat": _joined,
}
