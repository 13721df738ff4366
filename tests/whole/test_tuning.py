"""`evoprompt learn proposer` on a real run, and a search that begins with what it wrote."""

import json
import shutil
from dataclasses import replace

import pytest

from evoprompt.cli import main
from evoprompt.config import smoke
from evoprompt.errors import ModelError
from evoprompt.ledger import Ledger
from evoprompt.steps.ledgers import read_run
from evoprompt.steps.lessons import has_earned
from evoprompt.steps.opening import create
from tests.whole.searching import Silent, events_of, run_resume, tiny


@pytest.fixture(scope="module")
def tuned(finished, tmp_path_factory):
    """An adapter that was tuned on a copy of the finished run and on the run itself."""
    folder = tmp_path_factory.mktemp("tuned")
    shutil.copytree(finished[0], folder / "copy")
    out = folder / "adapter"
    runs = [str(finished[0]), str(folder / "copy")]
    main(["learn", "proposer", *runs, "--out", str(out), "--learn.steps", "2"])
    return out


def test_several_runs_make_one_adapter_that_says_what_it_learned_from(tuned, finished):
    facts = json.loads((tuned / "tuning.json").read_text())
    assert len(facts["runs"]) == 2
    assert facts["runs"][0] == str(finished[0])
    assert sum(facts["pairs"].values()) >= facts["report"]["pairs"] > 0
    assert facts["report"]["replayed"] > 0
    assert facts["report"]["steps"] == 2
    assert (tuned / "adapter_model.safetensors").is_file()


def test_a_search_begins_with_an_adapter_and_keeps_a_copy_to_resume_with(tuned, tmp_path):
    given = tmp_path / "given"
    shutil.copytree(tuned, given)
    settings = tiny()
    settings = replace(settings, proposer=replace(settings.proposer, adapter=given))
    create(tmp_path / "run", settings, Silent()).close()
    shutil.rmtree(given)
    events = run_resume(tmp_path / "run")
    assert events[-1].kind == "ended"
    kept = tmp_path / "run" / "proposer" / "v000" / "adapter_model.safetensors"
    assert kept.read_bytes() == (tuned / "adapter_model.safetensors").read_bytes()
    writers = {e.payload["proposer"] for e in events if e.kind == "proposed" and e.generation}
    assert writers == {"v000"}
    learned = next(e.payload for e in events if e.kind == "proposer")
    assert learned["previous"] == "v000"
    if learned["weights"]:
        assert (tmp_path / "run" / "proposer" / "v001").is_dir()


def test_the_ledger_of_a_run_names_the_weights_that_wrote_it(finished):
    started = finished[1][0].payload
    assert read_run(finished[0]).base == started["base"]
    assert len(started["base"]) == 64
    assert started["proposer"] == "base"


def test_an_adapter_of_another_base_begins_no_search(tuned, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tuned, other)
    (other / "base.json").write_text('{"fingerprint": "of another model"}')
    settings = smoke()
    for adapter, message in ((other, "another base model"), (tmp_path / "none", "no adapter")):
        given = replace(settings, proposer=replace(settings.proposer, adapter=adapter))
        with pytest.raises(ModelError, match=message):
            create(tmp_path / "run", given, Silent())
        assert not (tmp_path / "run").exists()


def test_an_engine_without_a_model_takes_no_adapter(tuned, tmp_path):
    settings = smoke()
    given = replace(settings, control="grammar", proposer=replace(settings.proposer, adapter=tuned))
    with pytest.raises(ModelError, match="takes no adapter"):
        create(tmp_path / "run", given, Silent())


def said(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(["learn", *map(str, words)])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_a_run_that_is_not_there_or_taught_nothing_is_named(capsys, finished, tmp_path):
    out = tmp_path / "out"
    assert "no ledger at" in said(capsys, "proposer", tmp_path / "no-run", "--out", out)
    empty = tmp_path / "empty"
    with Ledger.create(_made(empty) / "ledger.sqlite"):
        pass
    assert "half written" in said(capsys, "proposer", empty, "--out", out)
    seeds = tmp_path / "seeds"
    with Ledger.create(_made(seeds) / "ledger.sqlite") as ledger:
        ledger.record([e for e in finished[1] if e.generation == 0])
    assert "no siblings" in said(capsys, "proposer", seeds, "--out", out)
    assert not out.exists()


def _made(folder):
    folder.mkdir()
    return folder


def test_runs_of_different_models_are_not_mixed(capsys, finished, tmp_path):
    other = tmp_path / "other"
    with Ledger.create(_made(other) / "ledger.sqlite") as ledger:
        for event in finished[1]:
            if event.kind == "started":
                event = replace(event, payload=event.payload | {"base": "0" * 64})
            ledger.record([event])
    out = tmp_path / "out"
    both = said(capsys, "proposer", finished[0], other, "--out", out)
    assert "different base models" in both
    assert str(other) in both
    assert "another version of the model" in said(capsys, "proposer", other, "--out", out)


def test_words_that_make_no_sense_are_refused(capsys, finished, tmp_path):
    run, out = finished[0], tmp_path / "out"
    assert "cannot learn" in said(capsys, "predictor", run, "--out", out)
    assert "cannot learn" in said(capsys)
    assert "no run given" in said(capsys, "proposer", "--out", out)
    assert "named twice" in said(capsys, "proposer", run, run, "--out", out)
    assert "no --out given" in said(capsys, "proposer", run)
    assert "exists already" in said(capsys, "proposer", run, "--out", tmp_path)
    assert "nothing was learned" in said(
        capsys, "proposer", run, "--out", out, "--learn.steps", "0"
    )


def test_predictions_count_only_where_the_predictor_has_earned_it():
    audit = {"judge": "predictor", "pairs": 12, "tau_predictor": 0.4, "tau_prior": 0.3}
    assert has_earned(audit, 12)
    assert not has_earned(None, 12)
    assert not has_earned(audit | {"judge": "prior"}, 12)
    assert not has_earned(audit | {"pairs": 11}, 12)
    assert not has_earned(audit | {"tau_prior": 0.4}, 12)


def test_siblings_know_what_became_of_them(finished):
    past = read_run(finished[0])
    programs = past.state.programs
    proposed = [e for e in events_of(finished[0]) if e.kind == "proposed" and e.generation]
    assert len(past.siblings) == len(proposed)
    trained = {p.id for p in past.state.trained()}
    for sibling, event in zip(past.siblings, proposed, strict=True):
        program = programs.get(event.payload["candidate"])
        assert sibling.reply_text == event.payload["reply"]
        assert sibling.is_valid == bool(program and program.screened)
        if sibling.gain is not None:
            assert program is not None
            assert program.id in trained
            assert sibling.gain >= 0
