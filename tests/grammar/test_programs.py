"""Random programs and seeds: read back whole, legal, counted right; and the control arm."""

from itertools import pairwise
from random import Random

import pytest

from evoprompt.grammar.canonical import HEADER, own_lines, source_of
from evoprompt.grammar.families import FAMILIES, is_bearable, random_spec
from evoprompt.grammar.seeds import seed_specs, seeds
from evoprompt.grammar.shapes import body_shapes, parameter_count, repair, totals
from evoprompt.grammar.spec import (
    BLOCKS,
    Head,
    Hidden,
    Layer,
    Spec,
    layer_text,
    parse,
    parse_layer,
    render,
    spec_lines,
    walk,
)
from evoprompt.grammar.variation import cross_source, mutate_source
from evoprompt.screen.rules import Prepared, prepare
from tests.grammar.programs import SHAPES, random_program, run, screened

ODD_SHAPES = [(3, 100), (30,), (1, 28, 28), (4, 1), (3,), (2, 1, 7)]


@pytest.mark.parametrize("in_shape", [*SHAPES, *ODD_SHAPES])
def test_a_random_program_is_read_back_whole_and_keeps_the_rules(in_shape):
    rng = Random(5)
    for _ in range(60):
        spec = random_program(rng, in_shape)
        source = render(spec)
        assert parse(source, in_shape, 10) == spec
        assert own_lines(source) == spec_lines(spec)
        assert source_of(spec_lines(spec), dimensions=spec.dimensions) == source
        assert prepare(source) == Prepared(source)
        assert len(spec_lines(spec)) <= 99
        assert repair(spec) == spec
        assert all(min(shape.sides) >= 1 for shape in body_shapes(spec))


@pytest.mark.parametrize("in_shape", [*SHAPES, *ODD_SHAPES])
def test_a_random_program_runs_forward_and_backward_with_the_parameters_that_we_count(in_shape):
    rng = Random(3)
    for _ in range(12):
        spec = random_program(rng, in_shape)
        assert run(render(spec), in_shape) == parameter_count(spec)


@pytest.mark.parametrize("in_shape", [*SHAPES, *ODD_SHAPES])
def test_a_random_program_passes_the_screen_with_the_figures_that_we_compute(in_shape):
    rng = Random(11)
    for _ in range(10):
        spec = random_program(rng, in_shape)
        figures, _ = screened(render(spec), in_shape)
        size = totals(spec)
        assert figures["parameters"] == size.parameters
        assert figures["macs"] == pytest.approx(size.macs, rel=0.02)


def test_random_programs_are_of_every_kind_and_of_bearable_size():
    rng = Random(0)
    specs = [random_spec(rng, (1, 40), 10) for _ in range(1500)]
    assert all(map(is_bearable, specs))
    kinds = [{layer.kind for layer in walk(spec.body)} for spec in specs]
    for kind in (*BLOCKS, "conv", "norm", "activation", "pool", "dropout", "up"):
        assert any(kind in each for each in kinds), kind
    for wrapper in ("Residual", "Dense", "Gate", "UShape", "Concat", "Sum"):
        assert sum(wrapper in each for each in kinds) > 15, wrapper
    assert len({render(spec) for spec in specs}) > 0.95 * len(specs)
    assert len(FAMILIES) >= 10


def test_the_same_generator_gives_the_same_program():
    assert random_spec(Random(9), (1, 40), 10) == random_spec(Random(9), (1, 40), 10)
    assert random_spec(Random(9), (1, 40), 10) != random_spec(Random(10), (1, 40), 10)


@pytest.mark.parametrize("in_shape", [*SHAPES, (1, 3000), (1, 28, 28)])
def test_every_shape_has_at_least_eight_seeds_that_run(in_shape):
    specs = seed_specs(in_shape, 7)
    assert len(specs) >= 8
    for name, source in seeds(in_shape, 7).items():
        assert run(source, in_shape, 7) == parameter_count(specs[name]), name
        assert parse(source, in_shape, 7) == specs[name], name


def test_the_baselines_of_mnist1d_have_their_published_sizes():
    specs = seed_specs((1, 40), 10)
    counts = {name: parameter_count(spec) for name, spec in specs.items()}
    assert counts["reference_cnn"] == 5210
    assert counts["gru"] == 5134
    assert counts["mlp"] == 15210
    assert 85_000 < counts["larger_cnn"] < 95_000


