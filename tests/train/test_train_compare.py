"""The comparison finds a difference that is there, and says when it cannot."""

import numpy as np
import pytest

from evoprompt.train.compare import compare, pack_bits

COUNT = 1003


def trainings(accuracies: list[float], seed: int) -> list[tuple[int, str]]:
    generator = np.random.default_rng(seed)
    rows = [generator.random(COUNT) < accuracy for accuracy in accuracies]
    return [(100 + index, pack_bits(row)) for index, row in enumerate(rows)]


def test_a_clear_difference_has_an_interval_that_excludes_zero():
    better, worse = trainings([0.95, 0.94, 0.95], 1), trainings([0.9, 0.89, 0.9], 2)
    found = compare(better, worse, COUNT)
    assert found.difference == pytest.approx(found.first_accuracy - found.second_accuracy)
    assert 0 < found.low < found.difference < found.high
    assert found.first_seeds == (100, 101, 102)
    reverse = compare(worse, better, COUNT)
    assert reverse.difference == pytest.approx(-found.difference)
    assert reverse.high < 0


def test_equal_programs_are_not_told_apart():
    found = compare(trainings([0.9, 0.9, 0.9], 1), trainings([0.9, 0.9, 0.9], 2), COUNT)
    assert found.low < 0 < found.high


def test_seeds_that_disagree_widen_the_interval():
    steady = compare(trainings([0.9, 0.9, 0.9], 1), trainings([0.9, 0.9, 0.9], 2), COUNT)
    shaky = compare(trainings([0.8, 0.9, 0.99], 1), trainings([0.9, 0.9, 0.9], 2), COUNT)
    assert shaky.high - shaky.low > 2 * (steady.high - steady.low)


def test_pairing_on_the_examples_narrows_the_interval():
    right = np.random.default_rng(0).random(COUNT) < 0.8
    better = right.copy()
    better[np.flatnonzero(~right)[:20]] = True
    found = compare([(1, pack_bits(better))], [(1, pack_bits(right))], COUNT)
    assert found.difference == pytest.approx(20 / COUNT)
    assert found.high - found.low < 0.02


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Two programs without seed spread; 95 % of 200 intervals would be 190."""
    hits = 0
    for draw in range(200):
        first, second = trainings([0.9] * 3, 2 * draw), trainings([0.88] * 3, 2 * draw + 1)
        found = compare(first, second, COUNT, resamples=200, seed=draw)
        hits += found.low <= 0.02 <= found.high
    assert hits >= 176


def test_the_same_seed_gives_the_same_interval():
    first, second = trainings([0.9], 1), trainings([0.9], 2)
    assert compare(first, second, COUNT, seed=3) == compare(first, second, COUNT, seed=3)
    assert compare(first, second, COUNT, seed=4) != compare(first, second, COUNT, seed=3)


def test_bits_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="not those of 2000"):
        compare(trainings([0.9], 1), trainings([0.9], 2), 2000)
    with pytest.raises(ValueError, match="at least one training"):
        compare([], trainings([0.9], 2), COUNT)
