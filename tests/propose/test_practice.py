"""Practice: what the grammar calls a good reply, and that good replies become likelier."""

from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoprompt.grammar.edits import END
from evoprompt.propose.builtin_batches import BRANCHES
from evoprompt.propose.builtin_corpus import Branch, Example, examples
from evoprompt.propose.builtin_practice import Practice, is_good
from tests.propose.conftest import save_tiny_model


@pytest.fixture(scope="module")
def known() -> list[tuple[Example, Branch]]:
    """Branches of examples whose layers the grammar knows."""
    drawn = [each for each in islice(examples(31, BRANCHES), 80) if not each.names]
    return [(each, branch) for each in drawn for branch in each.branches]


def test_the_replies_of_the_corpus_are_good(known):
    bad = [branch.operator for each, branch in known if not is_good(each, branch, branch.reply)]
    # A layer may stand in both parents of a crossover.
    assert bad.count("cross") == len(bad) <= 0.03 * len(known)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I would make it wider.",
        f"@L99\n@end{END}",
        "@L5\nnn.GELU(),",
        f"@L5\nnn.Gelu(),\n{END}",
    ],
)
def test_a_reply_that_is_no_program_of_the_grammar_is_bad(known, reply):
    assert not any(is_good(each, branch, reply) for each, branch in known[:40])


def test_a_layer_that_cannot_be_built_is_bad(known):
    each, branch = next(pair for pair in known if pair[0].task.in_shape == (1, 40))
    reply = f"@L4+\nGroupedBlock(0, 8, 3, 0),\n{END}"
    assert not is_good(each, branch, reply)


def test_a_child_of_the_wrong_size_is_bad(known):
    sizes = [pair for pair in known if pair[1].operator in ("shrink", "grow")]
    swapped = {"shrink": "grow", "grow": "shrink"}
    for each, branch in sizes:
        other = Branch(swapped[branch.operator], "", branch.reply, (), branch.child)
        assert not is_good(each, other, branch.reply)


def test_a_crossover_of_one_parent_only_is_bad(known):
    each, branch = next(pair for pair in known if pair[1].operator == "cross")
    assert not is_good(each, branch, f"@L4+\nnn.Dropout(0.2),\n{END}")


def test_a_round_moves_the_model_and_counts_what_it_drew(tmp_path, tokenizer, monkeypatch):
    def even_ones(example: Example, branch: Branch, reply: str) -> bool:
        return ord(reply[0]) % 2 == 0

    monkeypatch.setattr("evoprompt.propose.builtin_practice.is_good", even_ones)
    model = AutoModelForCausalLM.from_pretrained(save_tiny_model(tmp_path, tokenizer))
    practice = Practice(5, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    practice.loss(model).backward()
    before, drawn = practice.good, practice.edits
    for _ in range(12):
        optimizer.step()
        optimizer.zero_grad()
        practice.loss(model).backward()
    assert practice.good > before
    assert practice.edits > drawn > 0
