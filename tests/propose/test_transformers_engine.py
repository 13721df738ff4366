import random
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from evoprompt.candidate import Prompt, Reason, Rejected, Sampling
from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.grammar.canonical import own_lines
from evoprompt.grammar.edits import END, is_closed
from evoprompt.grammar.view import numbered
from evoprompt.propose.addresses import NOWHERE, AddressMask, address_tokens, places
from evoprompt.propose.chat import chat_messages
from evoprompt.propose.engine import open_engine
from evoprompt.propose.model_files import fingerprint
from evoprompt.propose.reply import read_reply
from evoprompt.propose.sampling import Draw, _drawn, sample
from evoprompt.propose.transformers_engine import batches
from tests.propose.conftest import save_tiny_model


@pytest.fixture(scope="module")
def engine(tiny_model):
    return open_engine(ProposerSettings(model=str(tiny_model), threads=1))


@pytest.fixture(scope="module")
def prompts(parents) -> list[Prompt]:
    return [
        Prompt(
            text=f"{numbered(p.source)}# 1x40 acc {80 + i} size 4k -> any\n# edit\n",
            template="mutate",
            template_hash="0",
            operator="mutate",
            parents=(p.id,),
            parent_source=p.source,
        )
        for i, p in enumerate(parents[:4])
    ]


SAMPLINGS = [Sampling(t, 3, seed, 0.95, 24) for seed, t in enumerate((0.2, 0.8, 1.0, 2.0))]


def texts(replies):
    return [[reply.text for reply in group] for group in replies]


def make_adapter(base, folder, print_of=None):
    model = AutoModelForCausalLM.from_pretrained(base)
    tuned = get_peft_model(
        model, LoraConfig(r=2, lora_alpha=64, target_modules=["q_proj", "up_proj"])
    )
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    tuned.save_pretrained(str(folder))
    (folder / "base.json").write_text(f'{{"fingerprint": "{print_of or fingerprint(base)}"}}')
    return folder


@pytest.fixture
def adapter(tiny_model, tmp_path):
    return make_adapter(tiny_model, tmp_path / "v001")


def test_a_call_is_repeated_exactly_whatever_was_drawn_before(engine, prompts):
    first = engine.sample(prompts, SAMPLINGS)
    torch.rand(7)
    random.random()
    np.random.rand(3)
    engine.sample(prompts[:1], [replace(SAMPLINGS[0], seed=99)])
    torch.manual_seed(123)
    before = torch.get_rng_state()
    assert engine.sample(prompts, SAMPLINGS) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_and_siblings_differ(engine, prompts):
    one = engine.sample(prompts[:1], [replace(SAMPLINGS[2], seed=1)])
    two = engine.sample(prompts[:1], [replace(SAMPLINGS[2], seed=2)])
    assert texts(one) != texts(two)
    assert len(set(texts(one)[0])) == 3


def test_a_prompts_replies_hardly_depend_on_its_neighbours(engine, prompts):
    together = texts(engine.sample(prompts, SAMPLINGS))
    alone = [texts(engine.sample([p], [s]))[0] for p, s in zip(prompts, SAMPLINGS, strict=True)]
    # Padding changes last digits, which now and then tips a draw; a leak would change all of them.
    pairs = [pair for a, b in zip(together, alone, strict=True) for pair in zip(a, b, strict=True)]
    assert sum(a == b for a, b in pairs) > len(pairs) / 2


def test_replies_have_the_asked_count_and_length(engine, prompts):
    wanted = [replace(s, count=i + 1, max_tokens=5 + i) for i, s in enumerate(SAMPLINGS)]
    for i, group in enumerate(engine.sample(prompts, wanted)):
        assert len(group) == i + 1
        for reply in group:
            assert 1 <= reply.token_count <= 5 + i
            assert reply.is_finished == reply.text.endswith(END)
            assert reply.is_finished or reply.token_count == 5 + i


def test_almost_greedy_sampling_takes_the_tokens_that_one_whole_forward_likes_best(engine, prompts):
    tokens = [engine.base.encode_prompt(prompt.text) for prompt in prompts]
    draws = [Draw(each, 1e-4, 1.0, 2, 0, 40) for each in tokens]
    written = sample(engine._model, draws, engine.base.end_tokens)
    for each, replies in zip(tokens, written, strict=True):
        for reply in replies:
            with torch.no_grad():
                logits = engine._model(torch.tensor([each + reply])).logits[0, len(each) - 1 : -1]
            chosen = logits.gather(1, torch.tensor(reply)[:, None])[:, 0]
            assert (logits.amax(1) - chosen).max() < 0.01


