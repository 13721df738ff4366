import json
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config
from transformers import Qwen2ForCausalLM as Qwen2

from evoprompt.config import LearnSettings
from evoprompt.errors import ModelError, StorageError
from evoprompt.learn.lessons import Lessons, Pair, batches, hold_out, replay_batches
from evoprompt.learn.likelihood import Row, can_pack, reply_log_probabilities, split
from evoprompt.learn.pairs import Preference
from evoprompt.learn.proposer import tune

SETTINGS = LearnSettings(steps=25, batch_size=8, learning_rate=1e-3, rank=8)
SOFT = replace(SETTINGS, method="soft_prompt", soft_learning_rate=0.1)
SFT = replace(SETTINGS, method="sft")
WORDS = ["up", "down", "left", "red", "green", "blue", "small", "one", "two", "three", "four"]


@dataclass(frozen=True)
class ToyBase:
    """Words as tokens; 1 begins a prompt, 2 ends a reply."""

    folder: Path
    fingerprint: str = "toy"

    def encode_prompt(self, text: str) -> list[int]:
        return [1, *(3 + WORDS.index(word) for word in text.split())]

    def encode_reply(self, text: str) -> list[int]:
        return [*(3 + WORDS.index(word) for word in text.split()), 2]


def tiny_llama(hidden=32):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=24,
            hidden_size=hidden,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.2,
        )
    ).eval()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_llama().save_pretrained(folder)
    return ToyBase(folder)


@pytest.fixture(scope="module")
def examples():
    """Twenty pairs: good replies hold "green", bad ones "red"."""
    rng = Random(0)
    made = []
    for _ in range(20):
        prompt = " ".join(rng.choices(WORDS, k=rng.randint(3, 8)))
        made.append(Preference(prompt, f"{rng.choice(WORDS)} green", f"red {rng.choice(WORDS)}"))
    return Lessons(made)


def log_probabilities(model, base, examples, side):
    rows = [
        Row(tuple(base.encode_prompt(e.prompt_text)), (tuple(base.encode_reply(getattr(e, side))),))
        for e in examples
    ]
    with torch.no_grad():
        return reply_log_probabilities(model, rows)


