from collections import Counter
from random import Random

import pytest

from evoprompt.propose.bandit import Outcome, beliefs, chances, draw

SHARES = {"mutate": 0.4, "cross": 0.2, "shrink": 0.2, "grow": 0.2}


def drawn(believed, count=2000):
    rng = Random(1)
    return Counter(draw(believed, rng) for _ in range(count))


def search(rates, seed, generations=20, prompts=16, entries=6):
    """Prompts by template in each generation of a made-up search with these rates of entering."""
    rng, outcomes, used = Random(seed), [], []
    for generation in range(generations):
        believed = beliefs(SHARES, outcomes)
        count = Counter(draw(believed, rng) for _ in range(prompts))
        weights = [count[name] * rates.get(name, 1.0) for name in count]
        entered = Counter(rng.choices(list(count), weights, k=entries))
        outcomes += [Outcome(generation, name, 100 * count[name], entered[name]) for name in count]
        used.append(count)
    return used


def test_before_anything_is_known_the_shares_are_the_templates_own():
    counts = drawn(beliefs(SHARES, []))
    for name, share in SHARES.items():
        assert counts[name] / 2000 == pytest.approx(share, abs=0.03)


def test_the_same_generator_draws_the_same():
    believed = beliefs(SHARES, [Outcome(1, "grow", 100, 3)])
    assert [draw(believed, Random(5)) for _ in range(9)] == [draw(believed, Random(5))] * 9


def test_a_template_whose_children_enter_more_often_gets_more_prompts():
    last = sum((search({"shrink": 3.0}, seed)[-1] for seed in range(20)), Counter())
    assert last["shrink"] > 0.5 * last.total()


def test_where_all_are_alike_none_takes_over_for_good():
    used = sum((sum(search({}, seed), Counter()) for seed in range(20)), Counter())
    assert all(0.1 < used[name] / used.total() < 0.45 for name in SHARES)


def test_a_template_that_brought_nothing_is_drawn_now_and_then():
    believed = beliefs(SHARES, [Outcome(1, "grow", 1000, 12), Outcome(1, "mutate", 1000, 0)])
    assert all(drawn(believed)[name] > 0 for name in SHARES)


def test_entries_are_counted_per_token():
    believed = beliefs(SHARES, [Outcome(1, "cross", 3000, 4), Outcome(1, "grow", 1000, 4)])
    assert believed["grow"].mean > 1 > believed["cross"].mean


def test_a_generation_in_which_everything_entered_says_nothing_of_one_template():
    """Early generations fill empty cells: a template that was used there is no better for it."""
    early, late = Outcome(1, "cross", 1000, 30), Outcome(2, "grow", 1000, 3)
    believed = beliefs({"cross": 0.5, "grow": 0.5}, [early, late])
    assert believed["cross"].mean == believed["grow"].mean == pytest.approx(1.0)


def test_templates_without_a_share_are_neither_drawn_nor_counted():
    believed = beliefs({**SHARES, "old": 0.0}, [Outcome(1, "gone", 50, 9)])
    assert set(believed) == set(SHARES)
    assert believed == beliefs(SHARES, [])


def test_chances_are_the_shares_of_draws():
    believed = beliefs(SHARES, [Outcome(1, "grow", 100, 3), Outcome(1, "mutate", 100, 1)])
    told, counts = chances(believed, Random(2)), drawn(believed)
    assert sum(told.values()) == pytest.approx(1.0)
    for name in SHARES:
        assert told[name] == pytest.approx(counts[name] / 2000, abs=0.06)