@pytest.mark.parametrize(
    "line",
    [
        "nn.LazyConv1d(8, 3, 1)",
        "nn.LazyConv1d(8, kernel_size=3)",
        "nn.LazyConv3d(8, 3, 1, 1)",
        "nn.Identity()",
        "ConvBlock(8, 3)",
        "ConvBlock(8, 3, 1, F.sigmoid)",
        "ConvBlock(8, 3, 1, F.gelu, F.gelu)",
        "ConvBlock(8, 3, x)",
        "AttentionBlock(2, 8, F.gelu)",
        "SequenceBlock(2, 8)",
        "Unknown(3)",
    ],
)
def test_a_line_that_the_grammar_does_not_write_is_no_layer_of_it(line):
    assert parse_layer(f"            {line},") is None


def test_every_random_layer_is_read_back_from_its_line():
    rng = Random(4)
    for _ in range(300):
        for layer in walk(random_spec(rng, (1, 40), 10).body):
            if not layer.is_wrapper:
                assert parse_layer(layer_text(layer, 1) + ",") == layer


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.body(x)", "self.body(2 * x)"),
        ("nn.Flatten()", "nn.Flatten(1)"),
        ("nn.LazyConv1d(25, 5, 2, 1)", "nn.LazyConv1d(25, 5, 2, 1, bias=False)"),
        ("        self.head = ", "        self.extra = nn.Identity()\n        self.head = "),
        ("class Net", "class Other(nn.Module):\n    pass\n\n\nclass Net"),
        ("self.body", "self.trunk"),
        ("            nn.ReLU(),\n        )", "            Residual(\n        )"),
    ],
)
def test_a_program_that_reads_otherwise_is_not_taken_for_the_grammars(old, new):
    source = seeds((1, 40), 10)["reference_cnn"]
    assert old in source
    assert parse(source, (1, 40), 10) is not None
    assert parse(source.replace(old, new), (1, 40), 10) is None


def test_repair_mends_what_a_record_written_by_hand_gets_wrong():
    conv, pool = Layer("conv", (4, 9, 2, 0)), Layer("pool", ("Max", 2))
    attention, deep = Layer("AttentionBlock", (2, 4)), Layer("ConvBlock", (4, 3, 1))
    empty = Layer("Residual", (), ())
    for in_shape, body in [
        ((1, 40), (conv, conv, conv, pool, pool, pool)),
        ((1, 5000), (attention, deep)),
        ((1, 40), (deep, Layer("SequenceBlock", (4,)), empty, Layer("Concat", (), (deep,)))),
        ((1, 40), (deep,) * 60),
        ((3, 64, 64), (deep, attention)),
    ]:
        spec = repair(Spec(in_shape, 10, body, Head("Avg", 7)))
        assert repair(spec) == spec
        assert len(spec_lines(spec)) <= 99
        assert run(render(spec), in_shape) == parameter_count(spec)
    assert repair(Spec((1, 5000), 10, (deep,), Head())).head.pool == "Avg"
    assert repair(Spec((16,), 10, (), Head("Max", 4, hidden=(Hidden(8),)))).head.pool == ""


def test_the_control_arm_mutates_and_crosses_sources():
    rng = Random(8)
    sources = list(seeds((1, 40), 10).values())
    for source, donor in pairwise(sources):
        child = mutate_source(source, (1, 40), 10, rng)
        assert child is not None
        assert child != source
        assert run(child, (1, 40)) > 0
        assert mutate_source(child, (1, 40), 10, rng) is not None
        crossed = cross_source(source, donor, (1, 40), 10, rng)
        assert crossed is None or run(crossed, (1, 40)) > 0


def test_the_control_arm_passes_over_foreign_programs():
    foreign = HEADER + "class Net(nn.Module):\n    pass\n"
    seed = seeds((1, 40), 10)["gru"]
    assert mutate_source(foreign, (1, 40), 10, Random(0)) is None
    assert mutate_source("not python (", (1, 40), 10, Random(0)) is None
    assert cross_source(seed, foreign, (1, 40), 10, Random(0)) is None
