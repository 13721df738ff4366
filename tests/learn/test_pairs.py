import random

import pytest

from evoprompt.learn.pairs import MEASURED, PREDICTED, VALIDITY, Sibling, compare, preferences


def sibling(reply, accuracy=None, score=None, is_valid=True, is_new=True, prompt="p"):
    return Sibling(prompt, reply, is_valid, is_new, accuracy, score)


def test_measured_accuracy_decides_first_even_against_the_prediction():
    found = compare(sibling("a", 0.90, 0.99), sibling("b", 0.95, 0.50))
    assert found is not None
    assert (found[0].better_text, found[0].worse_text) == ("b", "a")
    assert found[0].weight == MEASURED


def test_predictions_decide_where_one_was_not_trained():
    found = compare(sibling("a", 0.90, 0.80), sibling("b", None, 0.60))
    assert found is not None
    assert (found[0].better_text, found[0].weight) == ("a", PREDICTED)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (sibling("a", 0.901), sibling("b", 0.900)),
        (sibling("a", score=0.91), sibling("b", score=0.90)),
        (sibling("a", 0.9), sibling("b", score=0.1)),
        (sibling("a"), sibling("b")),
        (sibling("a", is_valid=False, is_new=False), sibling("b", is_new=False)),
    ],
)
def test_without_enough_evidence_there_is_no_preference(a, b):
    assert compare(a, b) is None


@pytest.mark.parametrize("flaw", [{"is_valid": False, "is_new": False}, {"is_new": False}])
def test_a_valid_and_new_child_beats_one_that_failed_or_was_known(flaw):
    found = compare(sibling("bad", 0.99, 0.99, **flaw), sibling("good"))
    assert found is not None
    assert (found[0].better_text, found[0].worse_text) == ("good", "bad")
    assert found[0].weight == VALIDITY


def test_only_siblings_are_compared():
    made = preferences([sibling("a", 0.5, prompt="p"), sibling("b", 0.9, prompt="q")])
    assert made == []


def test_each_prompt_has_at_most_the_cap_and_the_strongest_evidence_comes_first():
    rng = random.Random(0)
    family = [sibling(f"t{i}", rng.random(), rng.random()) for i in range(4)]
    family += [sibling(f"s{i}", None, rng.random()) for i in range(6)]
    family += [sibling(f"x{i}", is_valid=False, is_new=False) for i in range(6)]
    made = preferences(family, cap=8)
    assert len(made) == 8
    weights = [pair.weight for pair in made]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == MEASURED
    for side in ("better_text", "worse_text"):
        texts = [getattr(pair, side) for pair in made]
        assert max(texts.count(text) for text in texts) <= 3


def test_the_order_of_siblings_does_not_matter():
    rng = random.Random(1)
    family = [sibling(f"t{i}", round(rng.random(), 1), 0.5) for i in range(8)]
    assert preferences(family) == preferences(list(reversed(family)))


def test_the_same_text_twice_stands_for_its_better_outcome():
    twice = [sibling("a", 0.9), sibling("a", is_new=False), sibling("b", 0.5)]
    made = preferences(twice)
    assert [(pair.better_text, pair.worse_text) for pair in made] == [("a", "b")]
