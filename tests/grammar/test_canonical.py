"""The canonical lines: what is shown and numbered of a program, and how the rest comes back."""

from pathlib import Path
from random import Random

import pytest

from evoprompt.grammar.canonical import (
    HEADER,
    bare,
    dimensions_of,
    dressed,
    header_of,
    own_lines,
    segments,
    source_of,
)
from evoprompt.grammar.library import LIBRARY, closure, definition
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.spec import render, spec_lines
from tests.grammar.programs import SHAPES, random_program

BY_HAND = sorted((Path(__file__).parents[1] / "programs").glob("*.py"))
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


def library(name: str, dimensions: int = 1) -> str:
    return "\n".join(definition(name, dimensions))


def test_imports_comments_docstrings_and_blank_lines_are_left_out():
    lines = own_lines(FOREIGN)
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
    assert [name for name, _ in segments(lines or [])] == ["WIDTH = 8", "class Net"]


def test_a_program_that_does_not_parse_has_no_canonical_lines():
    assert own_lines("class (") is None
    assert own_lines("") is None
    assert own_lines("x = '\0'") is None
    assert len(own_lines("\n".join(f"a{n} = {n}" for n in range(300))) or []) == 300


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_is_hidden_word_for_word_only(name, dimensions):
    text = library(name, dimensions)
    net = "class Net(nn.Module):\n    pass"
    assert own_lines(f"{text}\n{net}") == net.split("\n")
    assert own_lines(f"{text}\n\n\n# a comment\n{net}") == net.split("\n")
    last = text.split("\n")[-1]
    changed = text.removesuffix(last) + last.replace("return ", "return 1 * ")
    assert own_lines(f"{changed}\n{net}") == [*changed.split("\n"), *net.split("\n")]
    renamed = text.replace(f" {name}(", f" My{name}(", 1)
    assert own_lines(f"{renamed}\n{net}") == [*renamed.split("\n"), *net.split("\n")]


def test_what_a_program_uses_is_put_in_front_and_nothing_else():
    net = ["class Net(nn.Module):", "    def __init__(self, in_shape, num_classes):"]
    net += ["        super().__init__()", "        self.body = Gate(FourierMixing())"]
    source = source_of(net, dimensions=2)
    names = [name for name, _ in segments(source.split("\n")) if name.startswith(("class", "def"))]
    assert names == ["def resize", "def match", "class Gate", "class FourierMixing", "class Net"]
    assert source.startswith("import math\nimport torch\n")
    assert library("FourierMixing", 2) in source.replace("\n\n", "\n")
    assert "import math" not in source_of(["x = 1"])
    assert source_of(["x = 1"], "import math\nfrom typing import Any\n") == (
        HEADER + "from typing import Any\nx = 1\n"
    )


def test_a_class_that_the_program_defines_itself_is_not_put_in_front():
    own = [
        "class ConvBlock(nn.Module):",
        "    pass",
        "class Net(nn.Module):",
        "    x = ConvBlock()",
    ]
    assert source_of(own).count("class ConvBlock") == 1


def test_the_dimensions_are_read_off_the_layers():
    for in_shape in SHAPES:
        source = seeds(in_shape, 10)["reference_cnn"]
        assert dimensions_of(source) == max(1, len(in_shape) - 1)


def test_a_random_program_is_a_fixed_point():
    rng = Random(1)
    for number in range(200):
        spec = random_program(rng, SHAPES[number % len(SHAPES)])
        lines, source = spec_lines(spec), render(spec)
        assert own_lines(source) == lines
        assert source_of(lines, header_of(source), spec.dimensions) == source
        assert dressed(bare(lines)) == lines


@pytest.mark.parametrize("path", BY_HAND, ids=lambda path: path.stem)
def test_a_program_written_by_hand_keeps_its_lines(path):
    source = path.read_text()
    lines = own_lines(source)
    if lines is None:
        pytest.skip("over 99 lines of its own: it has no numbered view")
    again = source_of(lines, header_of(source))
    assert own_lines(again) == lines
    assert source_of(own_lines(again) or [], header_of(again)) == again
    assert bare(dressed(bare(lines))) == bare(lines)
    compile(again, path.name, "exec")


def test_lines_inside_brackets_are_indented_by_how_deep_they_stand():
    lines = ["x = f(", "a(", "b,", "),", "[", "'(', c,", "],", ")", "y = 1"]
    assert dressed(lines) == [
        "x = f(",
        "    a(",
        "        b,",
        "    ),",
        "    [",
        "        '(', c,",
        "    ],",
        ")",
        "y = 1",
    ]
    assert bare(dressed(lines)) == lines
    assert dressed(["))", "a"]) == ["))", "a"]


def test_the_closure_of_a_whole_program_is_defined_once():
    rng = Random(2)
    for number in range(60):
        source = render(random_program(rng, SHAPES[number % len(SHAPES)]))
        used = [name for name in LIBRARY if f"{name}(" in source]
        assert all(source.count(f"class {name}(") <= 1 for name in used)
        defined = [
            name for name in LIBRARY if f"class {name}(" in source or f"def {name}(" in source
        ]
        assert defined == closure(set(defined))
