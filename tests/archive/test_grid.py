"""The archive: an elite leaves its cell only for a better one, and nothing is clipped unseen."""

import random

import pytest

from evoprompt.archive import Archive, Elite, front
from evoprompt.config import ArchiveSettings


@pytest.fixture
def archive():
    return Archive(ArchiveSettings())


def test_an_elite_leaves_its_cell_only_for_a_better_one(archive):
    assert archive.add("a", 0.8, 5000, 50_000, 3).status == "new"
    assert archive.add("b", 0.7, 5000, 50_000, 3).status == "kept"
    assert archive.add("tie", 0.8, 5000, 50_000, 3).status == "kept"
    better = archive.add("c", 0.9, 5000, 50_000, 3)
    assert (better.status, better.replaced) == ("improved", "a")
    assert [e.candidate for e in archive.elites()] == ["c"]


def test_offering_the_same_again_in_the_same_order_gives_the_same_archive():
    rng = random.Random(0)
    offers = [
        (f"c{i}", rng.random(), rng.randrange(100, 10**6), rng.randrange(100, 10**7), 3)
        for i in range(300)
    ]
    first, second = Archive(ArchiveSettings()), Archive(ArchiveSettings())
    placements = [[a.add(*offer) for offer in offers] for a in (first, second)]
    assert placements[0] == placements[1]
    assert first.elites() == second.elites()
    assert first.qd_score == pytest.approx(sum(e.accuracy for e in first.elites()))


def test_every_cell_holds_the_best_that_was_offered_to_it(archive):
    rng = random.Random(1)
    best: dict = {}
    for i in range(500):
        accuracy, parameters = rng.random(), rng.randrange(50, 3 * 10**6)
        macs = parameters * rng.randrange(1, 500)
        placement = archive.add(f"c{i}", accuracy, parameters, macs, 2)
        best[placement.cell] = max(best.get(placement.cell, 0.0), accuracy)
    assert {e.cell: e.accuracy for e in archive.elites()} == best


def test_descriptors_outside_the_axes_are_counted(archive):
    assert not archive.add("in", 0.5, 1000, 10_000, 2).clipped
    assert archive.add("tiny", 0.5, 3, 10, 2).clipped
    assert archive.add("huge", 0.5, 50_000_000, 10**9, 2).clipped
    assert archive.clipped_count == 2


def test_axes_can_be_chosen():
    settings = ArchiveSettings(axes=("depth", "log_macs"), low=(0.0, 2.0), high=(24.0, 8.0))
    archive = Archive(settings)
    shallow, _ = archive.locate(1000, 10_000, 1)
    deep, _ = archive.locate(1000, 10_000, 23)
    assert shallow[0] < deep[0]
    assert shallow[1] == deep[1]


def test_the_front_holds_what_nothing_smaller_equals():
    elites = [
        Elite("small", 0.6, 100, 0, (0, 0)),
        Elite("worse", 0.5, 200, 0, (0, 0)),
        Elite("same", 0.6, 300, 0, (0, 0)),
        Elite("large", 0.9, 400, 0, (0, 0)),
    ]
    assert [e.candidate for e in front(elites)] == ["small", "large"]
