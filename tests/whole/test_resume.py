"""A search killed at random moments and resumed ends where one never killed ends."""

import random
import shutil
import time

import pytest

from evoprompt.ledger import content_hash
from tests.whole.searching import Killable, events_of, run_resume, run_search, tiny

# In the order in which a search of two generations passes them, every stage at least once.
KILLS = (
    "propose", "screen", "train", "propose", "repair", "score", "choose", "train", "archive",
    "rewrite", "learn", "propose", "score", "train", "learn", "final",
)  # fmt: skip
MAY_BE_MISSING = {"repair", "rewrite"}
"""Where nothing was rejected, nothing goes back; where all are canonical, none is written again."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_in_every_stage_and_resumed_equals_never_killed(finished, tmp_path):
    never_killed = finished[1]
    moment = time.time_ns()
    print(f"moments drawn from {moment}")
    rng = random.Random(moment)
    passed = {event.stage for event in never_killed}
    stages = [stage for stage in KILLS if stage in passed]
    assert set(KILLS) - passed <= MAY_BE_MISSING
    folders = (tmp_path / f"killed{number}" for number in range(len(KILLS)))
    while stages:  # a search that is past its last event of a stage when it resumes, ends: another
        folder = next(folders)
        stages = stages[kills(folder, stages, rng) :]
        killed = events_of(folder)
        assert [e.key for e in killed] == [e.key for e in never_killed]
        assert killed == never_killed or content_hash(killed) == content_hash(never_killed)


def kills(folder, stages, rng):
    """Kill a search in each of these stages and let it end; how many kills there were."""
    for number, stage in enumerate(stages):
        search = Killable(folder)
        if not search.wait_for_new_event_of(stage, 300):
            search.finish(60)
            return number
        time.sleep(rng.random() * 0.3)
        search.kill()
    Killable(folder).finish(300)
    return len(stages)


@pytest.mark.slow
def test_another_seed_gives_other_programs_and_another_hash(finished, tmp_path):
    never_killed = finished[1]
    other = run_search(tmp_path / "other", tiny(seed=1))

    def replies(events):
        return [e.payload["reply"] for e in events if e.kind == "proposed" and e.generation == 1]

    assert replies(other) != replies(never_killed)
    assert content_hash(other) != content_hash(never_killed)


@pytest.mark.slow
def test_resuming_a_search_that_has_ended_changes_nothing(finished, tmp_path):
    folder = tmp_path / "ended"
    shutil.copytree(finished[0], folder)
    assert run_resume(folder) == finished[1]
