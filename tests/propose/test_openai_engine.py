"""The openai engine against a real HTTP server of this test (`model_server`), good and bad."""

import json
import time
from dataclasses import replace

import pytest

from evoprompt.candidate import Rejected
from evoprompt.config import ProposerSettings, ServerSettings
from evoprompt.errors import ModelError
from evoprompt.propose.engine import open_engine
from evoprompt.propose.reply import read_reply
from evoprompt.propose.server_replies import shares
from tests.propose.model_server import (
    MODEL,
    ModelServer,
    cuts,
    drips,
    fails,
    hangs,
    redirects,
    says,
)
from tests.propose.test_transformers_engine import make_adapter

VARIABLE = "A_KEY_OF_THESE_TESTS"


@pytest.fixture(scope="module")
def writer(tiny_model):
    return open_engine(ProposerSettings(model=str(tiny_model), threads=1))


@pytest.fixture
def opened(monkeypatch):
    engines = []

    def make(server, key=None, retries=0, seconds_limit=20.0, model=MODEL, **changes):
        monkeypatch.setenv(VARIABLE, key or server.key)
        options = {"url": server.url, "key_variable": VARIABLE} | changes
        engines.append(
            open_engine(
                ProposerSettings(
                    engine="openai",
                    model=model,
                    retries=retries,
                    seconds_limit=seconds_limit,
                    server=ServerSettings(**options),
                )
            )
        )
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def prompts(prompt):
    return [replace(prompt, text=f"{prompt.text}# {i}\n") for i in range(4)]


def texts(replies):
    return [[reply.text for reply in group] for group in replies]


def reason(prompt, reply):
    child = read_reply(prompt, reply)
    return child.reason if isinstance(child, Rejected) else None


def one(engine, prompt, sampling):
    """The first reply and why it brought no child."""
    reply = engine.sample([prompt], [replace(sampling, count=1)])[0][0]
    return reply, reason(prompt, reply)


@pytest.mark.parametrize("chat", [True, False])
def test_every_prompt_gets_its_replies_in_order(writer, opened, prompts, sampling, chat):
    with ModelServer(writer) as server:
        engine = opened(server, chat=chat, concurrent=3)
        samplings = [replace(sampling, seed=i, count=2 + i % 2) for i in range(4)]
        replies = engine.sample(prompts, samplings)
        assert [len(group) for group in replies] == [2, 3, 2, 3]
        assert engine.sample(prompts, samplings) == replies
        bodies = {body["seed"]: body for body in server.requests[:4]}
        for seed, (prompt, group) in enumerate(zip(prompts, replies, strict=True)):
            sent = bodies[seed]["messages"][0]["content"] if chat else bodies[seed]["prompt"]
            assert sent.strip() == prompt.text.strip()
            assert bodies[seed]["max_tokens"] == 24
            assert group[0].prompt_tokens == len(writer.base.encode_prompt(sent))
            assert [reply.prompt_tokens for reply in group[1:]] == [0] * (len(group) - 1)
            written = [reply for reply in group if reply.is_finished]
            assert all(reply.text.endswith("@end") for reply in written if "@" in reply.text)
            assert all(reply.seconds > 0 for reply in group)
            assert sum(reply.token_count for reply in group) <= 24 * len(group)
    assert engine.version == "openai"
    assert engine.base is None


def test_a_server_that_ignores_n_is_asked_once_for_each_reply(writer, opened, prompt, sampling):
    with ModelServer(writer, takes_many=False) as server:
        engine = opened(server)
        first = engine.sample([prompt], [sampling])[0]
        assert len({reply.text for reply in first}) == 3
        assert [body.get("n") for body in server.requests] == [3, None, None]
        assert len({body["seed"] for body in server.requests}) == 3
        assert all(reply.prompt_tokens for reply in first)
        engine.sample([prompt], [sampling])
        assert len(server.requests) == 6


def test_a_busy_server_is_asked_again_when_it_wants_to_be(writer, opened, prompt, sampling):
    with ModelServer(writer) as server:
        engine = opened(server, retries=2)
        server.script = [fails(429, headers={"Retry-After": "0.7"}), fails(500)]
        reply, why = one(engine, prompt, sampling)
        assert why not in ("no_reply", "prompt_too_long")
        assert reply.retries == 2
        first, second, third = server.times
        assert second - first >= 0.7
        assert third - second >= 1.0


def test_a_wait_that_is_too_long_is_not_waited_for(writer, opened, prompt, sampling):
    with ModelServer(writer) as server:
        engine = opened(server, retries=5, seconds_limit=3.0)
        server.script = [fails(429, headers={"Retry-After": "3600"})]
        started = time.monotonic()
        assert one(engine, prompt, sampling)[1] == "no_reply"
        assert time.monotonic() - started < 30