def test_the_nucleus_and_the_temperature_are_each_rows_own():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(4, 1)
    temperature = torch.tensor([1e-3, 1.0, 1.0, 1000.0])
    top_p = torch.tensor([1.0, 0.5, 1.0, 1.0])
    uniform = torch.tensor([0.999, 0.999, 0.999, 0.999])
    drawn = _drawn(logits, temperature, top_p, uniform).tolist()
    assert drawn == [0, 0, 3, 3]


def test_the_draws_have_the_models_distribution():
    share = torch.tensor([0.5, 0.3, 0.15, 0.05])
    count = 20_000
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(count)
    drawn = _drawn(share.log()[None].repeat(count, 1), ones, ones, uniform)
    found = torch.bincount(drawn, minlength=4) / count
    assert torch.allclose(found, share, atol=0.015)
    nucleus = _drawn(share.log()[None].repeat(count, 1), ones, ones * 0.9, uniform)
    assert torch.bincount(nucleus, minlength=4)[3] == 0


def test_addresses_name_existing_lines_in_order_and_closed_ranges_only(parents, tokenizer):
    vocabulary = tokenizer.get_vocab()
    tokens = address_tokens(vocabulary, 1024)
    assert tokens is not None
    lines = own_lines(parents[0].source) or []
    donor = ["nn.ReLU(),", "Gate(", "nn.ReLU(),", "),"]
    syntax = [vocabulary[text] for text in ("@", "-", "+", "Ċ")]
    numbers = [token for text, token in vocabulary.items() if re.fullmatch(r"[LD]\d+", text)]
    rng = random.Random(1)
    for _ in range(20):
        mask, written = AddressMask(tokens, [places(lines, donor)]), []
        for _ in range(60):
            free = (~mask.forbidden())[0]
            allowed = [token for token in (*syntax * 40, *numbers) if free[token]]
            written.append(rng.choice(allowed))
            mask.add(torch.tensor(written[-1:]))
        text = tokenizer.decode(written)
        last = -1
        for first, _, end in re.findall(r"@L(\d+)(-L(\d+))?", text):
            assert last < int(first) <= len(lines)
            last = int(end or first)
            assert not end or is_closed(lines[int(first) - 1 : last])
        for first, _, end in re.findall(r"D(\d+)(-D(\d+))?", text):
            assert int(first) <= len(donor)
            assert not end or is_closed(donor[int(first) - 1 : int(end)])


def test_the_address_rule_needs_one_token_per_line(tokenizer):
    assert address_tokens({"L1": 5, "D1": 6}, 10) is None
    tokens = address_tokens(tokenizer.get_vocab(), 1024)
    assert tokens is not None
    program = ["Residual(", "nn.ReLU(),", "),", "nn.GELU(),"]
    mask = AddressMask(tokens, [NOWHERE, places(program, [])])
    mask.keep(torch.tensor([1]))

    def allowed() -> list[int]:
        free = (~mask.forbidden())[0]
        return sorted(tokens.line_V[free & (tokens.line_V >= 0)].tolist())

    def write(text: str) -> None:
        mask.add(torch.tensor([tokenizer.convert_tokens_to_ids(text)]))

    write("@")
    assert allowed() == [0, 1, 2, 3, 4]
    write("L1")
    assert mask.forbidden()[0, tokens.line_end]  # a wrapper's first line alone is open
    write("-")
    assert allowed() == [3, 4]
    write("L3")
    write("Ċ")
    write("L2")  # a reference to the parent's own line goes back freely
    assert mask.forbidden()[0, tokens.line_end].item() is False
    write("Ċ")
    write("@")
    assert allowed() == [4]


def test_no_edit_changes_the_skeleton_but_a_broken_program_may_change_anywhere(parents):
    lines = own_lines(parents[0].source) or []
    known = places(lines, [])
    named = {number: lines[number - 1].strip() for number in known.fixed if number}
    assert {"class Net(nn.Module):", "nn.LazyLinear(num_classes),", ")"} <= set(named.values())
    opening = {lines[number - 1].strip() for number in known.openings}
    assert opening == {
        "self.body = nn.Sequential(",
        "self.head = nn.Sequential(",
        "nn.Flatten(),",
    }
    ranges = [(first, last) for first, ends in known.lines.items() for last in ends - {first}]
    assert (5, 10) in ranges
    kept = known.fixed | known.openings
    assert all(kept.isdisjoint(range(first, last + 1)) for first, last in ranges)
    broken = places([*lines[:5], "),", *lines[5:]], [])
    assert not broken.fixed
    assert 6 in broken.lines[6]


def test_an_adapter_changes_the_replies_and_the_base_comes_back_exactly(engine, prompts, adapter):
    before = engine.sample(prompts, SAMPLINGS)
    engine.use("v001", adapter)
    assert engine.version == "v001"
    assert texts(engine.sample(prompts, SAMPLINGS)) != texts(before)
    engine.use("base", None)
    assert engine.version == "base"
    assert engine.sample(prompts, SAMPLINGS) == before


