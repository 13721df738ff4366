"""Accuracies as scores, and back."""

import numpy as np
import pytest
from scipy.stats import norm

from surrogate.labels import Scale, make_labels

CROWD = np.linspace(0.90, 0.92, 30)


def scale_of(accuracies: np.ndarray) -> Scale:
    texts = [str(number) for number in range(len(accuracies))]
    labels = make_labels(texts, accuracies.tolist(), [("", 0.0)] * len(texts))
    return labels.scales["", 0.0]


@pytest.mark.parametrize("seed", range(5))
def test_scores_lead_back_to_their_accuracies_and_keep_their_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    measured = np.concatenate([rng.beta(20, 2, 40), [0.1, 0.1, 0.995]])
    scale = scale_of(measured)
    asked = np.linspace(0.05, 0.997, 200)
    scores = scale.scores_of(asked)
    assert (np.diff(scores) > 0).all()
    np.testing.assert_allclose(scale.accuracies_of(scores), asked, atol=1e-9)


def test_a_crowd_of_children_is_not_far_apart_because_it_is_large() -> None:
    """By ranks alone thirty children within two points would fill most of the scale."""
    seeds = [0.6, 0.7]
    low, first, last = scale_of(np.concatenate([seeds, CROWD])).scores_of(
        np.array([seeds[0], CROWD[0], CROWD[-1]])
    )
    places = (np.array([0, len(seeds), len(CROWD) + 1]) + 0.5) / (len(CROWD) + len(seeds))
    rank_low, rank_first, rank_last = norm.ppf(places)
    share, by_rank = (
        (last - first) / (last - low),
        (rank_last - rank_first) / (rank_last - rank_low),
    )
    assert share < 0.8 * by_rank


def test_failed_trainings_push_the_others_little_together() -> None:
    spread = np.linspace(0.7, 0.9, 30)
    whole = scale_of(spread).scores_of(spread)
    failed = scale_of(np.concatenate([[0.1, 0.1], spread])).scores_of(spread)
    assert failed[-1] - failed[0] > 0.6 * (whole[-1] - whole[0])


def test_one_label_has_a_scale() -> None:
    scale = scale_of(np.array([0.5]))
    assert np.isfinite(scale.scores_of(np.array([0.2, 0.5, 0.9]))).all()
    assert scale.accuracies_of(np.zeros(1)) == pytest.approx(0.5)
