from dataclasses import replace

import pytest

from evoprompt.candidate import Reason, Rejected, Reply, Stage
from evoprompt.grammar.canonical import own_lines
from evoprompt.propose.reply import MAXIMUM_CHARACTERS, fenced_blocks, read_reply, without_thinking

PROGRAM = """import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, x):
        return self.head(x)
"""


def reply(text: str, is_finished: bool = True) -> Reply:
    return Reply(text, len(text.split()), is_finished)


@pytest.mark.parametrize(
    ("text", "is_finished", "reason"),
    [
        ("", True, Reason.NO_EDIT),
        ("  \n\n", True, Reason.NO_EDIT),
        ("", False, Reason.TRUNCATED),
        ("Sorry, I cannot help with that.", True, Reason.NO_EDIT),
        ("Это не программа, а письмо.", True, Reason.NO_EDIT),
        ("@L1\nclass Net(nn.Module):", False, Reason.TRUNCATED),
        ("@L99\n        x = 1\n@end", True, Reason.BAD_EDIT),
        ("@L4-L2\n        x = 1\n@end", True, Reason.BAD_EDIT),
        ("@L5\n        x = 1\n@L3\n        y = 1\n@end", True, Reason.BAD_EDIT),
        ("@L3+\nD1\n@end", True, Reason.BAD_EDIT),
        ("@L3+ D1\n@end", True, Reason.BAD_EDIT),
        ("@L3+\n" + "L1-L7\n" * 10_000 + "@end", True, Reason.BAD_EDIT),
        ("@L3+\n" + "f(\n" * 20_000 + "@end", True, Reason.BAD_EDIT),
        ("@Lx\n@end", True, Reason.BAD_EDIT),
        ("@L1\nclass Net(nn.Module):\n@end", True, Reason.UNCHANGED),
        ("@L1\n" * (2**20 // 4), True, Reason.TOO_LONG),
        ("<think>@L1\nnever closed", True, Reason.NO_EDIT),
    ],
)
def test_an_edit_that_cannot_be_read_is_counted(prompt, text, is_finished, reason):
    bare = replace(prompt, parent_source=PROGRAM)
    found = read_reply(bare, reply(text, is_finished))
    assert isinstance(found, Rejected)
    assert (found.stage, found.reason) == (Stage.PARSE, reason)
    assert len(found.detail) <= 500


@pytest.mark.parametrize(
    ("text", "is_finished", "reason"),
    [
        ("", True, Reason.NO_EDIT),
        ("I would rather talk about the weather.", True, Reason.NO_EDIT),
        ("```javascript\nconsole.log(1)\n```", True, Reason.NO_NET),
        ("import torch\n\ndef build():\n    return 1\n", True, Reason.NO_NET),
        ("```python\n" + PROGRAM[:80], False, Reason.TRUNCATED),
        (PROGRAM[:100], False, Reason.TRUNCATED),
        (f"```python\n{PROGRAM}```", True, Reason.UNCHANGED),
        ("x" * (MAXIMUM_CHARACTERS + 1), True, Reason.TOO_LONG),
    ],
)
def test_a_program_that_cannot_be_read_is_counted(program_prompt, text, is_finished, reason):
    bare = replace(program_prompt, parent_source=PROGRAM)
    found = read_reply(bare, reply(text, is_finished))
    assert isinstance(found, Rejected)
    assert (found.stage, found.reason) == (Stage.PARSE, reason)


def test_an_edit_changes_only_its_lines(prompt):
    bare = replace(prompt, parent_source=PROGRAM)
    found = read_reply(bare, reply("@L5-L6\n    def forward(self, x):\n        return x\n@end"))
    assert not isinstance(found, Rejected)
    lines = own_lines(found[0])
    assert lines is not None
    assert lines[-1] == "        return x"
    assert lines[:4] == (own_lines(PROGRAM) or [])[:4]
    assert found[1] == ()


def test_a_known_block_that_is_used_but_not_defined_is_added_and_noted(prompt):
    bare = replace(prompt, parent_source=PROGRAM)
    text = "@L4\n        self.head = nn.Sequential(ConvBlock(8, 3, 1), nn.Flatten())\n@end"
    found = read_reply(bare, reply(text))
    assert not isinstance(found, Rejected)
    assert "class ConvBlock(nn.Module):" in found[0]
    assert found[1] == ("added ConvBlock",)


def test_donor_lines_are_taken_by_reference(prompt):
    bare = replace(prompt, parent_source=PROGRAM, donor=("        self.extra = nn.Identity()",))
    found = read_reply(bare, reply("@L4+\nD1\n@end"))
    assert not isinstance(found, Rejected)
    assert "self.extra = nn.Identity()" in found[0]


def test_an_edit_in_a_code_fence_behind_reasoning_is_read(prompt):
    bare = replace(prompt, parent_source=PROGRAM)
    text = "<think>hm, @L3</think>Here you are:\n```\n@L6\n        return x\n@end\n```\nEnjoy!"
    found = read_reply(bare, reply(text))
    assert not isinstance(found, Rejected)
    assert "return x\n" in found[0]


@pytest.mark.parametrize(
    "text",
    [
        PROGRAM.replace("Flatten()", "Flatten(1)"),
        "```python\n" + PROGRAM.replace("Flatten()", "Flatten(1)") + "```\nThat was it.",
        "<think>class Net: no</think>\n```\n" + PROGRAM.replace("Flatten()", "Flatten(1)") + "```",
        "```\nprint(1)\n```\n```py\n" + PROGRAM.replace("Flatten()", "Flatten(1)") + "```",
    ],
)
def test_a_program_is_found_in_what_chat_models_write(program_prompt, text):
    found = read_reply(replace(program_prompt, parent_source=PROGRAM), reply(text))
    assert not isinstance(found, Rejected)
    assert "Flatten(1)" in found[0]
    assert "```" not in found[0]
    assert "That was it" not in found[0]


def test_an_indentation_that_is_left_out_is_put_back(prompt):
    text = "@L5+\nResidual(\nConvBlock(8, 3, 1),\n),\n@end"
    found = read_reply(prompt, reply(text))
    assert not isinstance(found, Rejected)
    assert (
        "            Residual(\n                ConvBlock(8, 3, 1),\n            ),\n" in found[0]
    )
    assert set(found[1]) == {f"added {name}" for name in ("Residual", "match", "resize")} | {
        f"added {name}" for name in ("ConvBlock",) if "class ConvBlock" not in prompt.parent_source
    }


@pytest.mark.parametrize("reply_format", ["edits", "program"])
def test_what_is_added_is_for_the_tasks_dimensions(prompt, reply_format):
    given = replace(prompt, parent_source=PROGRAM, in_shape=(3, 32, 32), reply_format=reply_format)
    changed = PROGRAM.replace("nn.Flatten()", "ConvBlock(8, 3, 1), nn.Flatten()")
    edits = "@L4\n        self.head = nn.Sequential(ConvBlock(8, 3, 1), nn.Flatten())\n@end"
    found = read_reply(given, reply(changed if reply_format == "program" else edits))
    assert not isinstance(found, Rejected)
    assert "nn.LazyConv2d" in found[0]
    assert found[1] == ("added ConvBlock",)


def test_a_reply_that_an_engine_refused_stays_refused(prompt):
    refused = Rejected(Stage.PARSE, Reason.NO_REPLY, "status 500")
    assert read_reply(prompt, Reply("", 0, True, refusal=refused)) == refused


def test_the_last_fence_may_be_open():
    assert fenced_blocks("a\n```py\nb\n```\nc\n```\nd") == [("b\n", True), ("d\n", False)]


def test_thinking_that_the_template_opened_is_dropped():
    assert without_thinking("so I think\n</think>\n@L1") == "\n@L1"