def test_an_adapter_of_another_base_is_refused_and_the_old_one_stays(
    engine, prompts, tiny_model, tmp_path
):
    before = engine.sample(prompts, SAMPLINGS)
    other = make_adapter(tiny_model, tmp_path / "v002", print_of="f" * 64)
    with pytest.raises(ModelError, match=r"another base model.*Expected.*--proposer.model"):
        engine.use("v002", other)
    assert engine.version == "base"
    assert engine.sample(prompts, SAMPLINGS) == before


def test_damaged_adapters_are_refused(engine, adapter, tmp_path):
    weights = adapter / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-9])
    with pytest.raises(ModelError, match="truncated"):
        engine.use("v001", adapter)
    weights.unlink()
    (adapter / "adapter_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="pickled"):
        engine.use("v001", adapter)
    with pytest.raises(ModelError, match="no adapter here"):
        engine.use("v001", tmp_path / "nowhere")
    shutil.rmtree(adapter)


def test_a_prompt_longer_than_the_context_is_a_counted_rejection(tokenizer, prompts, tmp_path):
    lengths = [len(tokenizer(each.text)["input_ids"]) for each in prompts]
    context = sorted(lengths)[-2] + 20  # all but the longest fit
    folder = save_tiny_model(tmp_path / "short", tokenizer, context=context)
    short = open_engine(ProposerSettings(model=str(folder), threads=1))
    longest = lengths.index(max(lengths))
    assert short.prompt_size(prompts[longest].text) == (max(lengths), context)
    for place, (prompt, group) in enumerate(
        zip(prompts, short.sample(prompts, SAMPLINGS), strict=True)
    ):
        assert len(group) == 3
        for reply in group:
            child = read_reply(prompt, reply)
            is_refused = isinstance(child, Rejected) and child.reason == Reason.PROMPT_TOO_LONG
            assert is_refused == (place == longest)
            assert (reply.token_count == 0) == (place == longest)
            if is_refused:
                assert f"{max(lengths)} tokens and the model's context is {context}" in child.detail


def test_the_prompt_is_read_once_for_all_its_replies(engine, prompts):
    shapes = []
    hook = engine._model.register_forward_pre_hook(
        lambda _, __, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    try:
        replies = engine.sample(prompts, SAMPLINGS)
    finally:
        hook.remove()
    lengths = [len(engine.base.encode_prompt(prompt.text)) for prompt in prompts]
    assert shapes[0] == (4, max(lengths))
    assert all(rows <= 12 and tokens == 1 for rows, tokens in shapes[1:])
    assert [[r.prompt_tokens for r in group] for group in replies] == [[n, 0, 0] for n in lengths]
    assert all(r.seconds > 0 and r.retries == 0 for group in replies for r in group)


def test_replies_are_encoded_with_the_end_that_the_model_writes(engine, tokenizer):
    ids = engine.base.encode_reply("@L1\n        x = 1\n@end")
    assert ids[-1] == tokenizer.convert_tokens_to_ids(END)
    assert ids.count(ids[-1]) == 1
    assert tokenizer.decode(ids) == "@L1\n        x = 1\n@end"


def test_chat_models_get_messages_in_their_own_template(tokenizer, prompts, tmp_path):
    folder = save_tiny_model(tmp_path / "chat", tokenizer)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if enable_thinking %}<think>{% endif %}<assistant>"
    )
    chat = open_engine(ProposerSettings(model=str(folder), threads=1))
    sent = tokenizer.decode(chat.base.encode_prompt("## system\nBe brief.\n## user\nHello\n"))
    assert sent == "<system>Be brief.<user>Hello<assistant>"
    assert chat_messages("Hello\n") == [{"role": "user", "content": "Hello"}]


def test_a_chat_template_that_refuses_a_message_is_said(tokenizer, tmp_path):
    folder = save_tiny_model(tmp_path / "chat", tokenizer)
    (folder / "chat_template.jinja").write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
        "{{ messages[0].content }}"
    )
    chat = open_engine(ProposerSettings(model=str(folder), threads=1))
    assert chat.prompt_size("Hello") == (len(tokenizer("Hello")["input_ids"]) - 1, 2048)
    with pytest.raises(ModelError, match=r"chat template refuses.*no system here.*Expected"):
        chat.prompt_size("## system\nBe brief.\n## user\nHello\n")


def test_batches_keep_the_order_and_the_limit():
    draws = [Draw([1], 1.0, 1.0, count, 0, 5) for count in (3, 3, 9, 1, 1)]
    assert [[d.count for d in batch] for batch in batches(draws, 6)] == [[3, 3], [9], [1, 1]]


def test_closing_gives_the_model_back(tiny_model):
    engine = open_engine(ProposerSettings(model=str(tiny_model), threads=1))
    engine.close()
    assert not hasattr(engine, "_model")
