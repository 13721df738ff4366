from itertools import pairwise
from random import Random

import pytest

from evoprompt.grammar.blocks import (
    BLOCK_KINDS,
    SLOT_CHOICES,
    SLOTS,
    TEMPLATES,
    Block,
    block_lines,
    change_block,
    default_block,
    parse_block,
    random_block,
)
from evoprompt.grammar.canonical import HEADER, canonical_lines, header_of, segments, source_of
from evoprompt.grammar.seeds import seed_specs, seeds
from evoprompt.grammar.shapes import body_shapes, parameter_count
from evoprompt.grammar.spec import parse, render, spec_lines
from evoprompt.grammar.variation import cross, cross_source, mutate, mutate_source, random_spec
from tests.grammar.programs import SHAPES, random_program, run


@pytest.mark.parametrize("in_shape", SHAPES)
def test_random_programs_build_run_and_have_the_counted_parameters(in_shape):
    rng = Random(3)
    for _ in range(12):
        spec = random_program(rng, in_shape)
        assert run(render(spec), in_shape) == parameter_count(spec)


@pytest.mark.parametrize("in_shape", [*SHAPES, (1, 3000), (1, 28, 28)])
def test_every_shape_has_at_least_eight_seeds_that_run(in_shape):
    specs = seed_specs(in_shape, 7)
    assert len(specs) >= 8
    for name, source in seeds(in_shape, 7).items():
        assert run(source, in_shape, 7) == parameter_count(specs[name]), name


def test_the_baselines_of_mnist1d_have_their_published_sizes():
    specs = seed_specs((1, 40), 10)
    counts = {name: parameter_count(spec) for name, spec in specs.items()}
    assert counts["reference_cnn"] == 5210
    assert counts["gru"] == 5134
    assert counts["mlp"] == 15210
    assert 85_000 < counts["larger_cnn"] < 95_000


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_block_is_read_back_from_its_lines(kind, dimensions):
    rng = Random(1)
    for _ in range(10):
        block = random_block(kind, rng)
        assert parse_block(block_lines(block, dimensions), dimensions) == block


@pytest.mark.parametrize("kind", BLOCK_KINDS)
def test_changing_a_block_changes_one_open_place(kind):
    block = default_block(kind)
    changed = change_block(block, Random(0))
    assert sum(a != b for a, b in zip(block.choices, changed.choices, strict=True)) == 1


def test_lines_that_are_no_block_of_ours_are_not_read_as_one():
    lines = block_lines(default_block("ConvBlock"), 1)
    assert parse_block((*lines[:-1], "        return x"), 1) is None
    assert parse_block(("class Other(nn.Module):",), 1) is None
    assert all(slot in SLOT_CHOICES for slots in SLOTS.values() for slot in slots)
    assert Block("Concat") == parse_block(block_lines(Block("Concat"), 1), 1)


def test_a_rendered_program_is_read_back_whole():
    rng = Random(5)
    for number in range(300):
        in_shape = SHAPES[number % len(SHAPES)]
        spec = random_program(rng, in_shape)
        source = render(spec)
        assert canonical_lines(source) == spec_lines(spec)
        assert source_of(spec_lines(spec)) == source
        assert parse(source, in_shape, 10) == spec


def test_no_program_has_a_size_below_two_or_more_than_99_lines():
    rng = Random(6)
    for number in range(300):
        spec = random_program(rng, SHAPES[number % len(SHAPES)])
        assert all(min(shape.size) >= 2 for shape in body_shapes(spec))
        assert len(spec_lines(spec)) <= 99


def test_mutation_and_crossover_follow_the_random_generator_alone():
    spec, donor = (random_spec(Random(n), (1, 40), 10) for n in (1, 2))
    assert mutate(spec, Random(9)) == mutate(spec, Random(9))
    assert cross(spec, donor, Random(9)) == cross(spec, donor, Random(9))


def test_the_control_arm_mutates_and_crosses_sources():
    rng = Random(8)
    sources = list(seeds((1, 40), 10).values())
    for source, donor in pairwise(sources):
        child = mutate_source(source, (1, 40), 10, rng)
        crossed = cross_source(source, donor, (1, 40), 10, rng)
        assert child is not None
        assert child != source
        assert crossed is not None
        assert run(child, (1, 40)) > 0
        assert run(crossed, (1, 40)) > 0
        assert mutate_source(child, (1, 40), 10, rng) is not None


def test_the_control_arm_passes_over_foreign_programs():
    foreign = HEADER + "class Net(nn.Module):\n    pass\n"
    seed = seeds((1, 40), 10)["gru"]
    assert mutate_source(foreign, (1, 40), 10, Random(0)) is None
    assert mutate_source("not python (", (1, 40), 10, Random(0)) is None
    assert cross_source(seed, foreign, (1, 40), 10, Random(0)) is None


FOREIGN = '''"""A program by someone else."""
import math
import torch
from torch import nn

WIDTH = 8  # channels


class Net(nn.Module):
    """The network."""

    def __init__(self, in_shape, num_classes):
        super().__init__()
        # one convolution
        self.conv = nn.LazyConv1d(WIDTH, 3)  # "#" in a comment

    def forward(self, x):
        """Logits."""
        return self.conv(x).mean(2)
'''


def test_canonical_lines_leave_imports_comments_docstrings_and_blank_lines_out():
    lines = canonical_lines(FOREIGN)
    assert lines == [
        "WIDTH = 8",
        "class Net(nn.Module):",
        "    def __init__(self, in_shape, num_classes):",
        "        super().__init__()",
        "        self.conv = nn.LazyConv1d(WIDTH, 3)",
        "    def forward(self, x):",
        "        return self.conv(x).mean(2)",
    ]
    assert header_of(FOREIGN) == "import math\nimport torch\nfrom torch import nn\n"
    assert [name for name, _ in segments(lines)] == ["WIDTH = 8", "class Net"]


def test_a_program_that_does_not_parse_or_is_too_long_has_no_canonical_lines():
    assert canonical_lines("class (") is None
    assert canonical_lines("") is None
    assert canonical_lines("\n".join(f"a{n} = {n}" for n in range(100))) is None
    assert len(canonical_lines("\n".join(f"a{n} = {n}" for n in range(99))) or []) == 99
