"""The numbered view: what is shown, what is hidden and comes back, and what a donor offers."""

from pathlib import Path
from random import Random

import pytest

from evoprompt.grammar.canonical import bare, dressed, own_lines, source_of
from evoprompt.grammar.edits import EditError, apply
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.spec import render, spec_lines
from evoprompt.grammar.view import (
    MAXIMUM_DONOR_LINES,
    body_lines,
    donor_of,
    numbered,
    shown_lines,
    view_of,
)
from tests.grammar.programs import SHAPES, random_program, run

PARENT = seeds((1, 40), 10)["reference_cnn"]
BY_HAND = sorted((Path(__file__).parents[1] / "programs").glob("*.py"))
OWN = """\
class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = Quarter()
    def forward(self, x):
        return self.part(x)


class Quarter(nn.Module):
    def forward(self, x):
        return ConvBlock(4, 3, 1)(x)


SCALE = 2


class Unused(nn.Module):
    pass


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.body = nn.Sequential(
            Half(),
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.LazyLinear(num_classes),
        )
    def forward(self, x):
        return self.head(self.body(x))
"""


def defined(source: str) -> list[str]:
    return [line.split("(")[0] for line in source.splitlines() if line.startswith("class")]


def test_the_numbered_view_has_one_number_per_line():
    view = numbered(PARENT) or ""
    assert view.startswith("L1class Net(nn.Module):\nL2    def __init__(self, in_shape")
    assert len(view.splitlines()) == 17
    assert numbered("class (") == "L1class (\n"
    assert numbered("x = 1\n" * 100) is None
    assert numbered("x = 1\n" * 99) is not None


def test_of_a_net_of_layers_only_the_net_is_shown():
    view = view_of(OWN)
    assert view is not None
    assert view.lines[0] == "class Net(nn.Module):"
    assert [name for name, _ in view.hidden] == ["Half", "Quarter", "", "Unused"]
    assert sorted([*view.lines, *(x for _, part in view.hidden for x in part)]) == sorted(
        own_lines(OWN) or []
    )
    behind = OWN + "\n\nclass Late(nn.Module):\n    pass\n" * 99
    assert shown_lines(behind) == list(view.lines)  # what is hidden may be long


def test_of_another_program_everything_is_shown():
    other = OWN.replace("self.head(self.body(x))", "self.head(self.body(x) + 1)")
    assert shown_lines(other) == own_lines(other)


def test_what_was_hidden_comes_back_where_it_is_used():
    child = apply(OWN, "@L6\nnn.GELU(),\n@end")
    assert defined(child) == ["class ConvBlock", "class Half", "class Quarter", "class Net"]
    assert "SCALE = 2\n" in child
    assert body_lines(shown_lines(child) or []) == ["            Half(),", "            nn.GELU(),"]
    without = apply(OWN, "@L5\n@end")
    assert defined(without) == ["class Net"]
    assert "SCALE = 2\n" in without
    assert run(without, (1, 40)) > 0


def test_an_unchanged_net_is_refused_whatever_is_hidden():
    with pytest.raises(EditError, match="unchanged"):
        apply(OWN, "@L6\nnn.ReLU(),\n@end")


def test_the_classes_of_the_donors_own_come_with_its_lines():
    offer = donor_of(OWN, PARENT)
    assert [line.strip() for line in offer.lines] == ["Half(),", "nn.ReLU(),"]
    assert [name for name, _ in offer.classes] == ["Half", "Quarter"]
    child = apply(PARENT, "@L5\nD1\n@end", offer.lines, classes=offer.classes)
    assert defined(child) == ["class ConvBlock", "class Half", "class Quarter", "class Net"]
    without = apply(PARENT, "@L5\nD2\n@end", offer.lines, classes=offer.classes)
    assert without.count("class ") == 1


def test_a_class_that_both_parents_define_differently_gets_another_name():
    other = OWN.replace("ConvBlock(4, 3, 1)", "ConvBlock(9, 3, 1)")
    offer = donor_of(other, OWN)
    assert [name for name, _ in offer.classes] == ["Half2", "Quarter2"]  # Half uses Quarter
    assert [line.strip() for line in offer.lines] == ["Half2(),", "nn.ReLU(),"]
    both = apply(OWN, "@L6\nD1\n@end", offer.lines, classes=offer.classes)
    assert body_lines(shown_lines(both) or []) == ["            Half(),", "            Half2(),"]
    assert run(both, (1, 40)) > 0
    same = donor_of(OWN, OWN)
    assert [name for name, _ in same.classes] == ["Half", "Quarter"]
    child = apply(OWN, "@L6\nD1\n@end", same.lines, classes=same.classes)
    assert child.count("class Half(") == 1


def test_what_a_donor_offers_is_short_and_its_own():
    rng = Random(4)
    for number in range(120):
        spec = random_program(rng, SHAPES[number % len(SHAPES)])
        offered = donor_of(render(spec), PARENT)
        assert list(offered.lines) == body_lines(spec_lines(spec))[:MAXIMUM_DONOR_LINES]
        assert offered.classes == ()
    assert donor_of("class (", PARENT).lines == ()
    assert donor_of("\n".join(f"x{n} = {n}" for n in range(80)), PARENT).lines == ()
    assert donor_of("x = 1\ny = 2\n", PARENT).lines == ()
    for path in BY_HAND:
        assert len(donor_of(path.read_text(), PARENT).lines) <= MAXIMUM_DONOR_LINES


def test_what_python_cannot_parse_is_shown_as_it_stands():
    source = seeds((1, 40), 10)["residual_cnn"]
    lines = own_lines(source) or []
    closing = lines.index("        )")
    broken = [*lines[:closing], *lines[closing + 1 :]]
    shown = shown_lines(source_of(broken))
    assert shown is not None
    assert bare(shown) == bare(dressed(bare(broken)))
    assert not any("ResBlock(nn.Module)" in line for line in shown)
    assert shown_lines(source) == lines
    assert shown_lines("class (\n" * 100) is None
    assert shown_lines("") is None


def test_a_broken_net_is_shown_without_the_classes_in_front_of_it():
    broken = OWN.replace("            nn.ReLU(),\n        )\n", "            nn.ReLU(),\n")
    shown = shown_lines(broken) or []
    assert shown[0] == "class Net(nn.Module):"
    mended = apply(broken, f"@L{shown.index('            nn.ReLU(),') + 1}+\n)\n@end")
    assert shown_lines(mended) == shown_lines(OWN)
    assert defined(mended) == ["class ConvBlock", "class Half", "class Quarter", "class Net"]
