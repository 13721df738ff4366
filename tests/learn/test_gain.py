import math

import pytest

from evoprompt.learn.gain import Point, area, gain

CHANCE = 0.1
PARENT = Point(0.9, 10_000)


def test_the_area_is_accuracy_above_chance_times_decades_below_ten_million():
    assert area(PARENT, CHANCE) == pytest.approx(0.8 * 3)
    assert area(Point(0.1, 100), CHANCE) == 0.0
    assert area(Point(0.05, 100), CHANCE) == 0.0
    assert area(Point(0.9, 20_000_000), CHANCE) == 0.0


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (Point(0.9, 10_000), 0.0),
        (Point(0.8, 20_000), 0.0),  # dominated
        (Point(0.9, 1_000), 0.8),  # a tenth of the size at the same accuracy
        (Point(0.95, 10_000), 0.05 * 3),
        (Point(0.95, 1_000), 0.8 + 0.05 * 4),  # better on both axes
        (Point(0.8, 1_000), 0.7),  # smaller and worse: only its own corner counts
        (Point(0.95, 100_000), 0.05 * 2),  # larger and better
        (Point(0.1, 10), 0.0),  # as small as can be, and guessing
    ],
)
def test_the_gain_is_the_area_outside_the_parents(child, expected):
    assert gain(PARENT, child, CHANCE) == pytest.approx(expected)


def test_the_gain_is_the_growth_of_the_union_of_both_areas():
    for accuracy in (0.05, 0.3, 0.9, 0.97):
        for parameters in (10, 3_000, 10_000, 40_000, 10**8):
            child = Point(accuracy, parameters)
            cells = [(a / 200, d / 40) for a in range(20, 200) for d in range(0, 280)]

            def covers(point, cell):
                decades = 7 - math.log10(point.parameters)
                return cell[0] < point.accuracy and cell[1] < decades

            grown = sum(covers(child, c) and not covers(PARENT, c) for c in cells) / (200 * 40)
            assert gain(PARENT, child, CHANCE) == pytest.approx(grown, abs=0.05)
