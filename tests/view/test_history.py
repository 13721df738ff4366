import json
import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from evoprompt.errors import LedgerError
from evoprompt.ledger import STAGES, Event, Ledger, content_hash
from evoprompt.view.history import History, is_child, is_locked, open_history, replay
from evoprompt.view.records import STEPS
from evoprompt.view.report import render
from tests.view.synthetic_run import SEEDS, Builder, write_run


@pytest.fixture(scope="module")
def run() -> tuple[Builder, History]:
    builder = Builder(generations=4)
    return builder, replay(builder.build())


def in_key_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda e: (e.generation, STAGES.index(e.stage), e.index))


def test_every_prefix_of_a_run_can_be_replayed_and_reported() -> None:
    events = in_key_order(Builder(generations=3, proposals=12, trained=4).build())
    for end in range(len(events) + 1):
        history = replay(events[:end])
        history.front()
        history.funnel()
        history.winners()
        if end % 11 == 0 or end < 5:
            render(history)


def test_order_of_arrival_does_not_matter_to_what_was_found(run: tuple[Builder, History]) -> None:
    builder, arrived = run
    sorted_history = replay(in_key_order(builder.events))
    assert sorted_history.candidates == arrived.candidates
    assert sorted_history.funnel() == arrived.funnel()


def test_front_is_not_dominated_and_dominates_the_rest(run: tuple[Builder, History]) -> None:
    _, history = run
    front = history.front()
    assert len(front) > 2
    for candidate in history.measured:
        assert any(
            (f.parameters or 0) <= (candidate.parameters or 0)
            and (f.accuracy or 0) >= (candidate.accuracy or 0)
            for f in front
        )
    sizes = [c.parameters for c in front]
    accuracies = [c.accuracy for c in front]
    assert sizes == sorted(sizes)  # type: ignore[type-var]
    assert accuracies == sorted(set(accuracies))  # type: ignore[type-var]


def test_cells_fill_and_only_improve(run: tuple[Builder, History]) -> None:
    builder, history = run
    before = history.cells_at(0)
    assert 0 < len(before) <= len(SEEDS)
    for generation in range(1, history.generation + 1):
        cells = history.cells_at(generation)
        for cell, elite in before.items():
            assert (cells[cell].accuracy or 0) >= (elite.accuracy or 0)
        gone = set(history.changed_in(generation))
        assert {c for c in cells if cells[c] != before.get(c)} == gone
        before = cells
    assert {cell: elite.id for cell, elite in before.items()} == builder.cells


def test_funnel_narrows_and_its_losses_close_every_gap(run: tuple[Builder, History]) -> None:
    _, history = run
    for generation in [None, *range(history.generation + 1)]:
        counted = history.funnel(generation)
        reached = [counted.counts[step] for step in STEPS]
        assert reached == sorted(reached, reverse=True)
        if generation == 0:
            continue
        for before, step in pairwise(STEPS):
            lost = sum(loss.count for loss in counted.losses if loss.step == step)
            assert counted.counts[before] - counted.counts[step] == lost, step
    reasons = {loss.reason for loss in history.funnel().losses}
    assert {"bad_edit", "duplicate", "known_graph", "diverged", "not chosen"} <= reasons
    assert all(loss.example for loss in history.funnel().losses)


def test_funnels_of_the_versions_add_up(run: tuple[Builder, History]) -> None:
    _, history = run
    counts = [history.funnel_of(lambda p, v=v: is_child(p) and p.version == v).counts
              for v in history.versions()]  # fmt: skip
    for step in STEPS:
        assert sum(c[step] for c in counts) == history.funnel().counts[step]


def test_lineage_leads_from_a_seed_to_the_winner_along_parents(
    run: tuple[Builder, History],
) -> None:
    _, history = run
    for winner in history.winners():
        way = history.lineage(winner.id)
        assert way[0].is_seed
        assert way[-1] == winner
        for parent, child in pairwise(way):
            assert child.parents[0] == parent.id
            assert parent.generation < child.generation


