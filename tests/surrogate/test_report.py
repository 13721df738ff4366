"""The figures of a report, checked against what is known of made-up predictions."""

from itertools import combinations

import numpy as np
import pytest

from surrogate.charts import ticks
from surrogate.data import Table
from surrogate.errors import SurrogateError
from surrogate.page import render
from surrogate.report import (
    MemberFigure,
    Predictions,
    Report,
    coverage,
    expected_best,
    make_report,
    noise_of,
    regrets,
    transfers,
)
from surrogate.score import Surrogate


def text(width: int, layers: int = 2) -> str:
    lines = ["NET 1x40>10", f"Conv k3 1>{width} IN @{width}x40", f"Relu @{width}x40"]
    for _ in range(layers):
        lines += [f"Conv k3 {width}>{width} @{width}x40", f"Relu @{width}x40"]
    return "\n".join([*lines, f"ReduceMean a2 @{width}", f"Linear {width}>10 @10"])


def predictions(
    mean: np.ndarray, accuracy: np.ndarray, spread: float = 0.05, tasks: tuple[str, ...] = ()
) -> Predictions:
    """Networks of growing size, so that the prior ranks them as they stand."""
    count = len(mean)
    texts = tuple(text(4 + number) for number in range(count))
    spreads = np.full(count, spread)
    intervals = {0.9: (mean - 1.645 * spreads, mean + 1.645 * spreads)}
    return Predictions(texts, mean, spreads, intervals, accuracy, tasks or ("",) * count, "made up")


def made(mean: np.ndarray, accuracy: np.ndarray, tasks: tuple[str, ...] = ()) -> Report:
    members = [MemberFigure("prior", 0.5, 0.0), MemberFigure("process", 0.9, 1.0)]
    return make_report("Predictor <x>", predictions(mean, accuracy, tasks=tasks), members, "Noise.")


def test_a_perfect_predictor_of_what_size_does_not_say() -> None:
    accuracy = np.random.default_rng(0).permutation(np.linspace(0.5, 0.9, 60))
    report = made(accuracy, accuracy)
    predictor, prior = report.correlations
    assert predictor.tau == pytest.approx((1, 1, 1))
    assert predictor.rho == pytest.approx((1, 1, 1))
    assert prior.tau[1] < 0.1 < prior.tau[2] + 0.2
    assert [each.predictor for each in report.regrets] == [0, 0, 0]
    assert report.verdict.startswith("It ranks better than size alone (Kendall tau +")
    assert report.served == 1.0


def test_shuffled_predictions_are_called_worse_than_size() -> None:
    rng = np.random.default_rng(1)
    accuracy = np.linspace(0.5, 0.9, 80) + rng.normal(0, 0.02, 80)
    report = made(rng.permutation(accuracy), accuracy)
    assert "worse than size alone" in report.verdict
    assert "rank by the prior instead" in report.verdict
    low, high = report.correlations[0].tau[1:]
    assert low < 0 < high


def test_size_itself_cannot_be_told_from_size() -> None:
    accuracy = np.linspace(0.5, 0.9, 40)
    assert "cannot be told" in made(accuracy, accuracy).verdict


def test_the_expected_best_of_a_random_choice_is_that_of_all_choices() -> None:
    accuracy = np.random.default_rng(2).uniform(0, 1, 9)
    for choice in (1, 3, 9):
        every = [max(chosen) for chosen in combinations(accuracy.tolist(), choice)]
        assert expected_best(accuracy, choice) == pytest.approx(np.mean(every))


def test_regret_is_the_best_that_was_missed() -> None:
    accuracy = np.array([0.2, 0.9, 0.5, 0.6, 0.7, 0.1])
    predicted = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.4])
    first, second = regrets(predicted, -predicted, accuracy)
    assert first.predictor == pytest.approx(0.7)
    assert first.prior == pytest.approx(0.4)
    assert second.choice == 5
    assert second.predictor == second.prior == 0
    assert first.random == pytest.approx(0.9 - accuracy.mean())


