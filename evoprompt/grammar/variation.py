"""Mutation and crossover of programs: the built-in model's corpus and the control arm.

In: a random generator and a `Spec` (or a source that the grammar can read). Out: a new `Spec` (or
source). Everything that leaves this module is legal for its input shape and of bearable size.
Not promised: that a mutation changes the function that the program computes.
"""

from dataclasses import replace
from random import Random

from evoprompt.grammar.changes import CHANGES
from evoprompt.grammar.families import is_bearable, random_spec
from evoprompt.grammar.shapes import parameter_count, repair
from evoprompt.grammar.spec import BLOCKS, BRANCHED, CHAIN, Layer, Spec, parse, render, walk
from evoprompt.grammar.tree import Layers, Path, at, is_branch, paths, runs, siblings, spliced

ANY = "any"
PARTS = tuple(CHANGES)
"""What a mutation may be asked to change."""
DIRECTIONS = {"": 0, "shrink": -1, "grow": 1}
"""The sign of each change."""
BOUNDS = {-1: (0.0, 0.8), 0: (0.0, float("inf")), 1: (1.25, float("inf"))}
"""The child's parameters as a share of the parent's, by sign."""
SIZE_WEIGHTS = {"width": 6, "depth": 4, "kernel": 1.5, "operator": 1, "wiring": 1, "head": 0.5}
"""How often each part is changed where the size should."""
WEIGHTS = {
    "width": 4,
    "depth": 4,
    "kernel": 2,
    "stride": 2,
    "operator": 3,
    "wiring": 4,
    "norm": 2,
    "head": 2,
}
COUNTS = (1, 1, 2, 2, 3)  # changes of one mutation
MAXIMUM_TRIES = 24

__all__ = ["cross", "mutate", "mutate_source", "random_spec"]


def mutate(spec: Spec, rng: Random, part: str = ANY, direction: str = "") -> Spec | None:
    """One to three small changes of a part, or of any; never the same program.

    `direction` is "shrink", "grow" or "" (the size is free). None where no such child was found.
    """
    size, sign = parameter_count(spec), DIRECTIONS[direction]
    low, high = BOUNDS[sign]
    weights = SIZE_WEIGHTS if sign else WEIGHTS
    for _ in range(MAXIMUM_TRIES):
        child = spec
        for _ in range(rng.choice(COUNTS)):
            chosen = part if part != ANY else rng.choices(list(weights), [*weights.values()])[0]
            child = repair(CHANGES[chosen](child, rng, sign) or child)
        if child == spec or not is_bearable(child) or not (child.body or not spec.body):
            continue
        if low <= parameter_count(child) / size <= high:
            return child
    return None


def some_mutation(spec: Spec, rng: Random) -> Spec:
    """A mutation of any part; there is always one."""
    while True:
        child = mutate(spec, rng)
        if child is not None:
            return child


def is_worth_taking(layer: Layer) -> bool:
    """Whether a layer carries enough to be taken over into another program."""
    return any(each.kind in BLOCKS or each.kind in ("conv", "up") for each in walk((layer,)))


def donor_run(donor: Spec, rng: Random, known: Layers = ()) -> tuple[Path, int] | None:
    """One to three neighbours of the donor that are worth taking and not all known; or None."""
    found = [
        (path, length)
        for path, length in runs(donor.body, 3)
        if any(
            is_worth_taking(layer) and layer not in known
            for layer in siblings(donor.body, path)[path[-1] : path[-1] + length]
        )
    ]
    return rng.choice(found) if found else None


def taken(donor: Spec, run: tuple[Path, int]) -> Layers:
    """The layers of a run."""
    path, length = run
    return siblings(donor.body, path)[path[-1] : path[-1] + length]


def cross(spec: Spec, donor: Spec, rng: Random) -> Spec | None:
    """Layers of the donor transplanted, or joined to some as a branch; None where nothing fits."""
    own = tuple(at(spec.body, path) for path in paths(spec.body))
    for _ in range(MAXIMUM_TRIES):
        run = donor_run(donor, rng, own)
        if run is None:
            return None
        new = taken(donor, run)
        child = crossed(spec, new, rng)
        kept = set(walk(child.body)) - set(own)  # repair may have dropped what was taken
        if not kept.isdisjoint(walk(new)) and is_bearable(child):
            return child
    return None


def crossed(spec: Spec, new: Layers, rng: Random) -> Spec:
    """The program with the new layers transplanted or, one time in three, merged as a branch."""
    found = [run for run in runs(spec.body, 2)]
    if found and rng.random() < 1 / 3:
        path, length = rng.choice(found)
        old = siblings(spec.body, path)[path[-1] : path[-1] + length]
        both = (_as_branch(old), _as_branch(new))
        body = spliced(spec.body, path, length, (Layer(rng.choice(BRANCHED), (), both),))
        return repair(replace(spec, body=body))
    places = [path for path in paths(spec.body) if not is_branch(spec.body, path)]
    path = rng.choice([*places, (len(spec.body),)])
    rest = len(siblings(spec.body, path)) - path[-1]
    replaced = min(rest, rng.choice((0, 0, 1, 1, 2)))
    return repair(replace(spec, body=spliced(spec.body, path, replaced, new)))


def _as_branch(layers: Layers) -> Layer:
    return layers[0] if len(layers) == 1 else Layer(CHAIN, (), layers)


def mutate_source(
    source: str, in_shape: tuple[int, ...], num_classes: int, rng: Random
) -> str | None:
    """The control arm's mutation; None where the grammar cannot read the source."""
    spec = parse(source, in_shape, num_classes)
    return None if spec is None else render(some_mutation(spec, rng))


def cross_source(
    source: str, donor: str, in_shape: tuple[int, ...], num_classes: int, rng: Random
) -> str | None:
    """The control arm's crossover; None where the grammar cannot read both, or nothing fits."""
    specs = [parse(text, in_shape, num_classes) for text in (source, donor)]
    if specs[0] is None or specs[1] is None:
        return None
    child = cross(specs[0], specs[1], rng)
    return None if child is None else render(child)
