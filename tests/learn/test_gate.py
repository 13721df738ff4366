import pytest

from evoprompt.learn.gate import Written, decide, is_lower, wilson


def wrote(valid=90, new=80, heredity: float | None = 0.6, samples=96, version="v"):
    return Written(version, samples, valid, new, heredity)


@pytest.mark.parametrize(
    ("new", "objections"),
    [
        (wrote(), ()),
        (wrote(valid=89, new=79), ()),  # one reply less is chance
        (wrote(valid=92, new=88, heredity=0.7), ()),
        (wrote(valid=78), ("fewer valid",)),
        (wrote(new=66), ("fewer new",)),
        (wrote(heredity=0.53), ("less heredity",)),
        (wrote(heredity=0.55), ()),
        (wrote(heredity=None), ("less heredity",)),
        (wrote(valid=0, new=0, heredity=None), ("fewer valid", "fewer new", "less heredity")),
        (wrote(0, 0, None, 0), ("no replies",)),
    ],
)
def test_a_version_is_refused_only_for_a_loss_that_chance_does_not_explain(new, objections):
    decision = decide(wrote(), new, 0.7)
    assert decision.objections == objections
    assert decision.is_promoted is not objections


@pytest.mark.parametrize(
    ("accuracy", "is_promoted"), [(None, False), (0.4, False), (0.5, False), (0.51, True)]
)
def test_held_out_pairs_must_be_ranked_better_than_by_chance(accuracy, is_promoted):
    assert decide(wrote(), wrote(), accuracy).is_promoted is is_promoted


def test_a_version_may_follow_one_that_wrote_nothing_valid():
    assert decide(wrote(0, 0, None), wrote(), 0.7).is_promoted


def test_of_equally_good_versions_one_in_ten_is_refused():
    import random

    rng = random.Random(0)

    def draw():
        return sum(rng.random() < 0.8 for _ in range(96))

    refused = sum(is_lower(draw(), 96, draw(), 96) for _ in range(2000)) / 2000
    assert 0.06 < refused < 0.13


def test_a_loss_of_a_quarter_is_nearly_always_seen():
    import random

    rng = random.Random(1)

    def draw(share):
        return sum(rng.random() < share for _ in range(96))

    seen = sum(is_lower(draw(0.8), 96, draw(0.6), 96) for _ in range(500)) / 500
    assert seen > 0.9


def test_the_line_names_all_four_figures_and_what_spoke_against():
    decision = decide(wrote(version="base"), wrote(78, 66, 0.5, version="v001"), 0.25)
    assert decision.line() == (
        "v001 78/96 valid, 66 new (0.59-0.77), heredity 0.50 against "
        "base 90/96 valid, 80 new (0.75-0.89), heredity 0.60; pairs 0.25: "
        "refused; fewer valid; fewer new; less heredity; "
        "held-out pairs ranked no better than by chance"
    )
    assert decide(wrote(), wrote(), 0.75).line().endswith("pairs 0.75: promoted")


def test_wilson_intervals_agree_with_published_values():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (score).
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