def test_replies_in_one_row_have_the_probabilities_of_replies_on_their_own():
    rng = Random(1)
    rows = [
        Row(
            tuple(rng.choices(range(3, 20), k=rng.randint(2, 9))),
            tuple(tuple(rng.choices(range(3, 20), k=rng.randint(1, 6))) for _ in range(count)),
        )
        for count in (1, 3, 4)
    ]
    qwen = Qwen2(
        Qwen2Config(
            vocab_size=24,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    ).eval()
    for model in (tiny_llama(), qwen):
        assert can_pack(model.config)
        with torch.no_grad():
            packed = reply_log_probabilities(model, rows)
            for row, value in zip(split(rows), packed, strict=True):
                tokens = torch.tensor([[*row.prompt, *row.replies[0]]])
                logs = model(tokens).logits.log_softmax(-1)[0]
                start = len(row.prompt)
                own = sum(logs[start + i - 1, t] for i, t in enumerate(row.replies[0]))
                assert value.item() == pytest.approx(float(own), abs=1e-3)


def test_models_that_cannot_share_a_row_get_one_reply_per_row():
    model = tiny_llama()
    rows = [Row((4, 5, 6), ((7, 8), (9, 10, 11))), Row((4, 5), ((7,),))]
    with torch.no_grad():
        packed = reply_log_probabilities(model, rows)
        model.config.model_type = "other"
        assert not can_pack(model.config)
        assert torch.allclose(reply_log_probabilities(model, rows), packed, atol=1e-4)
    sliding = Qwen2Config(layer_types=["sliding_attention"], num_hidden_layers=1)
    assert not can_pack(sliding)


def test_tuning_learns_which_replies_are_better(base, examples, tmp_path):
    report = tune(base, examples, SETTINGS, 3, tmp_path / "v001", threads=1)
    assert report.pairs + report.held_out == 20
    assert report.held_out >= 2
    assert report.first_loss == pytest.approx(0.6931, abs=1e-3)
    assert report.last_loss < report.first_loss - 0.05
    assert report.held_out_loss is not None
    assert report.held_out_loss < 0.6931
    assert report.preference_accuracy == 1.0
    model = AutoModelForCausalLM.from_pretrained(base.folder)
    before = log_probabilities(model, base, examples.preferences, "better_text")
    worse_before = log_probabilities(model, base, examples.preferences, "worse_text")
    tuned = PeftModel.from_pretrained(model, str(tmp_path / "v001"))
    after = log_probabilities(tuned, base, examples.preferences, "better_text")
    assert after.mean() > before.mean()
    gain = after - before
    loss = log_probabilities(tuned, base, examples.preferences, "worse_text") - worse_before
    assert (gain > loss).float().mean() > 0.9


def test_the_same_tuning_gives_the_same_bits_whatever_was_drawn_before(base, examples, tmp_path):
    first = tune(base, examples, SETTINGS, 3, tmp_path / "a", threads=1)
    torch.rand(5)
    state = torch.get_rng_state()
    second = tune(base, examples, SETTINGS, 3, tmp_path / "b", threads=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert replace(first, seconds=0) == replace(second, seconds=0)
    for name in ("adapter_model.safetensors", "adapter_config.json", "base.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = tune(base, examples, SETTINGS, 4, tmp_path / "c", threads=1)
    assert other.weights != first.weights


def test_an_adapter_is_whole_and_replaces_an_older_one(base, examples, tmp_path):
    out = tmp_path / "v001"
    out.mkdir()
    (out / "half written").write_text("x")
    few = replace(SETTINGS, steps=2)
    tune(base, examples, few, 0, out, threads=1)
    names = {path.name for path in out.iterdir()}
    assert names == {"adapter_model.safetensors", "adapter_config.json", "base.json"}
    assert json.loads((out / "base.json").read_text()) == {"fingerprint": "toy"}
    targets = json.loads((out / "adapter_config.json").read_text())["target_modules"]
    assert len(targets) == 7
    assert len(load_file(out / "adapter_model.safetensors")) == 2 * 7 * 2
    assert [path.name for path in tmp_path.iterdir()] == ["v001"]


def test_a_place_that_cannot_be_written_is_said(base, examples, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        tune(base, examples, replace(SETTINGS, steps=1), 0, tmp_path / "file" / "v", threads=1)


def test_without_anything_to_learn_nothing_is_written(base, examples, tmp_path):
    same = Lessons([Preference("up", "red", "red")])
    for given, settings in (
        (Lessons([]), SETTINGS),
        (same, SETTINGS),
        (examples, replace(SETTINGS, steps=0)),
    ):
        report = tune(base, given, settings, 0, tmp_path / "v001", threads=1)
        assert (report.steps, report.weights) == (0, "")
        assert not (tmp_path / "v001").exists()


def pairs(prompts, each):
    return [Pair((p,), (p, i, 1), (p, i, 2), 1.0) for p in range(prompts) for i in range(each)]


def test_whole_prompts_are_held_out():
    train, held_out = hold_out(pairs(10, 4), Random(0))
    assert len(train) + len(held_out) == 40
    assert len(held_out) == 8  # two prompts: 15 % of 40 pairs, rounded up
    assert not {p.prompt for p in train} & {p.prompt for p in held_out}
    assert hold_out(pairs(9, 1), Random(0))[1] == []


def test_batches_pass_over_all_pairs_and_keep_siblings_together():
    made = batches(pairs(5, 8), 8, 10, Random(0))
    assert [len(batch) for batch in made] == [8] * 10
    flat = [pair for batch in made for pair in batch]
    assert set(flat) == set(pairs(5, 8))
    assert all(flat.count(pair) == 2 for pair in flat)
    assert all(len({pair.prompt for pair in batch}) <= 2 for batch in made)
    assert batches(pairs(5, 8), 8, 10, Random(0)) == made


def test_early_stop_keeps_the_adapter_that_was_best_on_held_out_pairs(base, tmp_path):
    rng = Random(2)
    noise = [
        Preference(
            " ".join(rng.choices(WORDS, k=4)), rng.choice(WORDS) + " up", rng.choice(WORDS) + " up"
        )
        for _ in range(30)
    ]
    hot = LearnSettings(steps=200, batch_size=8, learning_rate=1e-2, rank=8)
    report = tune(base, Lessons(noise), hot, 0, tmp_path / "v", threads=1)
    assert report.steps < 200
    assert report.steps % 10 == 0


def soft_tensor(folder):
    return load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]


def test_a_soft_prompt_leaves_the_weights_alone_and_makes_winners_likelier(
    base, examples, tmp_path
):
    report = tune(base, examples, SOFT, 3, tmp_path / "v001", threads=1)
    assert report.last_loss < report.first_loss
    soft = soft_tensor(tmp_path / "v001")
    assert soft.shape == (16, 32)
    config = json.loads((tmp_path / "v001" / "adapter_config.json").read_text())
    assert config["peft_type"] == "PROMPT_TUNING"
    model = AutoModelForCausalLM.from_pretrained(base.folder)
    rows = [
        Row(tuple(base.encode_prompt(e.prompt_text)), (tuple(base.encode_reply(e.better_text)),))
        for e in examples.preferences
    ]
    with torch.no_grad():
        before = reply_log_probabilities(model, rows)
        after = reply_log_probabilities(model, rows, soft)
    assert after.mean() > before.mean() + 0.5


def test_virtual_tokens_count_as_tokens_in_front_of_the_prompt():
    model = tiny_llama()
    rows = [Row((4, 5, 6), ((7, 8), (9, 10, 11))), Row((4, 5), ((7,),))]
    words = (12, 13, 14)
    soft = model.get_input_embeddings().weight[list(words)]
    spelled = [Row(words + row.prompt, row.replies) for row in rows]
    with torch.no_grad():
        found = reply_log_probabilities(model, rows, soft)
        assert torch.allclose(found, reply_log_probabilities(model, spelled), atol=1e-5)
        model.config.model_type = "other"
        assert torch.allclose(reply_log_probabilities(model, rows, soft), found, atol=1e-4)


def test_winners_alone_teach_as_well(base, examples, tmp_path):
    report = tune(base, examples, SFT, 3, tmp_path / "v001", threads=1)
    assert report.last_loss < report.first_loss - 0.3
    assert report.preference_accuracy == 1.0


@pytest.mark.parametrize("settings", [SETTINGS, SFT, SOFT])
def test_replayed_replies_stay_likely(base, examples, tmp_path, settings):
    rng = Random(5)
    texts = [(" ".join(rng.choices(WORDS, k=5)), "small small") for _ in range(30)]
    rows = [Row(tuple(base.encode_prompt(p)), (tuple(base.encode_reply(r)),)) for p, r in texts]
    found = {}
    for name, weight in (("without", 0.0), ("with", 1.0)):
        out = tmp_path / name
        given = replace(settings, replay=weight)
        report = tune(base, Lessons(examples.preferences, texts), given, 3, out, threads=1)
        assert report.replayed == (30 if weight else 0)
        model = AutoModelForCausalLM.from_pretrained(base.folder)
        with torch.no_grad():
            if settings.method == "soft_prompt":
                logs = reply_log_probabilities(model, rows, soft_tensor(out))
            else:
                logs = reply_log_probabilities(PeftModel.from_pretrained(model, str(out)), rows)
        found[name] = logs.mean().item()
    assert found["with"] > found["without"] + 0.5


def test_a_tuning_stops_where_the_probe_says_so_and_keeps_the_look_before(base, examples, tmp_path):
    answers = iter([True, False])
    seen = []

    def probe(folder):
        seen.append((folder.is_dir(), (folder / "adapter_model.safetensors").read_bytes()))
        return next(answers)

    out = tmp_path / "v001"
    report = tune(base, examples, replace(SETTINGS, steps=40), 3, out, threads=1, probe=probe)
    assert report.stopped == "probe"
    assert report.steps in (10, 20, 30)
    assert [is_there for is_there, _ in seen] == [True, True]
    kept = (out / "adapter_model.safetensors").read_bytes()
    assert kept != seen[1][1]
    assert (kept == seen[0][1]) is (report.steps == 20)
    assert [path.name for path in tmp_path.iterdir()] == ["v001"]


def test_progress_is_told_at_each_step(base, examples, tmp_path):
    told = []
    given = replace(SETTINGS, steps=4)
    tune(base, examples, given, 0, tmp_path / "v", 1, progress=lambda *step: told.append(step))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("settings", [SETTINGS, SOFT])
def test_tuning_goes_on_from_an_earlier_adapter(base, examples, tmp_path, settings):
    first, second = tmp_path / "a", tmp_path / "b"
    tune(base, examples, settings, 3, first, threads=1)
    short = replace(settings, steps=1, learning_rate=1e-9, soft_learning_rate=1e-9)
    report = tune(base, examples, short, 4, second, threads=1, start=first)
    before, after = (load_file(path / "adapter_model.safetensors") for path in (first, second))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    if settings.method == "dpo":
        assert report.first_loss == pytest.approx(0.6931, abs=1e-3)


def test_an_adapter_of_another_kind_is_not_gone_on_from(base, examples, tmp_path):
    tune(base, examples, replace(SETTINGS, steps=1), 3, tmp_path / "lora", threads=1)
    with pytest.raises(ModelError, match=r"LoRA weights.*Change --learn.method"):
        tune(base, examples, SOFT, 3, tmp_path / "v", threads=1, start=tmp_path / "lora")
    with pytest.raises(ModelError, match="does not load"):
        tune(base, examples, SOFT, 3, tmp_path / "v", threads=1, start=tmp_path / "nothing")


def test_replayed_rows_come_pass_after_pass():
    rows = [Row((i,), ((i,),)) for i in range(3)]
    made = replay_batches(rows, 2, 3, Random(0))
    assert [len(batch) for batch in made] == [2, 2, 2]
    assert sorted(row.prompt[0] for batch in made for row in batch) == [0, 0, 1, 1, 2, 2]
    assert replay_batches([], 2, 3, Random(0)) == [[], [], []]
