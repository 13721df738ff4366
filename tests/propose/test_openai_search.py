"""A whole search against the HTTP server of these tests, which writes with the built-in model."""

from dataclasses import replace

import pytest

from evoprompt.cli import main
from evoprompt.config import Budget, ProposerSettings, ServerSettings, smoke
from evoprompt.propose.engine import open_engine
from evoprompt.propose.templates import template_folder
from tests.propose.model_server import MODEL, ModelServer, cuts, fails, hangs, says
from tests.whole.searching import run_search

pytestmark = pytest.mark.slow
VARIABLE = "A_KEY_OF_THIS_SEARCH"
MONEY = 0.02


def settings(server, **changes):
    base = smoke()
    options = ServerSettings(
        url=server.url,
        key_variable=VARIABLE,
        chat=False,
        concurrent=2,
        prompt_price=5.0,
        completion_price=20.0,
    )
    proposer = replace(
        base.proposer,
        engine="openai",
        model=MODEL,
        prompts=template_folder(),  # what it serves knows the edit protocol
        retries=0,
        seconds_limit=20.0,
        server=options,
    )
    return replace(base, proposer=proposer, **changes)


def test_a_search_goes_on_over_failures_and_ends_when_its_money_is_spent(tmp_path, monkeypatch):
    writer = open_engine(ProposerSettings(threads=1))
    with ModelServer(writer) as server:
        monkeypatch.setenv(VARIABLE, server.key)
        server.script = [fails(500), cuts, hangs(300), says("@L1+\n    kept = True\n@end")]
        folder = tmp_path / "run"
        events = run_search(
            folder, settings(server, budget=Budget(generations=9, money=MONEY)), results=True
        )
    assert events[-1].payload["reason"] == "money"
    assert events[-1].generation < 9
    written = [e.payload for e in events if e.kind == "proposed" and e.generation]
    rejected = [each["rejected"]["reason"] for each in written if each["rejected"]]
    assert rejected.count("no_reply") >= 3 * smoke().proposer.samples_per_prompt
    assert {each["proposer"] for each in written} == {"openai"}
    (edited,) = [each for each in written if "kept = True" in each["reply"]]
    assert edited["candidate"] in {e.payload["candidate"] for e in events if e.kind == "screened"}
    cost = sum(5.0 * each["prompt_tokens"] + 20.0 * each["token_count"] for each in written) / 1e6
    assert MONEY <= cost < 2 * MONEY
    learned = [e.payload for e in events if e.kind == "proposer"]
    assert {each["reason"] for each in learned} == {"the openai engine cannot be tuned"}
    everything = [path for path in folder.rglob("*") if path.is_file()]
    assert (folder / "ledger.sqlite") in everything
    assert not any(server.key.encode() in path.read_bytes() for path in everything)


def test_a_server_that_is_not_there_is_one_line_and_no_folder(tmp_path, monkeypatch, capsys):
    with ModelServer(None) as server:
        url = server.url
    monkeypatch.setenv(VARIABLE, "sk-secret")
    words = ["--runs", str(tmp_path), "--run", "bad", "--proposer.engine", "openai"]
    words += ["--proposer.server.url", url, "--proposer.server.key-variable", VARIABLE]
    with pytest.raises(SystemExit) as exit_:
        main(["search", "smoke", *words, "--proposer.model", MODEL, "--proposer.retries", "0"])
    assert exit_.value.code == 2
    said = capsys.readouterr()
    assert "Connection refused" in said.err
    assert "--proposer.server.url" in said.err
    assert "Traceback" not in said.err
    assert "sk-secret" not in said.err + said.out
    assert not (tmp_path / "bad").exists()
