import random
from collections import Counter

import pytest

from evoprompt.learn.pairs import (
    ORDER,
    PAIRS_PER_EVIDENCE,
    Sibling,
    compare,
    count_by_evidence,
    preferences,
)


def sibling(reply, gain=None, predicted=None, is_valid=True, is_new=True, prompt="p", obeys=None):
    return Sibling(prompt, reply, is_valid, is_new, gain, predicted, obeys)


def won(a, b):
    """(the better text, the kind of evidence), or None."""
    found = compare(a, b)
    return found and (found.preference.better_text, found.preference.evidence)


def test_a_measured_gain_decides_even_against_the_prediction():
    assert won(sibling("a", 0.1, 0.9), sibling("b", 0.3, 0.0)) == ("b", "measured")


def test_predictions_decide_where_one_was_not_trained():
    assert won(sibling("a", 0.1, 0.4), sibling("b", None, 0.1)) == ("a", "predicted")


def test_what_the_prompt_asked_decides_before_any_gain():
    obedient, stubborn = sibling("a", 0.0, obeys=True), sibling("b", 0.5, obeys=False)
    assert won(obedient, stubborn) == ("a", "asked")
    assert won(stubborn, obedient) == ("a", "asked")
    assert won(sibling("a", 0.0, obeys=True), sibling("b", 0.5, obeys=True)) == ("b", "measured")
    assert won(sibling("a", 0.0, obeys=True), sibling("b", 0.5)) == ("b", "measured")


def test_a_child_that_failed_loses_however_obedient_the_others_are():
    assert won(sibling("a", obeys=False), sibling("b", is_valid=False, is_new=False)) == (
        "a",
        "valid",
    )


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (sibling("a", 0.301), sibling("b", 0.300)),
        (sibling("a", 0.0), sibling("b", 0.0)),
        (sibling("a", predicted=0.31), sibling("b", predicted=0.30)),
        (sibling("a", 0.9), sibling("b", predicted=0.1)),
        (sibling("a"), sibling("b")),
        (sibling("a", is_valid=False, is_new=False), sibling("b", is_new=False)),
    ],
)
def test_without_enough_evidence_there_is_no_preference(a, b):
    assert compare(a, b) is None


@pytest.mark.parametrize("flaw", [{"is_valid": False, "is_new": False}, {"is_new": False}])
def test_a_valid_and_new_child_beats_one_that_failed_or_was_known(flaw):
    assert won(sibling("bad", 0.99, 0.99, **flaw), sibling("good")) == ("good", "valid")


def test_only_siblings_are_compared():
    assert preferences([sibling("a", 0.5, prompt="p"), sibling("b", 0.9, prompt="q")]) == []


def family():
    rng = random.Random(0)
    made = [sibling(f"t{i}", rng.random(), rng.random()) for i in range(4)]
    made += [sibling(f"s{i}", None, rng.random()) for i in range(6)]
    return made + [sibling(f"x{i}", is_valid=False, is_new=False) for i in range(6)]


def test_each_prompt_has_at_most_the_cap_and_the_strongest_evidence_comes_first():
    made = preferences(family(), cap=8)
    assert len(made) == 8
    places = [ORDER.index(pair.evidence) for pair in made]
    assert places == sorted(places)
    assert places[0] == 0
    for side in ("better_text", "worse_text"):
        texts = [getattr(pair, side) for pair in made]
        assert max(texts.count(text) for text in texts) <= 3


def test_no_kind_of_evidence_crowds_out_the_others():
    counts = Counter(pair.evidence for pair in preferences(family(), cap=99))
    assert max(counts.values()) == PAIRS_PER_EVIDENCE
    assert set(counts) == {"measured", "valid", "predicted"}
    assert count_by_evidence(preferences(family(), cap=99)) == {
        "measured": 4,
        "asked": 0,
        "valid": 4,
        "predicted": 4,
    }


def test_measured_pairs_weigh_most():
    weights = {pair.evidence: pair.weight for pair in preferences(family(), cap=99)}
    assert weights["measured"] > weights["predicted"] > 0


def test_the_order_of_siblings_does_not_matter():
    rng = random.Random(1)
    made = [sibling(f"t{i}", round(rng.random(), 1), 0.5) for i in range(8)]
    assert preferences(made) == preferences(list(reversed(made)))


def test_the_same_text_twice_stands_for_its_better_outcome():
    twice = [sibling("a", 0.9), sibling("a", is_new=False), sibling("b", 0.5)]
    made = preferences(twice)
    assert [(pair.better_text, pair.worse_text) for pair in made] == [("a", "b")]
