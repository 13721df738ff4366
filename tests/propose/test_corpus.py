"""The corpus of the built-in model: prompts as a search sends them, replies that do what they say,
and the tokenizer and batches that are made of it.
"""

import re
from collections import Counter
from itertools import islice
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM

from evoprompt.candidate import Reason
from evoprompt.grammar.canonical import own_lines, source_of
from evoprompt.grammar.edits import END, apply
from evoprompt.grammar.shapes import parameter_count, totals
from evoprompt.grammar.spec import parse
from evoprompt.grammar.variation import ANY, BOUNDS, DIRECTIONS, PARTS
from evoprompt.grammar.view import number_lines
from evoprompt.propose.builtin_batches import PARENT, REPLY, batches
from evoprompt.propose.builtin_corpus import (
    LONGEST_REPLY,
    OPERATORS,
    REPAIR_SHARE,
    Branch,
    Example,
    corpus_templates,
    example,
    examples,
)
from evoprompt.propose.builtin_optimizer import orthogonalised
from evoprompt.propose.builtin_training import loss_of
from evoprompt.propose.shown import size
from evoprompt.screen.rules import Prepared, prepare
from tests.grammar.programs import run


@pytest.fixture(scope="module")
def drawn() -> list[Example]:
    return list(islice(examples(5, 6), 150))


@pytest.fixture(scope="module")
def branches(drawn) -> list[tuple[Example, Branch]]:
    return [(each, branch) for each in drawn for branch in each.branches]


def dimensions(each: Example) -> int:
    return max(1, len(each.task.in_shape) - 1)


def source(each: Example, lines: tuple[str, ...]) -> str:
    return source_of(list(lines), dimensions=dimensions(each))


def last_line(branch: Branch) -> str:
    return branch.prompt_end.splitlines()[-1]


def test_the_corpus_is_the_same_for_the_same_seed():
    assert list(islice(examples(4, 3), 5)) == list(islice(examples(4, 3), 5))
    assert list(islice(examples(4, 3), 5)) != list(islice(examples(5, 3), 5))


def test_a_reply_makes_the_child_out_of_its_parent(branches):
    for each, branch in branches:
        parent = source(each, each.lines)
        child = apply(parent, branch.reply, branch.donor, dimensions(each))
        assert own_lines(child) == list(branch.child)
        assert branch.reply.endswith(f"\n{END}")
        assert len(branch.reply.splitlines()) <= LONGEST_REPLY + 1
        assert isinstance(prepare(child), Prepared)


def test_a_child_runs(branches):
    rng = Random(1)
    own = [(each, branch) for each, branch in branches if not each.names]
    for each, branch in rng.sample(own, 40):
        assert run(source(each, branch.child), each.task.in_shape) > 0


def test_a_prompt_shows_the_parent_first_and_asks_last(drawn, branches):
    for each in drawn:
        assert each.parent_view == number_lines(each.lines)
    for each, branch in branches:
        shape = "x".join(map(str, each.task.in_shape))
        assert branch.prompt_end.startswith(f"# {shape} ")
        assert last_line(branch).startswith(f"# {branch.operator}")
        shown = re.findall(r"^D\d+(.*)$", branch.prompt_end, re.M)
        assert shown == list(branch.donor)
        assert bool(shown) == (branch.operator == "cross")


def test_every_operator_and_every_part_is_asked_for(branches):
    operators = Counter(branch.operator for _, branch in branches)
    assert set(operators) == {*OPERATORS, "repair"}
    parts = {last_line(b).split()[2] for _, b in branches if b.operator == "mutate"}
    assert parts == {ANY, *PARTS}


def test_a_size_that_is_asked_for_is_that_of_the_child(branches):
    named = 0
    for each, branch in branches:
        spec = parse(source(each, branch.child), each.task.in_shape, 10)
        asked = re.search(r" size (\w+)", last_line(branch))
        if spec is None or asked is None:
            continue
        named += 1
        assert asked[1] == size(parameter_count(spec))
        if branch.operator == "explore":
            assert last_line(branch).endswith(f" macs {size(totals(spec).macs)}")
    assert named > 0.4 * len(branches)


def test_children_shrink_and_grow_where_they_are_asked_to(branches):
    seen = Counter()
    for each, branch in branches:
        if branch.operator not in ("shrink", "grow"):
            continue
        parent = parse(source(each, each.lines), each.task.in_shape, 10)
        child = parse(source(each, branch.child), each.task.in_shape, 10)
        if parent is not None and child is not None:
            low, high = BOUNDS[DIRECTIONS[branch.operator]]
            assert low <= parameter_count(child) / parameter_count(parent) <= high
            seen[branch.operator] += parameter_count(child) != parameter_count(parent)
    assert min(seen.values()) > 20


def test_a_crossover_takes_lines_by_their_numbers(branches):
    crossed = [(each, branch) for each, branch in branches if branch.operator == "cross"]
    assert len(crossed) > 20
    for _, branch in crossed:
        numbers = [int(n) for n in re.findall(r"^D(\d+)", branch.reply, re.M)]
        assert numbers
        assert max(numbers) <= len(branch.donor)


