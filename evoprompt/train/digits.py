"""scikit-learn's handwritten digits: 1,797 images of 8x8, scaled to 0..1; needs no network.

The split into train, validation and test is stratified and always the same for the same counts.
With 400 test examples the standard error near 97 % is .9 points: for quick looks and tests.
"""

import numpy as np

from evoprompt.candidate import TaskShape
from evoprompt.config import TaskSettings
from evoprompt.errors import TaskError
from evoprompt.train.tasks import Examples, TaskData

CLASS_COUNT = 10
TRAIN_MINIMUM = 300
SPLIT_SEED = 0


class Digits:
    """1,797 grey 8x8 digits, 10 classes."""

    def load(self, settings: TaskSettings) -> TaskData:
        """Read the images that come with scikit-learn and split them."""
        from sklearn.datasets import load_digits  # slow: imports scipy

        images, labels = load_digits(return_X_y=True)
        x = np.asarray(images / 16.0, dtype=np.float32).reshape(-1, 1, 8, 8)
        y = np.asarray(labels, dtype=np.int64)
        rest, test = _split(np.arange(len(y)), y, settings.test_count, "test_count")
        train, validation = _split(rest, y, settings.validation_count, "validation_count")
        return TaskData(
            shape=TaskShape("digits", (1, 8, 8), CLASS_COUNT),
            train=Examples(x[train], y[train]),
            validation=Examples(x[validation], y[validation]),
            test={"test": Examples(x[test], y[test])},
            test_count=len(test),
        )


TASK = Digits()


def _split(chosen: np.ndarray, y: np.ndarray, count: int, setting: str) -> tuple[np.ndarray, ...]:
    """Set `count` of the chosen examples aside, stratified by label."""
    from sklearn.model_selection import train_test_split

    most = len(chosen) - TRAIN_MINIMUM
    if not CLASS_COUNT <= count <= most:
        raise TaskError(
            f"task.{setting}: {count} of the {len(chosen)} digits that are left. Expected "
            f"{CLASS_COUNT} to {most}, so that {TRAIN_MINIMUM} remain for training. Use the preset "
            "digits, or --task.validation-count 400 --task.test-count 400."
        )
    left, aside = train_test_split(
        chosen, test_size=count, stratify=y[chosen], random_state=SPLIT_SEED
    )
    return np.sort(left), np.sort(aside)
