import json
from itertools import islice
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evoprompt.candidate import Parent, TaskShape
from evoprompt.grammar.edits import END, apply, donor_lines
from evoprompt.grammar.seeds import seeds
from evoprompt.propose.builtin_corpus import examples
from evoprompt.propose.builtin_optimizer import orthogonalised
from evoprompt.propose.builtin_tokenizer import train_tokenizer
from evoprompt.propose.builtin_training import REPLY, Settings, batches, load, train
from evoprompt.propose.model_files import BUILTIN
from evoprompt.propose.templates import Target, load_templates, render, shown

TASK = TaskShape("mnist1d", (1, 40), 10)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(BUILTIN)


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(BUILTIN, dtype=torch.float32).eval()


def prompt_for(name, operator="mutate", parameters=None, donor=()):
    parent = shown(Parent("0" * 64, seeds((1, 40), 10)[name], 0.9, 5000, 30000))
    assert parent is not None
    template = load_templates()[operator]
    target = Target(parameters)
    return render(template, parents=[parent, parent], task=TASK, target=target, donor=donor)


def test_the_corpus_is_the_same_for_the_same_seed():
    assert list(islice(examples(4, 3), 5)) == list(islice(examples(4, 3), 5))


def test_corpus_replies_are_edits_of_their_parents():
    for example in islice(examples(5, 4), 20):
        for branch in example.branches:
            assert apply(example.source, branch.reply, branch.donor) != example.source


def test_the_tokenizer_gives_every_text_back(tokenizer):
    for example in islice(examples(6, 3), 30):
        for branch in example.branches:
            text = example.parent_view + branch.prompt_end + branch.reply
            ids = tokenizer(text)["input_ids"]
            assert ids[0] == tokenizer.bos_token_id
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
    foreign = "L1class Nët(nn.Module):\n\tself.L2 = {'a': 3.5}\n"
    assert tokenizer.decode(tokenizer(foreign)["input_ids"], skip_special_tokens=True) == foreign


def test_line_numbers_and_marks_are_single_tokens(tokenizer):
    for text in ("L1", "L99", "D1", "D60", "@", END):
        assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 1


def test_prompt_and_reply_are_tokenized_apart_as_together(tokenizer):
    example = next(examples(7, 1))
    branch = example.branches[0]
    prompt = example.parent_view + branch.prompt_end
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


def test_muon_makes_singular_values_nearly_one():
    values = torch.linalg.svdvals(orthogonalised(torch.randn(16, 40)))
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_the_shipped_model_is_small_and_no_pickle():
    files = {path.name: path.stat().st_size for path in BUILTIN.iterdir()}
    assert sum(files.values()) < 8_000_000
    assert all(name.endswith((".safetensors", ".json")) for name in files)
    assert json.loads((BUILTIN / "config.json").read_text())["model_type"] == "llama"


@pytest.mark.parametrize("operator", ["mutate", "cross"])
def test_greedy_decoding_writes_an_edit(model, tokenizer, operator):
    source = seeds((1, 40), 10)["reference_cnn"]
    donor = donor_lines(seeds((1, 40), 10)["dilated_cnn"], Random(1)) if operator == "cross" else []
    ids = tokenizer(prompt_for("reference_cnn", operator, 2500, donor), return_tensors="pt")
    out = model.generate(**ids, do_sample=False, max_new_tokens=160)
    reply = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    assert apply(source, reply, donor) != source


@pytest.mark.slow
def test_training_goes_on_from_its_checkpoint(tmp_path):
    first = train(Settings(0.02, tmp_path, 0, "muon", 4e-3, 600))
    second = train(Settings(0.04, tmp_path, 0, "muon", 4e-3, 600))
    assert second.step > first.step
    model, tokenizer = load(tmp_path)
    assert len(tokenizer) == model.config.vocab_size == 1024


def test_a_tokenizer_is_learned_from_few_examples():
    learned = train_tokenizer(examples(1, 2), count=20)
    text = "@L4-L6\n            ConvBlock(8, 3, 1),\n@end"
    assert learned.decode(learned(text)["input_ids"], skip_special_tokens=True) == text
