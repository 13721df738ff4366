"""vLLM with a tiny random Llama: tokens, adapters, and what happens when its process fails."""

import json
import os
import signal
import time
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from evoprompt.candidate import Rejected, Sampling
from evoprompt.config import ProposerSettings, VllmSettings
from evoprompt.errors import ModelError
from evoprompt.propose.engine import open_engine
from evoprompt.propose.model_files import fingerprint
from evoprompt.propose.reply import read_reply
from tests.propose.conftest import save_tiny_model

SAMPLINGS = [Sampling(t, 3, seed, 0.95, 24) for seed, t in enumerate((0.2, 0.8, 1.0))]
ALMOST_GREEDY = Sampling(1e-2, 2, 0, 1.0, 24)


def settings(model, **changes):
    return ProposerSettings(engine="vllm", model=str(model), **changes)


@pytest.fixture(scope="module")
def engine(tiny_model):
    opened = open_engine(settings(tiny_model, retries=1, vllm=VllmSettings(keep=True)))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def prompts(prompt):
    texts = [prompt.text, prompt.text.replace("acc 90", "acc 55"), prompt.text[:200]]
    return [replace(prompt, text=text) for text in texts]


def make_adapter(base, folder, strength, rank=2):
    tuned = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=rank, lora_alpha=32 * rank, target_modules=["q_proj", "up_proj"]),
    )
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_A" in name:
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(7))
            if "lora_B" in name:
                parameter.fill_(strength)
    tuned.save_pretrained(str(folder))
    (folder / "base.json").write_text(json.dumps({"fingerprint": fingerprint(base)}))
    return folder


def likeliest(engine, prompts):
    """The tokens that vLLM writes at almost no temperature."""
    fitted = [engine.base.fitted(each, ALMOST_GREEDY) for each in prompts]
    return engine._ask([engine._request(each, ALMOST_GREEDY) for each in fitted])[0]


def regret(ours, prompts, written):
    """How far the written tokens are at most below those that our model likes best, in logits."""
    worst = 0.0
    for prompt, group in zip(prompts, written, strict=True):
        start = ours.base.encode_prompt(prompt.text)
        for tokens in group:
            with torch.no_grad():
                logits = ours._model(torch.tensor([start + tokens])).logits[0, len(start) - 1 : -1]
            chosen = logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
            worst = max(worst, float((logits.amax(1) - chosen).max()))
    return worst


def texts(replies):
    return [[reply.text for reply in group] for group in replies]


def test_replies_have_their_count_seed_and_figures(engine, prompts):
    first = engine.sample(prompts, SAMPLINGS)
    assert engine.sample(prompts, SAMPLINGS) == first
    other = [replace(each, seed=each.seed + 50) for each in SAMPLINGS]
    assert texts(engine.sample(prompts, other)) != texts(first)
    lengths = [len(engine.base.encode_prompt(each.text)) for each in prompts]
    assert [[r.prompt_tokens for r in group] for group in first] == [[n, 0, 0] for n in lengths]
    for reply in (reply for group in first for reply in group):
        assert 1 <= reply.token_count <= 24
        assert reply.is_finished == reply.text.endswith("@end")
        assert reply.seconds > 0
    assert len(set(texts(first)[2])) == 3


def test_adapters_are_switched_by_new_numbers_without_a_restart(
    engine, prompts, tiny_model, tmp_path
):
    ours = open_engine(ProposerSettings(model=str(tiny_model), threads=1))
    base = likeliest(engine, prompts)
    assert regret(ours, prompts, base) < 0.2
    seen = [base]
    processes = set()
    for version, strength in (("v001", 0.05), ("v002", -0.05)):
        folder = make_adapter(tiny_model, tmp_path / version, strength)
        engine.use(version, folder)
        ours.use(version, folder)
        seen.append(likeliest(engine, prompts))
        assert regret(ours, prompts, seen[-1]) < 0.2
        assert regret(ours, prompts, seen[-2]) > 0.5
        assert engine.version == version
        processes.add(engine._worker._process.pid)
    assert len(processes) == 1
    engine.use("base", None)
    assert likeliest(engine, prompts) == base
    engine.use("v001", tmp_path / "v001")
    assert likeliest(engine, prompts) == seen[1]
    assert engine._worker._process.pid in processes


def test_a_process_that_was_killed_is_started_again(engine, prompts):
    before = texts(engine.sample(prompts, SAMPLINGS))
    os.kill(engine._worker._process.pid, signal.SIGKILL)
    again = engine.sample(prompts, SAMPLINGS)
    assert texts(again) == before
    assert again[0][0].retries == 1


def test_a_process_that_hangs_is_ended_and_said_with_its_last_lines(tiny_model, prompts):
    engine = open_engine(settings(tiny_model, retries=0))
    engine.sample(prompts[:1], SAMPLINGS[:1])
    process = engine._worker._process
    os.kill(process.pid, signal.SIGSTOP)
    engine._settings = replace(engine._settings, seconds_limit=1.0)
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"(?s)failed 1 times.*no answer within 1 s.*last lines"):
        engine.sample(prompts[:1], SAMPLINGS[:1])
    assert time.monotonic() - started < 15
    assert process.poll() is not None
    engine.close()


def test_resting_ends_the_process_and_sampling_starts_it(tiny_model, prompts):
    engine = open_engine(settings(tiny_model))
    assert engine._worker is None
    engine.rest()
    first = engine.sample(prompts[:1], SAMPLINGS[:1])
    process = engine._worker._process
    engine.rest()
    assert process.poll() is not None
    assert engine.sample(prompts[:1], SAMPLINGS[:1]) == first
    engine.close()


def test_a_prompt_that_is_too_long_is_a_counted_rejection(tokenizer, prompts, tmp_path):
    short = save_tiny_model(tmp_path / "short", tokenizer, context=40, width=64)
    engine = open_engine(settings(short))
    child = read_reply(prompts[0], engine.sample(prompts[:1], SAMPLINGS[:1])[0][0])
    assert isinstance(child, Rejected)
    assert child.reason == "prompt_too_long"
    assert engine._worker is None


def test_bad_models_and_adapters_are_refused_before_vllm_sees_them(
    engine,
    tokenizer,
    tiny_model,
    tmp_path,
):
    folder = save_tiny_model(tmp_path / "model", tokenizer)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        open_engine(settings(folder))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04would run code")
    with pytest.raises(ModelError, match="pickled"):
        open_engine(settings(folder))
    other = make_adapter(tiny_model, tmp_path / "v009", 0.05)
    (other / "base.json").write_text('{"fingerprint": "%s"}' % ("f" * 64))
    with pytest.raises(ModelError, match="another base model"):
        engine.use("v009", other)
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "base.json").write_text(json.dumps({"fingerprint": fingerprint(tiny_model)}))
    (other / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "PROMPT_TUNING"}))
    with pytest.raises(ModelError, match=r"PROMPT_TUNING.*vLLM cannot serve"):
        engine.use("v009", other)


def test_what_vllm_refuses_is_said_once_with_its_own_words(tokenizer, tmp_path, prompts):
    folder = save_tiny_model(tmp_path / "odd", tokenizer)  # heads of 16 features
    engine = open_engine(settings(folder, retries=3))
    with pytest.raises(ModelError, match=r"(?s)vLLM refuses it \(.*last lines"):
        engine.sample(prompts[:1], SAMPLINGS[:1])