@pytest.mark.parametrize("misbehave", [hangs(300), drips], ids=["hangs", "drips"])
def test_a_server_that_does_not_come_to_an_end_is_left(
    writer, opened, prompts, sampling, misbehave
):
    with ModelServer(writer) as server:
        engine = opened(server, seconds_limit=1.0, concurrent=1)
        server.script = [misbehave]
        started = time.monotonic()
        replies = engine.sample(prompts[:2], [sampling] * 2)
        assert time.monotonic() - started < 60
        assert [reason(prompts[0], reply) for reply in replies[0]] == ["no_reply"] * 3
        assert "within 1 s" in read_reply(prompts[0], replies[0][0]).detail
        assert all(reply.refusal is None for reply in replies[1])


@pytest.mark.parametrize(
    "misbehave",
    [
        cuts,
        says(b"<html>Bad gateway</html>"),
        says({"object": "nothing"}),
        says({"choices": []}),
        says({"choices": "text"}),
        says([1, 2]),
        fails(503, "overloaded"),
    ],
    ids=["cuts", "html", "no choices", "empty", "text", "list", "overloaded"],
)
def test_nonsense_is_a_counted_rejection(writer, opened, prompt, sampling, misbehave):
    with ModelServer(writer) as server:
        engine = opened(server)
        server.script = [misbehave]
        assert one(engine, prompt, sampling)[1] == "no_reply"
        assert one(engine, prompt, sampling)[0].refusal is None


@pytest.mark.parametrize(
    ("misbehave", "expected"),
    [
        (says("@L1\nclass Ne", "length"), "truncated"),
        (says(None), "no_edit"),
        (says(""), "no_edit"),
        (says("Gern! Hier ist ein besseres Netz."), "no_edit"),
        (says("@L1-L900\nx"), "bad_edit"),
        (says("x" * 2**20), "too_long"),
        (says("\ud800 lone"), "no_edit"),
        (says({"choices": [None]}), "truncated"),
        (says({"choices": [{"message": {"tool_calls": []}}], "usage": "much"}), "no_edit"),
    ],
)
def test_useless_replies_are_counted_by_what_they_are(
    writer, opened, prompt, sampling, misbehave, expected
):
    with ModelServer(writer) as server:
        engine = opened(server)
        server.script = [misbehave]
        reply, why = one(engine, prompt, sampling)
        assert why == expected
        assert len(reply.text.encode()) < 200_000
        assert reply.token_count >= 0


def test_a_prompt_that_the_server_finds_too_long_is_a_counted_rejection(
    writer, opened, prompts, sampling
):
    with ModelServer(writer, length=90) as server:
        engine = opened(server, concurrent=1)
        server.script = [fails(400, "This model's maximum context length is 90 tokens.")]
        first, second = engine.sample(prompts[:2], [sampling] * 2)
        assert {reason(prompts[0], reply) for reply in first} == {"prompt_too_long"}
        assert all(reply.refusal is None for reply in second)
        size, context = engine.prompt_size(prompts[0].text)
        assert context == 90
        assert size == -(-len(prompts[0].text) // 4)


def test_parameters_that_a_server_refuses_are_left_away(writer, opened, prompt, sampling):
    with ModelServer(writer) as server:
        engine = opened(server)
        server.script = [
            fails(400, "Use 'max_completion_tokens' instead.", param="max_tokens"),
            fails(400, "Unsupported value", param="temperature"),
            fails(400, "Unknown", param="seed"),
        ]
        assert one(engine, prompt, sampling)[0].refusal is None
        last = server.requests[-1]
        assert last["max_completion_tokens"] == 24
        assert not {"max_tokens", "temperature", "seed"} & set(last)


def test_the_key_goes_to_the_server_only(writer, opened, prompt, sampling):
    with ModelServer(writer) as server, ModelServer(writer) as other:
        engine = opened(server)
        server.script = [redirects(other.url + "/chat/completions")]
        reply, why = one(engine, prompt, sampling)
        assert why == "no_reply"
        assert "redirect" in reply.refusal.detail
        assert other.requests == []
        assert one(engine, prompt, sampling)[0].refusal is None
        server.script = [fails(400, f"your key {server.key} is odd")]
        reply, _ = one(engine, prompt, sampling)
        assert "your key <key> is odd" in reply.refusal.detail
        with pytest.raises(ModelError, match=f"takes the key in {VARIABLE}") as caught:
            opened(server, key="sk-wrong-one")
        assert "sk-wrong-one" not in str(caught.value)
        assert server.key not in json.dumps(repr(engine._settings))


def test_a_server_that_cannot_be_used_is_said_before_the_search(writer, opened, monkeypatch):
    with ModelServer(writer) as server:
        with pytest.raises(ModelError, match=r"no model 'gpt-9'.*tiny, other"):
            opened(server, model="gpt-9")
        gone = server.url
    with pytest.raises(ModelError, match=r"refused.*proposer\.server\.url"):
        opened(server, url=gone)
    for url in ("127.0.0.1:8000", "ftp://x/v1", "http:///v1"):
        with pytest.raises(ModelError, match="no address of a server"):
            opened(server, url=url)
    for url in ("https://me:secret@example.org/v1", "https://example.org/v1?api-key=secret"):
        with pytest.raises(ModelError, match="would be recorded") as caught:
            opened(server, url=url)
        assert "secret" not in str(caught.value)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ModelError, match=rf"variable {VARIABLE} is not set"):
        open_engine(
            ProposerSettings(
                engine="openai",
                server=ServerSettings(url="https://example.org/v1", key_variable=VARIABLE),
            )
        )