def test_broken_programs_come_with_their_reason_and_what_mends_them(drawn):
    broken = [each for each in drawn if each.branches and each.branches[0].operator == "repair"]
    assert abs(len(broken) / len(drawn) - REPAIR_SHARE) < 0.1
    reasons = set()
    for each in broken:
        (branch,) = each.branches
        said = re.match(r"# \S+ rejected (\w+)(?: L(\d+))?\n# repair\n$", branch.prompt_end)
        assert said is not None
        reasons.add(said[1])
        assert said[2] is None or 1 <= int(said[2]) <= len(each.lines)
        assert parse(source(each, branch.child), each.task.in_shape, 10) is not None
    assert reasons <= set(Reason)
    assert len(reasons) >= 4


def test_some_parents_have_layers_that_the_grammar_does_not_know(drawn):
    plain = [each for each in drawn if not each.is_broken]
    foreign = [each for each in plain if each.names]
    assert 0.05 < len(foreign) / len(plain) < 0.3
    for each in foreign:
        text = source(each, each.lines)
        assert parse(text, each.task.in_shape, 10) is None


def test_exercises_ask_for_lines_and_their_numbers(drawn):
    asked = 0
    for each in drawn:
        for question, answer in each.exercises:
            number = re.match(r"# read L(\d+)\n$", question)
            if number:
                assert answer == f"{each.lines[int(number[1]) - 1].strip()}\n{END}"
            else:
                text, (place,) = question.splitlines()[1], re.findall(r"^@L(\d+)\n", answer)
                assert each.lines[int(place) - 1].strip() == text
            asked += 1
    assert asked == 2 * sum(1 for each in drawn if not each.is_broken)


def test_the_templates_of_the_corpus_are_the_shipped_ones():
    assert set(corpus_templates()) == {*OPERATORS, "repair"}
    made = example(Random(3), corpus_templates(), 3)
    assert made == example(Random(3), corpus_templates(), 3)


def test_the_tokenizer_gives_every_text_back(tokenizer, branches):
    for each, branch in branches[:60]:
        text = each.parent_view + branch.prompt_end + branch.reply
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    foreign = "L1class Nët(nn.Module):\n\tself.L2 = {'a': 3.5}\n"
    assert tokenizer.decode(tokenizer(foreign)["input_ids"], skip_special_tokens=True) == foreign


def test_line_numbers_and_marks_are_single_tokens(tokenizer):
    assert len(tokenizer) == 1024
    for text in ("L1", "L99", "D1", "D60", "@", END):
        assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 1


def test_prompt_and_reply_are_tokenized_apart_as_together(tokenizer, branches):
    for each, branch in branches[:20]:
        prompt = each.parent_view + branch.prompt_end
        apart = tokenizer(prompt)["input_ids"]
        apart += tokenizer(branch.reply, add_special_tokens=False)["input_ids"]
        assert tokenizer(prompt + branch.reply)["input_ids"] == apart


def test_a_branch_sees_its_parent_and_itself_only(tokenizer):
    batch = next(batches(1, tokenizer, 600))
    mask_TS, branch_T = batch.mask_B1TS[0, 0], batch.branch_BT[0]
    for query, key in ((q, k) for q in range(0, len(branch_T), 7) for k in range(len(branch_T))):
        related = branch_T[key] in (0, branch_T[query])
        assert mask_TS[query, key] == (key <= query and related)
    first = int((branch_T == 1).nonzero()[0])
    assert batch.positions_BT[0, first] == first
    assert REPLY in batch.role_BT[0].tolist()


def test_the_language_of_broken_and_foreign_parents_is_not_learned(tokenizer):
    is_learned = Counter()
    for batch in islice(batches(2, tokenizer, 1500), 20):
        for tokens, roles in zip(batch.tokens_BT.tolist(), batch.role_BT.tolist(), strict=True):
            text = tokenizer.decode(tokens)
            is_foreign = "# repair" in text or re.search(r"Part\d\(|Features\(", text)
            is_learned[bool(is_foreign), PARENT in roles] += 1
    assert is_learned[True, False] > 10
    assert is_learned[True, True] == 0
    assert is_learned[False, True] > 10


def test_a_batch_of_broken_parents_has_a_loss(tokenizer, tiny_model):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    found = (b for b in batches(2, tokenizer, 400) if PARENT not in b.role_BT)
    loss, edit_loss = loss_of(model, next(found), 0.3)
    assert loss.isfinite()
    assert loss == edit_loss
    whole = (b for b in batches(2, tokenizer, 400) if PARENT in b.role_BT)
    loss, edit_loss = loss_of(model, next(whole), 0.3)
    assert loss > edit_loss


def test_muon_makes_singular_values_nearly_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(16, 40)))
    assert values.min() > 0.5
    assert values.max() < 1.5