def test_lineage_ends_where_parents_go_in_a_circle() -> None:
    payload = {"operator": "mutate", "template": "m", "token_count": 1}
    events = [
        Event(1, "propose", i, "proposed", {**payload, "candidate": a * 64, "parents": [b * 64]})
        for i, (a, b) in enumerate([("a", "b"), ("b", "a")])
    ]
    assert [c.id[0] for c in replay(events).lineage("a" * 64)] == ["b", "a"]


def test_best_so_far_never_falls_and_counts_trained_children(
    run: tuple[Builder, History],
) -> None:
    _, history = run
    bests = [p.best or 0.0 for p in history.progress]
    assert bests == sorted(bests)
    assert history.progress[-1].trained_count == history.totals.trained_count
    assert history.totals.seed_count == len(SEEDS)
    assert history.totals.cache_hit_count == 1
    small = history.candidates[history.progress[-1].small_candidate or ""]
    assert history.reference is not None
    assert (small.parameters or 0) <= (history.reference.parameters or 0)


def test_a_rank_correlation_that_is_no_number_is_left_out(run: tuple[Builder, History]) -> None:
    _, history = run
    assert history.audits[0].tau_prior is None
    assert history.audits[-1].tau_predictor is not None


def test_a_comparison_without_results_is_shown_as_such(run: tuple[Builder, History]) -> None:
    builder, _ = run
    bare = {"candidate": "a" * 64, "reference": "b" * 64, "parameters": 7, "seeds": 0}
    events = [*builder.events, Event(9, "final", 1000, "compared", bare)]
    history = replay(events)
    assert history.comparisons[-1].difference is None
    assert "a" * 8 in render(history)


def test_state_is_ended_stopped_or_running(tmp_path: Path) -> None:
    builder = Builder(generations=2)
    folder = write_run(tmp_path / "run", builder, builder.build()[:-1])
    assert open_history(folder).state == "stopped"
    with Ledger(folder / "ledger.sqlite", writable=True) as ledger:
        if Path("/proc/locks").exists():
            assert open_history(folder).state == "running"
        ledger.record(builder.events[-1:])
    assert not is_locked(folder / "lock")
    history = open_history(folder)
    assert history.state == "ended"
    assert history.stop_reason == "generations"
    assert history.content_hash == content_hash(in_key_order(builder.events))


def test_sources_are_read_by_id_and_by_nothing_else(tmp_path: Path) -> None:
    builder = Builder(generations=1)
    events = builder.build()
    evil = "../../secret"
    payload = {"candidate": evil, "parents": [], "operator": "mutate", "template": ""}
    events.append(Event(7, "propose", 0, "proposed", payload))
    (tmp_path / "secret.py").write_text("secret", encoding="utf-8")
    history = open_history(write_run(tmp_path / "runs" / "run", builder, events))
    first = history.seeds[0]
    assert history.source(first.id) == builder.sources[first.id]
    assert history.source(evil) is None
    assert history.source("f" * 64) is None


def test_a_missing_folder_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"no run folder at .*Expected.*ls runs"):
        open_history(tmp_path / "nothing")


def test_a_folder_that_is_no_run_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger at"):
        open_history(tmp_path)


def test_a_run_without_its_first_event_is_half_written(tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger.sqlite").close()
    with pytest.raises(LedgerError, match=r"half written.*another name"):
        open_history(tmp_path)


def test_a_run_of_another_version_is_one_message(tmp_path: Path) -> None:
    builder = Builder(generations=1)
    folder = write_run(tmp_path / "run", builder, builder.build())
    with sqlite3.connect(folder / "ledger.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LedgerError, match="format 99"):
        open_history(folder)


@pytest.mark.parametrize("damage", ["not json", json.dumps({"parents": 7}), json.dumps([1])])
def test_an_event_that_cannot_be_read_is_one_message(tmp_path: Path, damage: str) -> None:
    builder = Builder(generations=1)
    folder = write_run(tmp_path / "run", builder, builder.build())
    with sqlite3.connect(folder / "ledger.sqlite") as database:
        database.execute("UPDATE events SET payload = ? WHERE stage = 'propose'", (damage,))
    database.close()
    with pytest.raises(LedgerError, match="cannot be read"):
        open_history(folder)


def test_a_text_file_in_the_ledgers_place_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("hello" * 1000, encoding="utf-8")
    with pytest.raises(LedgerError, match="not a readable ledger"):
        open_history(tmp_path)
