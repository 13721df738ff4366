"""The cheap member: boosted trees on Weisfeiler-Lehman counts and graph features.

In: columns of labelled networks and their scores; out: scores of others. LightGBM on one thread,
nothing random but its own fixed seeds.
Axes: N networks, C columns.
"""

from typing import Any

import numpy as np

SETTINGS: dict[str, Any] = {
    "objective": "l2",
    "learning_rate": 0.07,
    "num_leaves": 15,
    "min_data_in_leaf": 4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.3,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
TREES = 150


class Trees:
    """Boosted trees, fitted."""

    def __init__(self, columns_NC: np.ndarray, scores_N: np.ndarray) -> None:
        import lightgbm

        data = lightgbm.Dataset(columns_NC, scores_N, params=SETTINGS)
        self.booster = lightgbm.train({**SETTINGS, "seed": 0}, data, num_boost_round=TREES)

    def predict(self, columns_NC: np.ndarray) -> np.ndarray:
        """Expected scores."""
        return np.asarray(self.booster.predict(columns_NC, num_threads=1))
