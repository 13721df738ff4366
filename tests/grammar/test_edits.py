"""The edit protocol: derived and applied, without indentation, from donors, and refused."""

import re
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from evoprompt.grammar.canonical import bare, own_lines
from evoprompt.grammar.edits import (
    END,
    EditError,
    added_names,
    apply,
    apply_lines,
    complete,
    derive,
    is_closed,
)
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.spec import parse, render, spec_lines
from evoprompt.grammar.variation import cross, random_spec, some_mutation
from evoprompt.grammar.view import body_lines, donor_of, numbered, shown_lines
from tests.grammar.programs import SHAPES, random_program, run

PARENT = seeds((1, 40), 10)["reference_cnn"]
BY_HAND = sorted((Path(__file__).parents[1] / "programs").glob("*.py"))


def edited(reply: str, donor: list[str] | tuple[str, ...] = ()) -> list[str]:
    """The lines of `self.body` after a reply, without indentation."""
    return [line.strip() for line in body_lines(own_lines(apply(PARENT, reply, donor)) or [])]


def test_derived_edits_applied_to_the_parent_give_the_child():
    rng = Random(2)
    for number in range(400):
        in_shape = SHAPES[number % len(SHAPES)]
        parent, second = random_program(rng, in_shape), random_spec(rng, in_shape, 10)
        child = cross(parent, second, rng) if number % 3 == 0 else some_mutation(parent, rng)
        if child is None:
            continue
        offered = donor_of(render(second), render(parent)).lines
        script = derive(spec_lines(parent), spec_lines(child), offered)
        assert not any(line.startswith(" " * 9) for line in script)  # that of layers is left out
        reply = "\n".join([*script, END])
        assert apply(render(parent), reply, offered, child.dimensions) == render(child)


def test_a_derived_edit_closes_the_brackets_that_it_opens():
    rng = Random(3)
    ranges = closed = 0
    for number in range(300):
        parent = random_program(rng, SHAPES[number % len(SHAPES)])
        child = some_mutation(parent, rng)
        lines = spec_lines(parent)
        for line in derive(lines, spec_lines(child)):
            place = re.fullmatch(r"@?L(\d+)-L(\d+)", line)
            if place:
                ranges += 1
                closed += is_closed(lines[int(place[1]) - 1 : int(place[2])])
    assert ranges > 100
    assert closed > 0.9 * ranges  # where lines changed places, a range may stay open


def test_what_a_crossover_takes_is_told_by_the_donors_numbers():
    rng = Random(4)
    crossed = taken = 0
    for _ in range(150):
        parent, second = (random_spec(rng, (1, 40), 10) for _ in range(2))
        child = cross(parent, second, rng)
        if child is not None:
            crossed += 1
            script = derive(
                spec_lines(parent),
                spec_lines(child),
                donor_of(render(second), render(parent)).lines,
            )
            taken += any(re.match(r"D\d", line) for line in script)
    assert taken > 0.9 * crossed


def test_edits_between_unrelated_programs_round_trip_too():
    sources = [*seeds((1, 40), 10).values(), *(path.read_text() for path in BY_HAND)]
    listed = [lines for lines in map(own_lines, sources) if lines]
    for old, new in pairwise(listed):
        assert bare(apply_lines(bare(old), derive(old, new))) == bare(new)


@pytest.mark.parametrize("path", BY_HAND, ids=lambda path: path.stem)
def test_a_program_written_by_hand_can_be_edited(path):
    source = path.read_text()
    lines = shown_lines(source)
    if lines is None:
        pytest.skip("over 99 lines of its own: it has no numbered view")
    child = apply(source, f"@L0+\nEXTRA = 1\n{END}")
    assert shown_lines(child) in (lines, ["EXTRA = 1", *lines], None)
    assert "\nEXTRA = 1\n" in child
    compile(child, path.name, "exec")


def test_a_class_of_the_library_comes_and_goes_with_its_use():
    parent = seeds((1, 40), 10)["gru"]
    child = apply(parent, "@L5\nConvBlock(8, 3, 1),\n@end")
    assert "class SequenceBlock" not in child
    assert "class ConvBlock" in child
    assert added_names(parent, child) == ("ConvBlock",)
    assert run(child, (1, 40)) > 0


def test_a_wrapper_that_is_left_open_is_closed_at_the_end_of_its_edit():
    assert edited("@L5-L6\nResidual(\nL5-L6\nGate(\nL5\n@L8\nnn.GELU(),\n@end") == [
        "Residual(",
        "nn.LazyConv1d(25, 5, 2, 1),",
        "nn.ReLU(),",
        "Gate(",
        "nn.LazyConv1d(25, 5, 2, 1),",
        "),",
        "),",
        "nn.LazyConv1d(25, 3, 2, 1),",
        "nn.GELU(),",
        "nn.LazyConv1d(25, 3, 2, 1),",
        "nn.ReLU(),",
    ]


def test_a_decorator_is_text_and_no_address():
    child = apply(PARENT, "@L15+\n    @property\n    def size(self):\n        return 1\n@end")
    assert "    @property\n    def size(self):\n" in child
    lines = own_lines(apply(PARENT, "@L0+\n@final\nclass A:\n    x = 1\n@end"))
    assert lines is not None
    assert lines[0] == "@final"


