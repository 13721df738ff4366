import pytest

from evoprompt.learn.gate import GateCount, gate, promotion, wilson


def count(valid_new, replies=64, version="v"):
    return GateCount(version, replies, valid_new)


@pytest.mark.parametrize(
    ("old", "new", "is_promoted"),
    [
        (count(40), count(40), True),
        (count(40), count(41), True),
        (count(40), count(39), False),
        (count(20, 32), count(40, 64), True),
        (count(21, 32), count(41, 64), False),
        (count(0), count(0), True),
        (count(0, 0), count(5), True),
        (count(5), count(0, 0), False),
    ],
)
def test_a_version_is_promoted_only_if_its_rate_is_not_lower(old, new, is_promoted):
    assert promotion(old, new).is_promoted is is_promoted


def test_the_decision_carries_both_figures_with_intervals():
    decision = promotion(count(32, version="base"), count(48, version="v001"))
    assert (decision.old.rate, decision.new.rate) == (0.5, 0.75)
    assert decision.old_interval == pytest.approx((0.381, 0.619), abs=1e-3)
    assert decision.new_interval[0] < 0.75 < decision.new_interval[1]
    assert decision.line() == (
        "v001 48/64 (0.63-0.84) against base 32/64 (0.38-0.62), valid and new: promoted"
    )


def test_wilson_intervals_agree_with_published_values():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (score).
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_both_versions_are_asked_the_same_way_the_old_one_first():
    asked = []

    def write(version):
        asked.append(version)
        return {"base": 10, "v001": 12}[version]

    decision = gate("base", "v001", write, lambda version, n: GateCount(version, 64, n))
    assert asked == ["base", "v001"]
    assert decision.is_promoted
    assert (decision.old.version, decision.new.version) == ("base", "v001")
