import re
from pathlib import Path

import pytest

from evoprompt.candidate import Parent, Prompt, Reply
from evoprompt.errors import TemplateError
from evoprompt.propose.chat import chat_messages
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import (
    OPERATORS,
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
from tests.propose.golden_prompts import (
    CASES,
    FOLDERS,
    GOLDEN,
    SOURCES,
    TASK,
    TEMPLATES,
    example_parent,
    prompt_text,
)

FRONT = "---\nname: mine\noperator: mutate\nparents: 1\nreply: edits\nweight: 1\n---\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.md"
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", CASES)
def test_a_shipped_template_is_filled_in_as_it_was(case):
    assert prompt_text(case) == (GOLDEN / f"{case.replace('/', '_')}.txt").read_text()


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_shipped_templates_are_complete(folder):
    templates = {each.name: each for each in load_templates(FOLDERS[folder]).values()}
    assert {template.operator for template in templates.values()} == set(OPERATORS)
    assert templates["cross"].parent_count == 2
    for template in templates.values():
        assert template.reply == ("edits" if folder == "edits" else "program")
        assert template.temperatures
        assert template.note
        assert re.fullmatch("[0-9a-f]{64}", template.hash)
        assert (template.max_tokens or 0) > 1000 or folder == "edits"


def test_without_target_and_part_a_template_says_nothing_of_them():
    for case, template in TEMPLATES.items():
        if template.operator == "repair":
            continue
        parents = [example_parent("reference_cnn"), example_parent("gru")]
        text = render(template, parents=parents, task=TASK)
        assert "None" not in text, case
        question = text.split("```")[-1] if case.startswith("chat") else text.splitlines()[-1]
        assert "about" not in question, case
        assert "size" not in question, case


def test_chat_templates_say_the_same_contract_and_open_two_sections():
    texts = [prompt_text(case) for case in CASES if case.startswith("chat/")]
    assert len(texts) == 6
    assert len({text.split("## user\n")[0] for text in texts}) == 1
    for text in texts:
        system, user = chat_messages(text)
        assert (system["role"], user["role"]) == ("system", "user")
        for said in ("called Net", "in_shape, num_classes", "torch.nn.functional", "code block"):
            assert said in system["content"]
        assert SOURCES["reference_cnn"] in user["content"]


def test_the_program_that_a_chat_template_shows_is_read_as_a_reply():
    text = prompt_text("chat/mutate")
    source = text.split("```python\n")[1].split("```")[0]
    prompt = Prompt("", "mutate", "", "mutate", ("0",), "", reply_format="program")
    answer = Reply(f"Here it is:\n```python\n{source}```\n", 100, True)
    assert read_reply(prompt, answer) == (SOURCES["reference_cnn"], ())


def test_the_folder_fits_the_model(tmp_path, tiny_model):
    assert template_folder().name == "prompts"
    assert template_folder(model="Qwen/Qwen2.5-Coder-7B-Instruct") == template_folder() / "chat"
    assert template_folder(model=str(tmp_path)) == template_folder() / "chat"
    assert template_folder(model=str(tiny_model)) == template_folder()  # with our tokenizer
    assert template_folder(tmp_path, "builtin") == tmp_path


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
    assert shown(Parent("0" * 64, "x = 1\n" * 100, 0.5, 1, 1)) is None


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
        (FRONT.replace("weight: 1", "max_tokens: 0") + "x", 6, "Expected 1 or more"),
        (FRONT.replace("weight: 1", "max_tokens: many") + "x", 6, "Expected 1 or more"),
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
