"""Choosing: the reserve is a fair draw, the judge's word counts, and cells are spread."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from evoprompt.choose import Option, choose, expected_improvement


def options(count=20):
    return [
        Option(f"c{i:02d}", 0.5 + i / 100, 0.02, i / count, (i % 5, 0), 0.6, 0.6)
        for i in range(count)
    ]


def test_expected_improvement_of_a_certain_candidate_is_the_difference():
    assert expected_improvement(0.9, 0.0, 0.8) == pytest.approx(0.1)
    assert expected_improvement(0.7, 0.0, 0.8) == 0.0


def test_expected_improvement_agrees_with_sampling():
    rng = random.Random(0)
    sampled = sum(max(0.0, rng.gauss(0.7, 0.1) - 0.75) for _ in range(200_000)) / 200_000
    assert expected_improvement(0.7, 0.1, 0.75) == pytest.approx(sampled, abs=3e-4)


def test_a_quarter_of_the_slots_and_at_least_one_is_drawn_at_random():
    for slots, reserve in [(1, 1), (2, 1), (4, 1), (8, 2), (9, 3)]:
        whys = Counter(
            c.why for c in choose(options(), slots, 0.25, "predictor", 1.0, random.Random(1))
        )
        assert whys["reserve"] == reserve
        assert whys["predictor"] == slots - reserve


def test_the_reserve_does_not_depend_on_the_scores():
    better_first = [replace(o, mean=1 - o.mean) for o in options()]

    def reserve(pool):
        chosen = choose(pool, 8, 0.25, "predictor", 1.0, random.Random(7))
        return [c.candidate for c in chosen if c.why == "reserve"]

    assert reserve(options()) == reserve(better_first)


def test_nobody_is_chosen_twice_and_cells_are_spread():
    chosen = choose(options(), 7, 0.25, "predictor", 1.0, random.Random(3))
    names = [c.candidate for c in chosen]
    assert len(set(names)) == 7
    cells = [int(c.candidate[1:]) % 5 for c in chosen if c.why == "predictor"]
    assert len(set(cells)) == len(cells)


def test_the_prior_chooses_the_largest_when_it_is_the_judge():
    chosen = choose(options(), 4, 0.25, "prior", 1.0, random.Random(3))
    judged = [c for c in chosen if c.why == "prior"]
    reserve = {c.candidate for c in chosen if c.why == "reserve"}
    best = max((o for o in options() if o.candidate not in reserve), key=lambda o: o.prior)
    assert judged[0].candidate == best.candidate


def test_without_a_judge_everything_is_drawn_at_random():
    chosen = choose(options(), 5, 0.25, "random", 1.0, random.Random(3))
    assert [c.why for c in chosen] == ["random"] * 5


def test_fewer_options_than_slots_and_none_at_all():
    assert len(choose(options(3), 8, 0.25, "predictor", 1.0, random.Random(0))) == 3
    assert choose([], 8, 0.25, "predictor", 1.0, random.Random(0)) == []
