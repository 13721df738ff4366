"""Practice: what the grammar calls a good reply, and that good replies become likelier."""

from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoprompt.grammar.edits import END
from evoprompt.propose.builtin_batches import BRANCHES
from evoprompt.propose.builtin_corpus import Branch, Example, examples
from evoprompt.propose.builtin_practice import (
    PROMPTS,
    Practice,
    advantage_loss,
    is_good,
    weighted_row,
)
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


def test_replies_with_an_advantage_become_likelier_and_others_less_likely(tmp_path, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(save_tiny_model(tmp_path, tokenizer))
    prompt, good, bad = ([int(n) for n in torch.randint(5, 1000, (k,))] for k in (20, 6, 9))
    row = weighted_row(prompt, [good, bad], [0.5, -0.5])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = [chance(model, prompt, reply) for reply in (good, bad)]
    for _ in range(5):
        advantage_loss(model, [row]).backward()
        optimizer.step()
        optimizer.zero_grad()
    after = [chance(model, prompt, reply) for reply in (good, bad)]
    assert after[0] > before[0]
    assert after[1] < before[1]


@torch.no_grad()
def chance(model, prompt: list[int], reply: list[int]) -> float:
    """Mean log-probability of the reply's tokens."""
    logits = model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1]
    return -torch.nn.functional.cross_entropy(logits, torch.tensor(reply)).item()


def test_a_round_asks_the_corpus_and_counts_what_it_drew(tmp_path, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(save_tiny_model(tmp_path, tokenizer))
    practice = Practice(5, tokenizer)
    loss = practice.loss(model)
    assert loss.isfinite()
    assert practice.good < 0.2  # a random model
    assert practice.edits >= PROMPTS
