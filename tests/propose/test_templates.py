import re

import pytest

from evoprompt.candidate import Parent, TaskShape
from evoprompt.errors import TemplateError
from evoprompt.grammar.seeds import seeds
from evoprompt.propose.templates import (
    Target,
    compared_to,
    lint,
    load_templates,
    percent,
    read_template,
    render,
    shown,
    size,
    template_folder,
)

TASK = TaskShape("mnist1d", (1, 40), 10)
SOURCES = seeds((1, 40), 10)
FRONT = "---\nname: mine\noperator: mutate\nparents: 1\nreply: edits\nweight: 1\n---\n"

GOLDEN_MUTATE = """\
L1class Net(nn.Module):
L2    def __init__(self, in_shape, num_classes):
L3        super().__init__()
L4        self.body = nn.Sequential(
L5            nn.LazyConv1d(25, 5, 2, 1),
L6            nn.ReLU(),
L7            nn.LazyConv1d(25, 3, 2, 1),
L8            nn.ReLU(),
L9            nn.LazyConv1d(25, 3, 2, 1),
L10            nn.ReLU(),
L11        )
L12        self.head = nn.Sequential(
L13            nn.Flatten(),
L14            nn.LazyLinear(num_classes),
L15        )
L16    def forward(self, x):
L17        return self.head(self.body(x))
# 1x40 acc 93 size 4k -> smaller, size 2k
# edit
"""

GOLDEN_CROSS = """\
L1class SequenceBlock(nn.Module):
L2    def __init__(self, inputs, hidden):
L3        super().__init__()
L4        self.cell = nn.GRU(inputs, hidden, batch_first=True, bidirectional=True)
L5    def forward(self, x):
L6        y = x.transpose(1, 2)
L7        return self.cell(y)[0].transpose(1, 2)
L8class Net(nn.Module):
L9    def __init__(self, in_shape, num_classes):
L10        super().__init__()
L11        self.body = nn.Sequential(
L12            SequenceBlock(in_shape[0], 6),
L13        )
L14        self.head = nn.Sequential(
L15            nn.Flatten(),
L16            nn.LazyLinear(num_classes),
L17        )
L18    def forward(self, x):
L19        return self.head(self.body(x))
# 1x40 acc 8 size 4k -> any
D1            nn.LazyConv1d(8, 3, 1, 1),
D2            nn.GELU(),
# edit
"""


def parent(name, accuracy=0.934, parameters=5210):
    found = shown(Parent("0" * 64, SOURCES[name], accuracy, parameters, 31750))
    assert found is not None
    return found


def written(tmp_path, text):
    path = tmp_path / "mine.md"
    path.write_text(text)
    return path


def test_the_mutation_prompt_is_this_text():
    template = load_templates()["mutate"]
    text = render(template, parents=[parent("reference_cnn")], task=TASK, target=Target(2100))
    assert text == GOLDEN_MUTATE


def test_the_crossover_prompt_is_this_text():
    template = load_templates()["cross"]
    donor = ["            nn.LazyConv1d(8, 3, 1, 1),", "            nn.GELU(),"]
    parents = [parent("gru", 0.08, 5134), parent("reference_cnn")]
    assert render(template, parents=parents, task=TASK, donor=donor) == GOLDEN_CROSS


def test_the_shipped_templates_are_complete():
    templates = load_templates()
    assert {"mutate", "cross"} <= set(templates)
    assert templates["cross"].parent_count == 2
    for template in templates.values():
        assert template.temperatures
        assert template.note
        assert re.fullmatch("[0-9a-f]{64}", template.hash)


def test_braces_of_inserted_code_survive(tmp_path):
    source = "class Net(nn.Module):\n    options = {'a': '{{ b }}', 'c': '{% if %}'}\n"
    path = written(tmp_path, FRONT + "{{ parents[0].source }}")
    seen = shown(Parent("0" * 64, source, 0.5, 100, 100))
    assert seen is not None
    assert render(read_template(path), parents=[seen], task=TASK) == source


def test_filters_round_as_the_model_was_taught():
    words = [compared_to(count, 1000) for count in (500, 720, 1000, 1400, 1500)]
    assert words == ["smaller", "same", "same", "same", "larger"]
    assert [percent(share) for share in (0.934, 0.0, 1.0)] == ["93", "0", "100"]
    assert [size(n) for n in (0, 300, 700, 5210, 90122, 2_500_000)] == [
        "1", "256", "512", "4k", "64k", "2m",
    ]  # fmt: skip


def test_a_parent_without_numbered_view_cannot_be_shown():
    assert shown(Parent("0" * 64, "class (", 0.5, 1, 1)) is None


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("no front matter", 1, "no front matter"),
        ("---\nname: [\n---\nx", 3, "not YAML"),
        ("---\njust text\n---\nx", 2, "no keys"),
        (FRONT.replace("weight: 1", "wieght: 1") + "x", 6, "Did you mean 'weight'?"),
        (FRONT.replace("operator: mutate\n", "") + "x", 1, "'operator' is missing"),
        (FRONT.replace("mutate", "breed") + "x", 3, "Expected mutate or cross"),
        (FRONT.replace("parents: 1", "parents: 3") + "x", 4, "Expected 1 or 2"),
        (FRONT.replace("edits", "prose") + "x", 5, "Expected edits or program"),
        (FRONT.replace("weight: 1", "weight: -1") + "x", 6, "0 or more"),
        (FRONT.replace("weight: 1", "temperature: [hot]") + "x", 6, "above 0 and up to 2"),
        (FRONT + "ok\n{% if task %}", 9, "Unexpected end of template"),
        (FRONT + "ok\n{{ parents[0] }", 9, "unexpected '}'"),
        (FRONT + "ok\n\n{{ parent_acuracy }}", 10, "unknown variable 'parent_acuracy'"),
        (FRONT + "{{ taks.name }}", 8, "Did you mean 'task"),
        (FRONT + "a\n{{ parents[0].acuracy }}", 9, "Did you mean 'accuracy'?"),
        (FRONT + "{{ target.size }}", 8, "Known: parameters"),
        (FRONT + "{% for p in parents %}\n{{ p.nunbered }}{% endfor %}", 9, "'numbered'"),
        (FRONT + "a\nb\n{{ parents[1].source }}", 10, "no element 1"),
        (FRONT + "a\n{{ task.name | percent }}", 9, "Correct the expression"),
        (FRONT + "{{ task.name | upcase }}", 8, "No filter named 'upcase'"),
        (FRONT + "a\n{{ task.name.__class__ }}", 9, "is unsafe"),
    ],
)
def test_a_faulty_template_is_named_with_file_line_and_remedy(tmp_path, text, line, what):
    path = written(tmp_path, text)
    with pytest.raises(TemplateError) as caught:
        lint(read_template(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: ")
    assert what in message
    assert "Expected" in message or "Known" in message


def test_two_files_of_one_name_are_refused(tmp_path):
    written(tmp_path, FRONT + "x").rename(tmp_path / "other.md")
    written(tmp_path, FRONT + "x")
    with pytest.raises(TemplateError, match=r"line 2: the name 'mine' is taken by"):
        load_templates(tmp_path)


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    with pytest.raises(TemplateError, match="no templates"):
        load_templates(tmp_path)
    with pytest.raises(TemplateError, match="no such folder"):
        template_folder(tmp_path / "nowhere")
