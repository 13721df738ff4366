"""Programs broken on purpose: the real screen rejects them for the reason that they name."""

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from evoprompt.candidate import Reason, Rejected, TaskShape
from evoprompt.config import ScreenSettings
from evoprompt.grammar.breakage import FAULTS, Broken, breakage, syntax_line
from evoprompt.grammar.canonical import source_of
from evoprompt.grammar.edits import END, apply, derive
from evoprompt.grammar.spec import render, spec_lines
from evoprompt.grammar.view import shown_lines
from evoprompt.screen import Screener
from tests.grammar.programs import SHAPES, random_program

COUNT = 120


def source(broken: Broken, dimensions: int) -> str:
    return source_of(list(broken.lines), dimensions=dimensions)


@pytest.fixture(params=[(1, 40), (1, 8, 8)], ids=["signals", "images"])
def screener(request, tmp_path) -> Iterator[Screener]:
    settings = ScreenSettings(workers=1, seconds_limit=60.0, cpu_seconds=30)
    it = Screener(settings, TaskShape("test", request.param, 10), tmp_path)
    yield it
    it.close()


def test_the_screen_rejects_them_for_their_reason(screener):
    rng, shape = Random(2), screener.shape.in_shape
    broken = [breakage(random_program(rng, shape), rng) for _ in range(COUNT)]
    answers = screener.screen_all([source(each, max(1, len(shape) - 1)) for each in broken])
    found = Counter(
        (each.reason, answer.reason.value if isinstance(answer, Rejected) else "valid")
        for each, answer in zip(broken, answers, strict=True)
    )
    agreed = sum(count for (ours, theirs), count in found.items() if ours == theirs)
    assert agreed >= 0.95 * COUNT, found


def test_every_fault_occurs_and_its_reason_is_known():
    rng = Random(0)
    reasons = Counter(
        breakage(random_program(rng, SHAPES[number % len(SHAPES)]), rng).reason
        for number in range(600)
    )
    assert set(reasons) == {reason for _, reason in FAULTS}
    assert set(reasons) <= set(Reason)


def test_the_view_of_a_broken_program_is_what_is_shown_and_its_edit_mends_it():
    rng, short = Random(1), 0
    for number in range(300):
        spec = random_program(rng, SHAPES[number % len(SHAPES)])
        broken = breakage(spec, rng)
        text = source(broken, spec.dimensions)
        assert shown_lines(text) == list(broken.lines)
        script = derive(list(broken.lines), spec_lines(spec))
        short += len(script) <= 3
        assert apply(text, "\n".join([*script, END]), (), spec.dimensions) == render(spec)
    assert short > 0.95 * 300  # what mends is as short as the fault


def test_a_broken_program_names_a_line_that_it_has():
    rng = Random(3)
    for number in range(300):
        broken = breakage(random_program(rng, SHAPES[number % len(SHAPES)]), rng)
        assert broken.line is None or 1 <= broken.line <= len(broken.lines)
        assert (broken.reason == "syntax") == (syntax_line(list(broken.lines)) is not None)
        if broken.reason in ("syntax", "build_error"):
            assert broken.line is not None
