"""Every layer of the library: on any shape it passes the screen, with the figures we compute."""

from dataclasses import replace
from random import Random

import pytest

from evoprompt.grammar.choices import PLAIN, random_leaf
from evoprompt.grammar.layer_texts import FUNCTIONS, WRAPPERS
from evoprompt.grammar.library import LIBRARY, arguments, closure, definition
from evoprompt.grammar.shapes import input_shape, totals
from evoprompt.grammar.spec import BLOCKS, BRANCHED, CHAIN, Head, Layer, Spec, parse, render
from tests.grammar.programs import run, screened

SHAPES = [(3, 9), (2, 1), (3, 6, 5), (2, 1, 1)]
STRIDED = Layer("conv", (5, 3, 2, 1))
PLAIN_KINDS = tuple(kind for kind in PLAIN if kind != "pool")  # a window of 2 asks for 2 positions
ANY_SHAPE = (*BLOCKS, *PLAIN_KINDS)


def check(spec: Spec) -> None:
    source = render(spec)
    figures, _ = screened(source, spec.in_shape)
    size = totals(spec)
    assert figures["parameters"] == size.parameters == run(source, spec.in_shape)
    assert figures["macs"] == pytest.approx(size.macs, rel=0.02)
    assert parse(source, spec.in_shape, 10) == spec


@pytest.mark.parametrize("in_shape", SHAPES)
@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_every_layer_stands_on_any_shape(kind, in_shape):
    rng = Random(kind)
    spec = Spec(in_shape, 10, ())
    for _ in range(3):
        leaf = random_leaf(rng, kind, input_shape(spec))
        check(replace(spec, body=(leaf,)))


@pytest.mark.parametrize("in_shape", SHAPES)
@pytest.mark.parametrize("kind", [kind for kind in ANY_SHAPE if kind != "SequenceBlock"])
def test_every_layer_stands_behind_others_and_in_a_wrapper(kind, in_shape):
    rng = Random(f"{kind} inside")
    spec = Spec(in_shape, 10, (STRIDED,), Head("Avg"))
    leaf = random_leaf(rng, kind, input_shape(spec))
    wrapper = rng.choice([name for name in WRAPPERS if name not in BRANCHED])
    check(replace(spec, body=(STRIDED, Layer(wrapper, (), (leaf,)))))


@pytest.mark.parametrize("in_shape", SHAPES)
@pytest.mark.parametrize("kind", WRAPPERS)
def test_a_wrapper_brings_shapes_together(kind, in_shape):
    wide, narrow = Layer("conv", (9, 1, 1, 0)), Layer("conv", (2, 3, 1, 1))
    for inner in ((STRIDED, wide), (wide, STRIDED), (STRIDED, narrow), (Layer("up", (2,)), wide)):
        check(Spec(in_shape, 10, (Layer(kind, (), inner),)))
    branches = (Layer(CHAIN, (), (STRIDED, wide)), Layer("Residual", (), (narrow,)), STRIDED)
    check(Spec(in_shape, 10, (Layer(kind, (), branches),) if kind in BRANCHED else branches))


def test_a_definition_names_its_dimensions_and_leaves_no_place_open():
    for name in LIBRARY:
        texts = ["\n".join(definition(name, dimensions)) for dimensions in (1, 2)]
        assert "2d" not in texts[0]
        assert "<" not in texts[0] + texts[1]
        assert all(line.strip() for text in texts for line in text.split("\n"))
        assert texts[0].startswith(("class ", "def "))


def test_what_a_definition_needs_comes_before_it():
    assert closure({"Residual"}) == ["resize", "match", "Residual"]
    assert closure({"Dense", "ConvBlock"}) == ["resize", "Dense", "ConvBlock"]
    assert closure(set(LIBRARY)) == list(LIBRARY)
    assert closure(set()) == []


def test_the_arguments_of_a_class_are_those_of_its_text():
    assert arguments("InvertedBlock") == (
        "channels", "expansion", "kernel", "stride", "activation",
    )  # fmt: skip
    assert arguments("FourierMixing") == ()
    assert all(arguments(name)[0].startswith("*") for name in WRAPPERS)
    assert all(name in LIBRARY for name in (*FUNCTIONS, *BLOCKS))
