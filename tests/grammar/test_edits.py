from itertools import pairwise
from random import Random

import pytest

from evoprompt.grammar.canonical import canonical_lines
from evoprompt.grammar.edits import (
    END,
    EditError,
    apply,
    apply_lines,
    body_lines,
    complete,
    derive,
    donor_lines,
    numbered,
)
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.spec import render, spec_lines
from evoprompt.grammar.variation import cross, mutate, random_spec
from tests.grammar.programs import SHAPES, random_program, run

PARENT = seeds((1, 40), 10)["reference_cnn"]


def test_derived_edits_applied_to_the_parent_give_the_child():
    rng = Random(2)
    for number in range(300):
        in_shape = SHAPES[number % len(SHAPES)]
        parent, donor = random_program(rng, in_shape), random_spec(rng, in_shape, 10)
        child = mutate(parent, rng) if number % 3 else cross(parent, donor, rng)
        offered = donor_lines(render(donor), rng) if donor.body else []
        if child == parent:
            continue
        script = derive(spec_lines(parent), spec_lines(child), offered)
        reply = "\n".join([*script, END])
        assert apply(render(parent), reply, offered) == render(child)


def test_an_unused_known_class_goes_without_being_deleted():
    parent = seeds((1, 40), 10)["gru"]
    child, added = complete(apply(parent, "@L12\n            ConvBlock(8, 3, 1),\n@end"))
    assert "SequenceBlock" not in child
    assert added == ("ConvBlock",)
    assert run(child, (1, 40)) > 0


def test_new_classes_go_to_the_front():
    rng = Random(3)
    parent = random_spec(Random(1), (1, 40), 10)
    for _ in range(100):
        child = cross(parent, random_spec(rng, (1, 40), 10), rng)
        script = derive(spec_lines(parent), spec_lines(child))
        if {b.kind for b in child.blocks} - {b.kind for b in parent.blocks}:
            assert script[0] == "@L0+"


def test_edits_between_unrelated_programs_round_trip_too():
    sources = list(seeds((1, 40), 10).values())
    for parent, child in pairwise(sources):
        old, new = canonical_lines(parent) or [], canonical_lines(child) or []
        assert apply_lines(old, derive(old, new)) == new


def test_the_numbered_view_has_one_number_per_line():
    view = numbered(PARENT) or ""
    assert view.startswith("L1class Net(nn.Module):\nL2    def __init__(self, in_shape")
    assert len(view.splitlines()) == 17
    assert numbered("class (") is None


def test_replace_insert_delete_and_reference():
    donor = ["            nn.LazyConv1d(8, 3, 1, 1),", "            nn.GELU(),"]
    reply = "@L5\n            nn.LazyConv1d(9, 5, 2, 1),\n@L6+ D1-D2\n@L7-L8\n@L10 D2\n@end"
    child = body_lines(canonical_lines(apply(PARENT, reply, donor)) or [])
    assert [line.strip() for line in child] == [
        "nn.LazyConv1d(9, 5, 2, 1),",
        "nn.ReLU(),",
        "nn.LazyConv1d(8, 3, 1, 1),",
        "nn.GELU(),",
        "nn.LazyConv1d(25, 3, 2, 1),",
        "nn.GELU(),",
    ]


def test_what_follows_the_end_mark_does_not_count():
    one, two = "@L6\n            nn.GELU(),\n@end", "@L6\n            nn.GELU(),\n@end\n@L1\nx\n"
    assert apply(PARENT, one) == apply(PARENT, two)
    assert apply(PARENT, f"```\n{one}\n```") == apply(PARENT, one)


def test_the_imports_of_the_parent_stay():
    parent = "import math\n" + PARENT
    assert apply(parent, "@L6\n            nn.GELU(),\n@end").startswith(
        "import math\nimport torch\n"
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no_edit"),
        ("I would make it wider.", "no_edit"),
        ("@end", "no_edit"),
        ("@L5\n            nn.GELU(),", "truncated"),
        ("@L5 D1", "truncated"),
        ("nn.GELU(),\n@L5\n@end", "bad_edit"),
        ("@L99\nx\n@end", "bad_edit"),
        ("@L0\nx\n@end", "bad_edit"),
        ("@L6-L5\nx\n@end", "bad_edit"),
        ("@L5-\nx\n@end", "bad_edit"),
        ("@M5\nx\n@end", "bad_edit"),
        ("@L6\nx\n@L5\ny\n@end", "bad_edit"),
        ("@L6\nx\n@L6\ny\n@end", "bad_edit"),
        ("@L6 D1\n@end", "bad_edit"),
        ("@L6\n            nn.ReLU(),\n@end", "unchanged"),
    ],
)
def test_a_reply_that_is_no_edit_is_refused_with_its_reason(reply, reason):
    with pytest.raises(EditError) as caught:
        apply(PARENT, reply)
    assert caught.value.reason == reason


def test_a_known_class_that_is_used_but_missing_is_added():
    for in_shape in ((1, 40), (1, 8, 8)):
        parent = seeds(in_shape, 10)["reference_cnn"]
        reply = (
            "@L5-L6\n            Concat(ResBlock(8, 3, 1)),\n            GatedBlock(8, 3, 2),\n@end"
        )
        child = apply(parent, reply)
        whole, added = complete(child)
        assert added == ("Concat", "ResBlock", "GatedBlock")
        assert run(whole, in_shape) > 0
        assert complete(whole) == (whole, ())


def test_a_program_without_known_classes_is_left_alone():
    assert complete(PARENT) == (PARENT, ())
    assert complete("class (") == ("class (", ())


def test_donor_lines_are_a_run_of_the_body_with_its_classes():
    rng = Random(4)
    for in_shape in SHAPES:
        for _ in range(40):
            source = render(random_program(rng, in_shape))
            lines, body = canonical_lines(source) or [], body_lines(canonical_lines(source) or [])
            offered = donor_lines(source, rng)
            if body:
                assert 1 <= sum(line in body for line in offered) <= 3
            assert len(offered) <= 60
            assert all(line in lines for line in offered)


def test_a_donor_in_another_style_offers_lines_of_its_net():
    source = (
        "class Part(nn.Module):\n    pass\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self, in_shape, num_classes):\n        super().__init__()\n"
        "        self.part = Part()\n\n    def forward(self, x):\n        return self.part(x)\n"
    )
    assert donor_lines(source, Random(0)) == [
        "class Part(nn.Module):",
        "    pass",
        "        self.part = Part()",
    ]
    assert donor_lines("class (", Random(0)) == []