@pytest.mark.parametrize("in_shape", [(1, 40), (1, 8, 8), (16,)])
def test_a_wrapper_may_be_put_around_lines_of_the_parent(in_shape):
    parent = seeds(in_shape, 10)["reference_cnn"]
    body = body_lines(own_lines(parent) or [])
    child = apply(parent, "@L5-L6\nResidual(\nL5-L6\nGate(\nL5\n),\n),\n@end")
    new = body_lines(own_lines(child) or [])
    first, second = body[0].strip(), body[1].strip()
    assert new == [
        "            Residual(",
        f"                {first}",
        f"                {second}",
        "                Gate(",
        f"                    {first}",
        "                ),",
        "            ),",
        *body[2:],
    ]
    assert parse(child, in_shape, 10) is not None
    assert run(child, in_shape) > 0


def test_replace_insert_delete_and_reference():
    donor = ["            nn.LazyConv1d(8, 3, 1, 1),", "            nn.GELU(),"]
    reply = "@L5\nnn.LazyConv1d(9, 5, 2, 1),\n@L6+\nD1-D2\n@L7-L8\n@L10\nD2\n@end"
    assert edited(reply, donor) == [
        "nn.LazyConv1d(9, 5, 2, 1),",
        "nn.ReLU(),",
        "nn.LazyConv1d(8, 3, 1, 1),",
        "nn.GELU(),",
        "nn.LazyConv1d(25, 3, 2, 1),",
        "nn.GELU(),",
    ]


def test_what_follows_the_end_mark_does_not_count():
    one, two = "@L6\nnn.GELU(),\n@end", "@L6\nnn.GELU(),\n@end\n@L1\nx\n"
    assert apply(PARENT, one) == apply(PARENT, two)
    assert apply(PARENT, f"```\n{one}\n```") == apply(PARENT, one)


def test_the_imports_of_the_parent_stay():
    child = apply("import math\nfrom typing import Any\n" + PARENT, "@L6\nnn.GELU(),\n@end")
    assert child.startswith("import torch\n")
    assert "from typing import Any\n" in child
    future = apply("from __future__ import annotations\n" + PARENT, "@L6\nnn.GELU(),\n@end")
    assert future.startswith("from __future__ import annotations\nimport torch\n")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no_edit"),
        ("I would make it wider.", "no_edit"),
        ("@end", "no_edit"),
        ("@L5\nnn.GELU(),", "truncated"),
        ("@L5\nD1", "truncated"),
        ("nn.GELU(),\n@L5\n@end", "bad_edit"),
        ("@L99\nx\n@end", "bad_edit"),
        ("@L18+\nx\n@end", "bad_edit"),
        ("@L0\nx\n@end", "bad_edit"),
        ("@L6-L5\nx\n@end", "bad_edit"),
        ("@L5-\nx\n@end", "bad_edit"),
        ("@L5-L7+\nx\n@end", "bad_edit"),
        ("@M5\nx\n@end", "bad_edit"),
        ("@L6\nx\n@L5\ny\n@end", "bad_edit"),
        ("@L6\nx\n@L6\ny\n@end", "bad_edit"),
        ("@L5-L8\nx\n@L7+\ny\n@end", "bad_edit"),
        ("@L6\nD1\n@end", "bad_edit"),
        ("@L6\nL18\n@end", "bad_edit"),
        ("@L6\nL0-L3\n@end", "bad_edit"),
        ("@L6\nL5-L4\n@end", "bad_edit"),
        ("@L6\n            nn.ReLU(),\n@end", "unchanged"),
        ("@L6\nnn.ReLU(),\n@end", "unchanged"),
        ("@L6\nL6\n@end", "unchanged"),
        ("@L99999999999999999999\nx\n@end", "bad_edit"),
        ("@L3+\n" + "L1-L17\n" * 10_000 + "@end", "bad_edit"),
        ("@L3+\n" + "x = (\n" * 15_000 + "@end", "bad_edit"),
        ("@L1\n" * 25_000 + "@end", "bad_edit"),
        ("x" * 1_000_000, "no_edit"),
    ],
)
def test_a_reply_that_is_no_edit_is_refused_with_its_reason(reply, reason):
    with pytest.raises(EditError) as caught:
        apply(PARENT, reply)
    assert caught.value.reason == reason


def test_a_parent_without_a_view_cannot_be_edited():
    with pytest.raises(EditError, match="no numbered view"):
        apply("x = 1\n" * 100, "@L1\ny = 2\n@end")


def test_a_broken_parent_is_edited_by_its_lines():
    broken = PARENT.replace("            nn.ReLU(),\n        )\n", "            nn.ReLU(),\n")
    view = numbered(broken)
    assert view is not None
    place = view.splitlines().index("L10            nn.ReLU(),")
    assert apply(broken, f"@L{place + 1}+\n)\n@end") == PARENT


def test_a_known_class_that_is_used_but_missing_is_added():
    for in_shape in ((1, 40), (1, 8, 8)):
        parent = seeds(in_shape, 10)["reference_cnn"]
        bodiless = parent.replace("nn.ReLU()", "Sum(ResBlock(8, 3, 1), GatedBlock(8, 3, 1))", 1)
        whole, added = complete(bodiless)
        assert set(added) == {"Sum", "ResBlock", "GatedBlock"}
        assert run(whole, in_shape) > 0
        assert complete(whole) == (whole, ())


def test_a_known_class_is_added_for_the_tasks_dimensions():
    source = "class Net(nn.Module):\n    x = ConvBlock(4, 3, 1)\n"
    assert "nn.LazyConv1d" in complete(source)[0]
    assert "nn.LazyConv2d" in complete(source, 2)[0]


def test_a_program_without_known_classes_is_left_alone():
    assert complete(PARENT) == (PARENT, ())
    assert complete("class (") == ("class (", ())
    assert complete("x = ConvBlock(") == ("x = ConvBlock(", ())
