"""Searches of two generations: with vLLM in a process of ours, and against vLLM's local server.

Both write with the built-in model and switch its adapters between generations. At the end the
tokens per second of all three engines on the same prompts are printed (`pytest -s` shows them).
"""

import time
from dataclasses import replace

import pytest

from evoprompt.candidate import Parent, TaskShape, candidate_id
from evoprompt.config import ProposerSettings, ServerSettings, VllmSettings, smoke
from evoprompt.grammar.seeds import seeds
from evoprompt.propose.engine import open_engine
from evoprompt.propose.model_files import BUILTIN
from evoprompt.propose.prompting import make_prompts
from evoprompt.propose.templates import load_templates, template_folder
from evoprompt.steps import versions
from tests.vllm.local_server import MODEL, LocalServer
from tests.whole.searching import run_search

pytestmark = pytest.mark.timeout(1800)
VARIABLE = "A_KEY_OF_VLLM_TESTS"
TASK = TaskShape("digits", (1, 8, 8), 10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LocalServer(BUILTIN, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def server_settings(server, monkeypatch):
    monkeypatch.setenv(VARIABLE, server.key)
    options = ServerSettings(
        url=server.url, key_variable=VARIABLE, chat=False, weights="builtin", concurrent=8
    )
    return ProposerSettings(engine="openai", model=MODEL, server=options)


def searched(folder, proposer, monkeypatch):
    """Search two generations; return the events, and with which adapter what was written when."""
    written = []
    real = versions.answers

    def noted(run, told, version, adapter):
        answer = real(run, told, version, adapter)
        written.append((version, answer.samples))
        return answer

    monkeypatch.setattr("evoprompt.steps.tune_proposer.answers", noted)
    base = smoke()
    mixed = replace(
        proposer,
        prompts_per_round=base.proposer.prompts_per_round,
        samples_per_prompt=base.proposer.samples_per_prompt,
    )
    return run_search(folder, replace(base, proposer=mixed)), written


def check(folder, events, written):
    assert events[-1].payload["reason"] == "generations"
    proposed = [e.payload for e in events if e.kind == "proposed" and e.generation]
    assert {e.generation for e in events if e.kind == "proposed"} == {0, 1, 2}
    assert all(each["token_count"] > 0 for each in proposed if not each["rejected"])
    assert sum(each["prompt_tokens"] for each in proposed) > 0
    assert not any((e["rejected"] or {}).get("reason") == "no_reply" for e in proposed)
    tuned = [e.payload for e in events if e.kind == "proposer"]
    assert [each["version"] for each in tuned if each["weights"]] == ["v001", "v002"]
    assert {version for version, samples in written if samples} >= {"v001", "v002"}
    assert (folder / "proposer" / "v002" / "adapter_model.safetensors").is_file()


def test_a_search_with_vllm_in_a_process_of_ours(tmp_path, monkeypatch):
    events, written = searched(tmp_path / "run", ProposerSettings(engine="vllm"), monkeypatch)
    check(tmp_path / "run", events, written)


def test_a_search_against_vllms_own_server(tmp_path, monkeypatch, server, server_settings):
    events, written = searched(tmp_path / "run", server_settings, monkeypatch)
    check(tmp_path / "run", events, written)
    everything = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not any(server.key.encode() in path.read_bytes() for path in everything)


def test_tokens_per_second_of_the_engines(server_settings, capsys):
    sources = seeds(TASK.in_shape, TASK.num_classes).values()
    parents = [Parent(candidate_id(source), source, 0.9, 5000, 100_000) for source in sources]
    made = make_prompts(
        load_templates(template_folder(None)),
        lambda rng: rng.choice(parents),
        TASK,
        8,
        ProposerSettings(samples_per_prompt=8, max_tokens=60),
        3,
    )
    asked = [prompt for prompt, _ in made], [sampling for _, sampling in made]
    lines = []
    for name, proposer in {
        "transformers": ProposerSettings(),
        "vllm": ProposerSettings(engine="vllm", vllm=VllmSettings(keep=True)),
        "vllm's server": server_settings,
    }.items():
        engine = open_engine(proposer)
        engine.sample(asked[0][:1], asked[1][:1])  # starts what has to be started
        started = time.perf_counter()
        replies = engine.sample(*asked)
        seconds = time.perf_counter() - started
        engine.close()
        tokens = sum(reply.token_count for group in replies for reply in group)
        assert tokens > 64
        lines.append(f"{name}: {tokens / seconds:.0f} tokens/s ({tokens} in {seconds:.1f} s)")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
