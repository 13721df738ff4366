"""MNIST-1D (Greydanus, arXiv 2011.14439), generated here and never downloaded.

Train: the standard 4,000. Validation and test: fresh samples of the same generator under other
seeds, so that error bars are as small as wanted. The standard 1,000 test examples come along as
the test set `standard`, for comparison with the literature. Made once and kept in the user's cache,
with a hash; the generator standardises each of its sets, so nothing is standardised here.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evoprompt.candidate import TaskShape
from evoprompt.config import TaskSettings
from evoprompt.errors import StorageError, TaskError
from evoprompt.storage import write_atomically
from evoprompt.train.tasks import Examples, TaskData

STANDARD_SEED = 42  # of mnist1d.data.get_dataset_args
STANDARD_COUNT = 5000
STANDARD_TRAIN_COUNT = 4000
VALIDATION_SEED = 1042
TEST_SEED = 2042
CLASS_COUNT = 10


class Mnist1d:
    """40 samples of a noisy, shifted, scaled digit drawn as a line; 10 classes."""

    def load(self, settings: TaskSettings) -> TaskData:
        """Make the train and validation sets, or take them from the cache."""
        for name in ("validation_count", "test_count"):
            count = getattr(settings, name)
            if count < CLASS_COUNT:
                raise TaskError(
                    f"task.{name}: {count} examples are too few for mnist1d. Expected at least "
                    f"{CLASS_COUNT}, one of each class. Choose a larger count."
                )
        return TaskData(
            shape=TaskShape("mnist1d", (1, 40), CLASS_COUNT),
            train=_standard("train"),
            validation=_fresh(VALIDATION_SEED, settings.validation_count),
            test=lambda: {
                "test": _fresh(TEST_SEED, settings.test_count),
                "standard": _standard("test"),
            },
            test_count=settings.test_count,
        )


TASK = Mnist1d()


def _standard(part: str) -> Examples:
    """The standard 4,000 (part train) or 1,000 (part test) examples."""
    cached = _read_cache(f"standard-{part}")
    if cached is None:
        whole = _generate(STANDARD_SEED, STANDARD_COUNT)
        cut = STANDARD_TRAIN_COUNT
        _write_cache("standard-train", Examples(whole.x[:cut], whole.y[:cut]))
        _write_cache("standard-test", Examples(whole.x[cut:], whole.y[cut:]))
        chosen = slice(None, cut) if part == "train" else slice(cut, None)
        cached = Examples(whole.x[chosen], whole.y[chosen])
    return cached


def _fresh(seed: int, count: int) -> Examples:
    """`count` examples of the generator under another seed."""
    name = f"seed{seed}-{count}"
    examples = _read_cache(name)
    if examples is None:
        whole = _generate(seed, -(-count // CLASS_COUNT) * CLASS_COUNT)
        examples = Examples(whole.x[:count], whole.y[:count])
        _write_cache(name, examples)
    return examples


def _generate(seed: int, count: int) -> Examples:
    """Run the package's generator (1.4 s for 5,000), leaving the global generators as they were."""
    from mnist1d.data import get_dataset_args, make_dataset  # slow: imports requests and scipy
    from mnist1d.utils import ObjectView

    changed = {"seed": seed, "num_samples": count, "train_split": 1.0}
    with _global_generators_restored():
        made = make_dataset(ObjectView({**vars(get_dataset_args()), **changed}))
    return Examples(made["x"].astype(np.float32)[:, None, :], made["y"].astype(np.int64))


@contextlib.contextmanager
def _global_generators_restored() -> Iterator[None]:
    """The package seeds the generators of random and numpy; give them back as they were."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _cache_path(name: str) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    version = importlib.metadata.version("mnist1d")
    return Path(root) / "evoprompt" / f"mnist1d-{version}" / f"{name}.npz"


def _read_cache(name: str) -> Examples | None:
    """The cached examples, or None if they are not there or not what was written."""
    path = _cache_path(name)
    try:
        data = path.read_bytes()
        expected = path.with_suffix(".sha256").read_text().strip()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != expected:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Examples(arrays["x"], arrays["y"])


def _write_cache(name: str, examples: Examples) -> None:
    """Keep the examples for the next run; without a cache a run is slower and nothing else."""
    path, buffer = _cache_path(name), io.BytesIO()
    np.savez(buffer, x=examples.x, y=examples.y)
    data = buffer.getvalue()
    try:
        write_atomically(path, data)
        write_atomically(path.with_suffix(".sha256"), hashlib.sha256(data).hexdigest().encode())
    except StorageError as error:
        logging.getLogger(__name__).warning("mnist1d is made anew in every run: %s", error)
