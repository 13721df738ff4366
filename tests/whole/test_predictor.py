"""What a search's predictor has learned from, and for which task it answers."""

import numpy as np
import pytest

from evoprompt.commands.score import ScoreCommand, score_files
from evoprompt.config import smoke
from surrogate import Surrogate

pytestmark = pytest.mark.slow
TASK, STEPS = "digits", float(smoke().train.recipe.steps)


def test_texts_name_the_task_and_labels_the_task_and_the_steps(finished):
    folder, events = finished
    texts = {e.payload["candidate"]: e.payload["text"] for e in events if e.kind == "screened"}
    assert all(text.split("\n")[0] == f"NET 1x8x8>10 task={TASK}" for text in texts.values())
    learned = Surrogate.load(folder / "predictor" / "v003").learned
    results = {texts[e.payload["candidate"]] for e in events if e.stage == "train"}
    assert set(learned.texts) == results
    assert set(learned.spaces) == {(TASK, STEPS)}


def test_who_names_no_task_asks_the_predictor_of_a_run_for_the_runs_own(finished):
    folder, events = finished
    predictor = Surrogate.load(folder / "predictor" / "v003", one_by_one=True)
    texts = [e.payload["text"] for e in events if e.kind == "screened"]
    plain = [text.replace(f" task={TASK}", "") for text in texts]
    named = predictor.score(texts, TASK, STEPS)
    assert np.array_equal(predictor.score(texts), named)
    assert np.array_equal(predictor.score(plain), named)


def test_a_program_is_scored_for_the_task_of_the_run(finished):
    folder, _ = finished
    programs = [each / "model.py" for each in sorted((folder / "best").iterdir())]
    lines = score_files(programs, ScoreCommand(run=folder))
    assert {line.verdict for line in lines} == {"valid"}
    predictor = Surrogate.load(folder / "predictor" / "v003", one_by_one=True)
    scales = predictor.score(predictor.learned.texts)[0]
    assert all(scales.min() - 0.2 < (line.mean or 0.0) < scales.max() + 0.2 for line in lines)
    sizes = {int(line.parameters or 0) for line in lines}
    assert len(sizes) == len(lines), "built for images of 8 x 8, not for the default task"


def test_intervals_are_recorded_with_the_scores_and_counted_afterwards(finished):
    _, events = finished
    scores = {e.payload["candidate"]: e.payload for e in events if e.kind == "scored"}
    assert all(0 <= each["low"] < each["high"] <= 1 for each in scores.values())
    results = {e.payload["candidate"]: e for e in events if e.stage == "train"}
    held = [
        (scores[each]["low"] <= event.payload["accuracy"] <= scores[each]["high"], event.generation)
        for each, event in results.items()
        if each in scores and event.kind != "failed"
    ]
    for event in events:
        if event.kind == "predictor":
            until = [inside for inside, generation in held if generation <= event.generation]
            assert event.payload["interval_count"] == event.payload["pairs"] == len(until)
            assert event.payload["held_count"] == sum(until)
    assert len(held) >= 4
