import pytest

from evoprompt.candidate import Parent, Reason, Stage, TaskShape, rejected
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.view import numbered
from evoprompt.propose.repairing import (
    Broken,
    can_be_mended,
    complaint,
    make_repair_prompt,
    shown_line,
)
from evoprompt.propose.templates import load_templates

TASK = TaskShape("mnist1d", (1, 40), 10)
SOURCES = seeds((1, 40), 10)
PARENT = Parent("a" * 64, SOURCES["reference_cnn"], 0.9, 5210, 31750)


def broken(source, why, parents=("a" * 64,)):
    return Broken(source, why, parents, "4k", "width")


def prompt_of(source, reason, detail, stage=Stage.FORWARD):
    why = rejected(stage, reason, detail)
    return make_repair_prompt(load_templates()["repair"], broken(source, why), PARENT, TASK)


def number_of(source, text):
    """Numbers of the view's lines that read so."""
    view = numbered(source) or ""
    return [n for n, line in enumerate(view.splitlines(), 1) if line.endswith(text)]


def line_of(source, text, which=0):
    """Line of the source that reads so."""
    lines = [n for n, line in enumerate(source.splitlines(), 1) if line.strip() == text]
    return lines[which]


@pytest.mark.parametrize(
    ("detail", "line", "message"),
    [
        ("line 14: `x = f(y)`: NameError: name 'f'", 14, "NameError: name 'f'"),
        ("line 3: `a`: `b`: odd", 3, "`b`: odd"),
        ("line 3: a null byte", 3, "a null byte"),
        ("1971520 macs, at most 1500000", None, "1971520 macs, at most 1500000"),
        ("", None, ""),
    ],
)
def test_the_screens_message_is_taken_apart(detail, line, message):
    assert complaint(detail) == (line, message)


def test_a_line_of_the_source_is_found_in_the_numbered_view():
    source = SOURCES["reference_cnn"]
    for which, number in enumerate(number_of(source, "nn.ReLU(),")):
        assert shown_line(source, line_of(source, "nn.ReLU(),", which)) == number
    commented = source.replace("nn.ReLU(),", "nn.ReLU(),  # sharp", 1)
    line = line_of(commented, "nn.ReLU(),  # sharp")
    assert shown_line(commented, line) == number_of(source, "nn.ReLU(),")[0]


def test_lines_that_are_not_shown_have_no_number():
    source = next(text for text in SOURCES.values() if "class ConvBlock" in text)
    assert shown_line(source, line_of(source, "import torch")) is None
    hidden = "self.norm" if "self.norm = " in source else "return"
    line = next(n for n, t in enumerate(source.splitlines(), 1) if t.strip().startswith(hidden))
    assert shown_line(source, line) is None
    for nowhere in (None, 0, 10_000):
        assert shown_line(source, nowhere) is None


def test_a_failure_inside_a_hidden_layer_points_at_forward():
    source = next(text for text in SOURCES.values() if "class ConvBlock" in text)
    hidden = line_of(source, "return self.activation(self.norm(self.conv(x)))")
    prompt = prompt_of(source, Reason.FORWARD_ERROR, f"line {hidden}: `y`: RuntimeError: no")
    last = len(numbered(source).splitlines())
    assert f"rejected forward_error L{last}" in prompt.text
    prompt = prompt_of(source, Reason.WRONG_OUTPUT, "returned float32 of shape (2, 320)")
    assert "rejected wrong_output\n" in prompt.text


def test_the_prompt_shows_the_broken_program_and_keeps_the_parents():
    source = SOURCES["reference_cnn"].replace("nn.ReLU(),", "nn.ReLU()", 1)
    line = line_of(source, "nn.ReLU()")
    prompt = prompt_of(source, Reason.SYNTAX, f"line {line}: `nn.ReLU()`: no", Stage.PARSE)
    assert prompt.text.startswith(numbered(source))
    assert f"rejected syntax L{number_of(source, 'nn.ReLU()')[0]}" in prompt.text
    assert (prompt.operator, prompt.template) == ("repair", "repair")
    assert prompt.parent_source == source
    assert prompt.parents == ("a" * 64,)
    assert (prompt.target, prompt.part, prompt.in_shape) == ("4k", "width", (1, 40))


def test_a_program_too_long_to_be_shown_gives_no_prompt():
    assert prompt_of("class Net:\n" + "    x = 1\n" * 200, Reason.BUILD_ERROR, "no") is None


@pytest.mark.parametrize("reason", list(Reason))
def test_what_leaves_no_program_or_hangs_on_a_clock_is_not_mended(reason):
    mended = can_be_mended(rejected(Stage.FORWARD, reason))
    left = {"no_edit", "bad_edit", "truncated", "unchanged", "too_long", "prompt_too_long",
            "no_reply", "time_limit"}  # fmt: skip
    assert mended == (reason not in left)
