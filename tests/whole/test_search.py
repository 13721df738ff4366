"""A whole small search: every stage is real, the ledger tells all of it, the results stand."""

import json
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load_file

from evoprompt.archive import Archive
from evoprompt.config import ArchiveSettings, smoke
from evoprompt.learn.gate import Written, decide
from evoprompt.ledger import Ledger, content_hash
from evoprompt.state import State
from tests.whole.searching import run_search, tiny

pytestmark = pytest.mark.slow


@pytest.fixture
def events(finished):
    return finished[1]


def of(events, kind):
    return [e for e in events if e.kind == kind]


def test_every_stage_left_its_events(events):
    stages = Counter(e.stage for e in events)
    assert set(stages) - {"repair", "rewrite"} == {
        "start", "propose", "screen", "score", "choose", "train", "archive", "learn", "final", "end"
    }  # fmt: skip
    assert of(events, "ended")[0].payload == {"reason": "generations", "clock_dependent": False}


def test_seeds_are_trained_like_every_candidate_and_stand_in_the_archive(events):
    seeds = [e.payload["candidate"] for e in of(events, "proposed") if e.generation == 0]
    assert len(seeds) >= 8
    trained = {e.payload["candidate"]: e.payload for e in of(events, "trained")}
    assert set(seeds) <= set(trained)
    assert {p["steps"] for p in trained.values()} == {smoke().train.recipe.steps}
    assert len({p["seed"] for p in trained.values()}) == 1
    assert len({p["recipe"] for p in trained.values()}) == 1
    assert {e.payload["candidate"] for e in of(events, "archived")} >= set(seeds)


def test_scores_were_recorded_before_the_training_they_are_judged_by(events):
    order = [e.key for e in events]
    scored = {e.payload["candidate"]: e.key for e in of(events, "scored")}
    for event in of(events, "trained"):
        if event.generation:
            assert order.index(scored[event.payload["candidate"]]) < order.index(event.key)


def test_a_quarter_of_the_slots_is_a_random_reserve(events):
    for generation in (1, 2):
        whys = Counter(e.payload["why"] for e in of(events, "chosen") if e.generation == generation)
        assert whys["reserve"] >= max(1, sum(whys.values()) // 4)


def test_no_graph_is_trained_twice(events):
    graphs = [e.payload["graph"] for e in of(events, "trained")]
    assert len(graphs) == len(set(graphs))


def test_replaying_the_ledger_rebuilds_state_and_archive(events):
    state, archive = State(), Archive(ArchiveSettings())
    for event in events:
        state.apply(event)
        if event.kind == "archived":
            figures = state.programs[event.payload["candidate"]].screened
            placed = archive.add(
                event.payload["candidate"],
                event.payload["accuracy"],
                figures.parameters,
                figures.macs,
                figures.depth,
            )
            assert [*placed.cell] == event.payload["cell"]
            assert placed.status == event.payload["status"]
    assert len(state.trained()) == len(of(events, "trained")) + len(of(events, "known"))


def test_the_predictor_is_refit_and_audited_in_each_generation(events):
    versions = [e.payload for e in of(events, "predictor")]
    assert [p["version"] for p in versions] == ["v001", "v002", "v003"]
    counts = [p["label_count"] for p in versions]
    assert counts == sorted(counts)
    assert counts[-1] == len(of(events, "trained"))
    assert all(p["judge"] in ("predictor", "prior") for p in versions)
    for payload in versions:
        if payload["pairs"] >= smoke().surrogate.audit_count:
            better = payload["tau_predictor"] >= payload["tau_prior"]
            assert payload["judge"] == ("predictor" if better else "prior")


def test_each_proposal_names_the_version_that_wrote_it_and_the_gate_decides_which(events):
    serving = "base"
    for generation in (1, 2):
        writers = {
            e.payload["proposer"] for e in of(events, "proposed") if e.generation == generation
        }
        assert writers == {serving}
        learned = next(e for e in of(events, "proposer") if e.generation == generation).payload
        gate = learned["gate"]
        if gate is not None:
            old, new = (Written(**gate[side]) for side in ("old", "new"))
            decision = decide(old, new, learned["held_out_accuracy"])
            assert learned["promoted"] == decision.is_promoted
            assert learned["reason"] == decision.line()
        serving = learned["serving"]


def test_test_data_is_looked_at_at_the_end_only(events):
    assert all(e.stage == "final" for e in events if e.payload.get("correct"))
    compared = of(events, "compared")
    assert len(compared) == smoke().final.winners
    for event in compared:
        assert event.payload["low"] <= event.payload["difference"] <= event.payload["high"]


def test_the_run_folder_holds_what_a_person_wants(finished):
    folder, events = finished
    for name in ("config.json", "ledger.sqlite", "report.html"):
        assert (folder / name).is_file()
    assert json.loads((folder / "config.json").read_text())["task"]["name"] == "digits"
    report = (folder / "report.html").read_text()
    with Ledger(folder / "ledger.sqlite") as ledger:
        assert ledger.content_hash()[:12] in report
        assert ledger.content_hash() == content_hash(events)


def test_best_holds_programs_whose_onnx_file_runs_with_the_recorded_weights(finished):
    folder, _ = finished
    programs = sorted((folder / "best").iterdir())
    assert programs
    for program in programs:
        model = onnx.load(program / "model.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert [value.name for value in model.graph.input] == ["input"]
        held = {tensor.name for tensor in model.graph.initializer}
        assert held >= {
            name
            for name in load_file(program / "model.safetensors")
            if not name.endswith("num_batches_tracked")
        }
        session = onnxruntime.InferenceSession(str(program / "model.onnx"))
        (logits,) = session.run(None, {"input": np.zeros((3, 1, 8, 8), np.float32)})
        assert logits.shape == (3, 10)
        assert "class Net" in (program / "model.py").read_text()


@pytest.mark.parametrize(
    "control", ["frozen-proposer", "no-predictor", "random-parents", "grammar", "best-of-n"]
)
def test_each_control_is_a_complete_run(tmp_path, control):
    events = run_search(tmp_path / control, tiny(control=control))
    assert of(events, "ended")
    proposed = [e for e in of(events, "proposed") if e.generation]
    assert proposed
    assert [e for e in of(events, "trained") if e.generation]
    learned = of(events, "proposer")[0].payload
    seeds = {e.payload["candidate"] for e in of(events, "proposed") if not e.generation}
    if control == "frozen-proposer":
        assert learned["promoted"] is None
        assert "frozen" in learned["reason"]
    if control == "no-predictor":
        assert {e.payload["why"] for e in of(events, "chosen") if e.generation} == {"random"}
    if control == "grammar":
        assert {e.payload["proposer"] for e in proposed} == {"grammar"}
        assert all(e.payload["token_count"] == 0 for e in proposed)
    if control == "best-of-n":
        assert all(set(e.payload["parents"]) <= seeds for e in proposed)
