"""Mutations of every part and direction, and crossovers: legal, changed, and as they were asked."""

from random import Random

import pytest

from evoprompt.grammar.choices import argument_names
from evoprompt.grammar.families import is_bearable, random_spec
from evoprompt.grammar.seeds import seed_specs
from evoprompt.grammar.shapes import input_shape, parameter_count, repair, totals
from evoprompt.grammar.spec import Head, Layer, Spec, parse, render, spec_lines, walk
from evoprompt.grammar.tree import at, paths, shape_before, spliced
from evoprompt.grammar.variation import (
    ANY,
    BOUNDS,
    DIRECTIONS,
    PARTS,
    cross,
    mutate,
    some_mutation,
)
from tests.grammar.programs import SHAPES, run, screened

COUNT = 60


def children(part: str, direction: str = "", seed: int = 0) -> list[tuple[Spec, Spec]]:
    """(parent, child) of random programs of all shapes, where there is such a child."""
    rng = Random(f"{part} {direction} {seed}")
    found = []
    for number in range(COUNT):
        parent = random_spec(rng, SHAPES[number % len(SHAPES)], 10)
        child = mutate(parent, rng, part, direction)
        if child is not None:
            found.append((parent, child))
    return found


def kinds(spec: Spec) -> list[str]:
    return [layer.kind for layer in walk(spec.body)]


def arguments(spec: Spec, names: tuple[str, ...]) -> list[object]:
    """The values of all arguments but the named ones."""
    return [
        value
        for layer in walk(spec.body)
        for name, value in zip(argument_names(layer.kind), layer.arguments, strict=False)
        if name not in names
    ]


SIZED = ("width", "depth", "operator", "head")
"""Parts that can make many programs smaller or larger."""


@pytest.mark.parametrize(
    ("part", "direction"),
    [*((part, "") for part in (ANY, *PARTS)), *((p, d) for p in (ANY, *SIZED) for d in DIRECTIONS)],
)
def test_every_part_can_be_changed_and_the_child_is_legal(part, direction):
    found = children(part, direction)
    assert len(found) > (0.35 if direction else 0.8) * COUNT
    for parent, child in found:
        assert child != parent
        assert repair(child) == child
        assert is_bearable(child)
        assert len(spec_lines(child)) <= 99
        assert parse(render(child), child.in_shape, 10) == child
        low, high = BOUNDS[DIRECTIONS[direction]]
        assert low <= parameter_count(child) / parameter_count(parent) <= high
    for _, child in found[:3]:
        assert run(render(child), child.in_shape) == parameter_count(child)


@pytest.mark.parametrize("part", [ANY, *PARTS])
def test_a_child_passes_the_screen_with_the_figures_that_we_compute(part):
    for _, child in children(part, seed=1)[:6]:
        figures, _ = screened(render(child), child.in_shape)
        assert figures["parameters"] == totals(child).parameters
        assert figures["macs"] == pytest.approx(totals(child).macs, rel=0.02)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("width", lambda old, new: kinds(old) == kinds(new) and old.head.pool == new.head.pool),
        ("kernel", lambda old, new: kinds(old) == kinds(new) and old.head == new.head),
        ("head", lambda old, new: old.body == new.body and old.head != new.head),
        ("depth", lambda old, new: old.body != new.body and old.head.hidden == new.head.hidden),
        ("operator", lambda old, new: kinds(old) != kinds(new)),
        ("wiring", lambda old, new: old.body != new.body and old.head.hidden == new.head.hidden),
    ],
)
def test_a_change_of_a_part_leaves_the_others(part, changes):
    found = children(part)
    # where a change makes a layer illegal, repair may change another part
    assert sum(changes(old, new) for old, new in found) > 0.9 * len(found)


def test_a_change_of_widths_leaves_every_other_number():
    names = ("channels", "hidden", "width")
    for old, new in children("width"):
        if kinds(old) == kinds(new) and "TokenMixing" not in kinds(old):
            assert arguments(old, names) == arguments(new, names)


def test_mutations_are_many_and_follow_the_generator_alone():
    spec = seed_specs((1, 40), 10)["residual_cnn"]
    drawn = [some_mutation(spec, Random(number)) for number in range(300)]
    assert len(set(drawn)) > 200
    assert drawn == [some_mutation(spec, Random(number)) for number in range(300)]
    assert sum(kinds(child) != kinds(spec) for child in drawn) > 120


def test_what_cannot_be_changed_gives_none():
    mlp = seed_specs((1, 40), 10)["mlp"]
    assert mutate(mlp, Random(0), "kernel") is None
    assert mutate(mlp, Random(0), "operator") is None
    smallest = Spec((1, 4), 2, (Layer("conv", (2, 1, 2, 0)),), Head("Avg"))
    assert mutate(smallest, Random(0), "head", "shrink") is None


def test_a_crossover_holds_layers_of_both():
    rng = Random(6)
    both = made = 0
    for number in range(200):
        in_shape = SHAPES[number % len(SHAPES)]
        parent, donor = (random_spec(rng, in_shape, 10) for _ in range(2))
        child = cross(parent, donor, rng)
        if child is None:
            continue
        made += 1
        assert repair(child) == child
        assert is_bearable(child)
        assert parse(render(child), in_shape, 10) == child
        old, offered = set(walk(parent.body)), set(walk(donor.body))
        new = set(walk(child.body)) - old
        assert any(layer in offered for layer in new)
        both += bool(set(walk(child.body)) & old) or not parent.body
        if made % 20 == 0:
            assert run(render(child), in_shape) == parameter_count(child)
    assert made > 170
    assert both > 0.8 * made


def test_nothing_is_taken_from_a_donor_that_has_nothing_else():
    spec = seed_specs((1, 40), 10)["gru"]
    assert cross(spec, spec, Random(0)) is None
    assert cross(spec, seed_specs((1, 40), 10)["mlp"], Random(0)) is None


def test_places_in_the_tree():
    conv, act = Layer("conv", (4, 3, 2, 1)), Layer("activation", ("ReLU",))
    branches = Layer("Concat", (), (conv, Layer("nn.Sequential", (), (act, conv))))
    body = (conv, Layer("UShape", (), (act, branches)), act)
    spec = Spec((1, 40), 10, body)
    assert paths(body) == [
        (0,), (1,), (1, 0), (1, 1), (1, 1, 0), (1, 1, 1), (1, 1, 1, 0), (1, 1, 1, 1), (2,),
    ]  # fmt: skip
    assert at(body, (1, 1, 1, 0)) == act
    assert spliced(body, (1, 1, 1, 0), 1, ()) == (
        conv,
        Layer(
            "UShape", (), (act, Layer("Concat", (), (conv, Layer("nn.Sequential", (), (conv,)))))
        ),
        act,
    )
    start = repair(spec)
    assert start == spec
    sides = [shape_before(body, path, input_shape(spec)).sides for path in paths(body)]
    assert sides == [(40,), (20,), (10,), (10,), (10,), (10,), (10,), (10,), (20,)]
