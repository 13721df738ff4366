"""A run that was begun before texts named the task and scores had intervals goes on."""

import shutil

import pytest

from evoprompt.ledger import Event, Ledger
from evoprompt.view.history import open_history
from evoprompt.view.report import render
from surrogate import Surrogate
from tests.view.synthetic_run import without_intervals
from tests.whole.searching import run_resume

pytestmark = pytest.mark.slow
KEPT = ("start", "propose", "repair", "screen", "score")  # stages of generation 1 before the kill


def test_a_run_of_before_goes_on_and_learns_from_old_and_new_texts(finished, tmp_path):
    folder = tmp_path / "old"
    old = [event for event in map(as_before, finished[1]) if is_kept(event)]
    make_run(finished[0], folder, old)
    events = run_resume(folder)
    assert events[: len(old)] == old
    assert events[-1].kind == "ended"
    texts = [e.payload["text"] for e in events if e.kind == "screened"]
    assert {"task=digits" in text for text in texts} == {True, False}
    predictor = Surrogate.load(folder / "predictor" / "v003")
    assert predictor.label_count == len([e for e in events if e.stage == "train"])
    assert set(predictor.learned.tasks) == {"digits"}
    first, last = (
        next(e.payload for e in events if e.kind == "predictor" and e.generation == generation)
        for generation in (1, 2)
    )
    assert first["pairs"] > first["interval_count"] == 0
    assert last["interval_count"] == last["pairs"] - first["pairs"] > 0
    held = f"held {last['held_count']} of {last['interval_count']} results"
    assert held in render(open_history(folder))


def as_before(event: Event) -> Event:
    """The event as it would have been recorded then."""
    event = without_intervals(event)
    if event.kind != "screened":
        return event
    text = event.payload["text"].replace(" task=digits", "")
    return Event(*event.key, event.kind, {**event.payload, "text": text}, event.clock)


def is_kept(event: Event) -> bool:
    return event.generation == 0 or (event.generation == 1 and event.stage in KEPT)


def make_run(finished, folder, events):
    """A run folder that was killed after these events, with the predictor of that time."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("ledger*", "lock", "v0*"))
    with Ledger.create(folder / "ledger.sqlite") as ledger:
        ledger.record(events)
    texts = {e.payload["candidate"]: e.payload["text"] for e in events if e.kind == "screened"}
    results = [e.payload for e in events if e.stage == "train"]
    labels = [(texts[each["candidate"]], each["accuracy"]) for each in results]
    Surrogate.load().fit(*zip(*labels, strict=True)).save(folder / "predictor" / "v001")