def test_a_server_that_says_nothing_any_more_ends_the_search(writer, opened, prompts, sampling):
    with ModelServer(writer) as server:
        engine = opened(server)
        server.script = [fails(503)] * 2
        replies = engine.sample(prompts[:2], [sampling] * 2)
        assert all(reply.refusal for group in replies for reply in group)
        engine.sample(prompts[:2], [sampling] * 2)
        server.script = [fails(503)] * 4
        engine.sample(prompts[:2], [sampling] * 2)
        with pytest.raises(ModelError, match=r"no reply to anything in 2 calls.*resume the run"):
            engine.sample(prompts[:2], [sampling] * 2)
        server.script = [fails(401, "revoked")]
        with pytest.raises(ModelError, match="revoked"):
            engine.sample(prompts[:2], [sampling] * 2)


def test_no_more_requests_a_minute_than_allowed(writer, opened, prompts, sampling):
    with ModelServer(writer) as server:
        engine = opened(server, per_minute=200, concurrent=4)
        engine.sample(prompts, [replace(sampling, count=1)] * 4)
        assert server.times[-1] - server.times[0] > 0.5  # 0.9 where nothing else delays the first


def test_adapters_are_loaded_by_their_weights(
    writer, opened, prompts, sampling, tiny_model, tmp_path
):
    with ModelServer(writer, loads_adapters=True) as server:
        engine = opened(server, chat=False, weights=str(tiny_model))
        assert engine.version == "base"
        assert engine.base.fingerprint == writer.base.fingerprint
        assert engine.prompt_size(prompts[0].text)[1] == 2048
        before = texts(engine.sample(prompts, [sampling] * 4))
        engine.use("v001", make_adapter(tiny_model, tmp_path / "v001"))
        assert engine.version == "v001"
        assert texts(engine.sample(prompts, [sampling] * 4)) != before
        engine.use("base", None)
        assert texts(engine.sample(prompts, [sampling] * 4)) == before
        with pytest.raises(ModelError, match="another base model"):
            engine.use("v002", make_adapter(tiny_model, tmp_path / "v002", print_of="f" * 64))


def test_a_server_that_loads_no_adapters_turns_tuning_off(writer, opened, tiny_model, tmp_path):
    with ModelServer(writer) as server:
        engine = opened(server, weights=str(tiny_model))
        assert engine.base is None
        assert "loads no adapters" in engine.notes[0]
        with pytest.raises(ModelError, match="takes no adapters"):
            engine.use("v001", tmp_path)


def test_an_edit_that_came_to_its_end_has_its_end_mark(writer, opened, prompt, sampling):
    with ModelServer(writer) as server:
        engine = opened(server)
        said = ["@L2\nx = 1", "@L2\nx = 1\n@end\n", "```\n@L2\nx = 1\n@end\n```", "no edit"]
        server.script = [says(text) for text in said]
        heard = [one(engine, prompt, sampling)[0].text for _ in said]
        assert heard == ["@L2\nx = 1\n@end", *said[1:]]
        server.script = [says(said[0], "length")]
        assert one(engine, prompt, sampling)[0].text == said[0]
        whole = replace(prompt, reply_format="program")
        server.script = [says(said[0])]
        assert one(engine, whole, sampling)[0].text == said[0]


def test_shares_add_up():
    assert shares(10, [1, 1, 2]) == [2, 3, 5]
    assert shares(7, [0, 0, 0]) == [2, 2, 3]
    assert shares(0, [3, 4]) == [0, 0]
    assert sum(shares(1234567, [3, 9, 0, 41])) == 1234567
