"""Encoders that labels have taught: an honest fourth member that survives saving."""

from pathlib import Path

import numpy as np
import pytest

from surrogate import finetune
from surrogate.errors import SurrogateError
from surrogate.report import kendall_tau
from surrogate.score import Surrogate
from tests.surrogate.test_score import family

COUNT = 340  # some 240 of them distinct


@pytest.fixture(scope="module")
def fitted() -> Surrogate:
    texts, accuracies = family(COUNT)
    return Surrogate.load().fit(texts, list(accuracies))


@pytest.fixture(scope="module")
def tuned(fitted: Surrogate) -> Surrogate:
    shares: list[float] = []
    found = fitted.fine_tuned(shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    return found


def test_it_learns_and_what_is_held_out_is_no_flattery(tuned: Surrogate) -> None:
    texts, accuracies = family(COUNT + 200)
    member = tuned.members[-1]
    assert member.name == "tuned"
    assert sum(each.weight for each in tuned.members) == pytest.approx(1)
    assert tuned.tuned is not None
    new = kendall_tau(tuned.tuned.scores(texts[COUNT:]), accuracies[COUNT:])
    assert new > 0.7
    assert member.tau == pytest.approx(new, abs=0.1)
    assert kendall_tau(tuned.score(texts[COUNT:])[0], accuracies[COUNT:]) > 0.8


def test_the_frozen_encoders_are_not_touched(fitted: Surrogate, tuned: Surrogate) -> None:
    texts, _ = family(10)
    assert fitted.tuned is None
    assert len(fitted.members) == 3
    np.testing.assert_allclose(fitted.embed(texts), Surrogate.load().embed(texts), atol=1e-6)
    assert fitted.version != tuned.version


def test_shuffled_labels_are_found_out() -> None:
    texts, accuracies = family(COUNT)
    shuffled = np.random.default_rng(0).permutation(accuracies)
    found = Surrogate.load().fit(texts, list(shuffled)).fine_tuned()
    assert abs(found.members[-1].tau) < 0.2


def test_saving_keeps_it_and_other_labels_are_refused(tuned: Surrogate, tmp_path: Path) -> None:
    texts, _ = family(30, seed=5)
    tuned.save(tmp_path / "a")
    again = Surrogate.load(tmp_path / "a")
    assert again.version == tuned.version
    assert again.members == tuned.members
    for left, right in zip(again.score(texts), tuned.score(texts), strict=True):
        np.testing.assert_array_equal(left, right)
    more, accuracies = family(COUNT + 9)
    other = Surrogate.load().fit(more, list(accuracies)).learned
    Surrogate(tuned.base, other, tuned.tuned).save(tmp_path / "b")
    with pytest.raises(SurrogateError, match="fine-tuned on other labels"):
        Surrogate.load(tmp_path / "b")


def test_few_labels_are_left_to_the_frozen_encoders() -> None:
    texts, accuracies = family(finetune.FEWEST)  # some stand twice
    few = Surrogate.load().fit(texts, list(accuracies))
    assert few.fine_tuned() is few