def test_spreads_that_promise_too_much_are_seen_and_conformal_ones_hold() -> None:
    rng = np.random.default_rng(3)
    mean = rng.uniform(0.4, 0.8, 400)
    said = predictions(mean, mean + rng.normal(0, 0.05, 400), spread=0.02)
    for level, normal in ((0.5, 0.21), (0.8, 0.39), (0.95, 0.57)):
        found = coverage(said, level)
        assert found.spread == pytest.approx(normal, abs=0.06)
        assert found.conformal == pytest.approx(level, abs=0.03)
    assert coverage(said, 0.9).conformal == pytest.approx(0.49, abs=0.06)  # as the predictor said


def test_tasks_are_judged_apart() -> None:
    accuracy = np.random.default_rng(4).uniform(0.2, 0.9, 40)
    mean = np.where(np.arange(40) < 20, accuracy, -accuracy)
    report = made(mean, accuracy, tasks=("digits",) * 20 + ("mnist1d",) * 20)
    found = {each.name: each.tau[0] for each in report.correlations[2:]}
    assert found == pytest.approx({"task digits": 1.0, "task mnist1d": -1.0})


def test_transfer_learns_from_the_other_families_only() -> None:
    """In one family depth helps, in the other it harms: neither teaches the other."""
    shapes = [(width, layers) for width in (6, 9, 12, 15) for layers in range(1, 8)]
    texts = [text(*shape) for shape in shapes] + [text(w + 1, n) for w, n in shapes]
    helps = [0.5 + 0.05 * n + 0.001 * w for w, n in shapes]
    harms = [0.9 - 0.05 * n + 0.001 * w for w, n in shapes]
    origins = ("ours",) * len(shapes) + ("theirs",) * len(shapes)
    table = Table(tuple(texts), tuple(helps + harms), None, None, origins)
    ours, theirs = transfers(Surrogate.load(), table)
    assert (ours.name, ours.trained, ours.tested) == ("ours", len(shapes), len(shapes))
    assert ours.tau < 0
    assert theirs.tau < 0
    assert ours.prior > 0.3 > theirs.prior
    alone = Table(tuple(texts), tuple(helps + harms), None, None, ("ours",) * len(texts))
    assert transfers(Surrogate.load(), alone) == ()


def test_noise_comes_from_repeated_trainings_of_one_space() -> None:
    texts, accuracies = ["a", "a", "b", "b", "c"], [0.50, 0.52, 0.70, 0.74, 0.9]
    said = noise_of(texts, accuracies, [("", 1.0)] * 5)
    assert "2.24 points" in said  # root of (2 * .01^2 + 2 * .02^2) / 2
    assert "2 networks" in said
    apart = noise_of(texts, accuracies, [("", 1.0), ("", 2.0)] * 2 + [("", 1.0)])
    assert "not known" in apart


def test_too_few_networks_are_no_report() -> None:
    with pytest.raises(SurrogateError, match="3 networks"):
        made(np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.2, 0.3]))


def test_the_page_stands_alone_and_escapes_what_people_wrote() -> None:
    accuracy = np.random.default_rng(5).uniform(0.2, 0.9, 40)
    page = render(made(accuracy, accuracy))
    assert "<h1>Predictor &lt;x&gt;</h1>" in page
    assert "://" not in page
    assert "<script" not in page
    assert page.count("<svg") == 2
    assert page.count('<circle class="inside"') == 40
    assert "prefers-color-scheme:dark" in page


def test_a_picture_of_equal_predictions_can_be_drawn() -> None:
    page = render(made(np.full(10, 0.5), np.full(10, 0.5)))
    assert "nan" not in page


def test_ticks_are_round_and_few() -> None:
    assert ticks(0.0, 1.0)[:2] == [0.0, 0.2]
    assert ticks(0.823, 0.851) == [0.825, 0.83, 0.835, 0.84, 0.845, 0.85]
    for low, high in ((0.1, 0.11), (0.0, 0.95), (0.37, 0.52)):
        assert 4 <= len(ticks(low, high)) <= 10
