"""The user's own data: one .npz with x_train, y_train and, if there, x_val, y_val, x_test, y_test.

Everything is checked here, at the door, the test arrays too. A missing validation or test set is
split off the train set, always in the same way, and the notes say so. Values are taken as they are:
nothing is scaled or standardised.
"""

import zipfile
from pathlib import Path

import numpy as np

from evoprompt.candidate import TaskShape
from evoprompt.config import TaskSettings
from evoprompt.errors import TaskError
from evoprompt.train.tasks import Examples, TaskData

SPLIT_SEED = 0
SPLIT_SHARE = 0.15  # of the train set, for each set that is missing
TRAIN_MINIMUM = 20
CLASS_LIMIT = 100_000  # more is a column of ids, not of labels
_KEYS = {"validation": ("x_val", "y_val"), "test": ("x_test", "y_test")}


class Arrays:
    """Labelled arrays of the user's: x (N, *in_shape) numbers, y (N,) integers from 0."""

    def load(self, settings: TaskSettings) -> TaskData:
        """Read and check the file."""
        path = settings.path
        if path is None:
            raise TaskError(
                "task.path: the task 'arrays' has no file. Expected an .npz with x_train and "
                "y_train. Give it with --task.path FILE.npz."
            )
        stored = _read(path)
        train = _examples(path, stored, "x_train", "y_train")
        given = {
            split: _examples(path, stored, *keys)
            for split, keys in _KEYS.items()
            if keys[0] in stored or keys[1] in stored
        }
        sets, notes = _split_missing(path, train, given)
        _check_shapes(path, sets)
        count = 1 + max(int(examples.y.max()) for examples in sets.values())
        if count < 2:
            raise _error(path, "y_train holds one class only", "at least two classes")
        return TaskData(
            shape=TaskShape("arrays", sets["train"].x.shape[1:], count),
            train=sets["train"],
            validation=sets["validation"],
            test={"test": sets["test"]},
            test_count=len(sets["test"].y),
            notes=notes,
        )


TASK = Arrays()


def _error(path: Path, wrong: str, expected: str) -> TaskError:
    return TaskError(
        f"{path}: {wrong}. Expected {expected}. Write the file again with "
        "numpy.savez(path, x_train=..., y_train=...)."
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    """Every array of the file; pickled objects are refused."""
    if not path.is_file():
        raise TaskError(
            f"{path}: no such file. Expected an .npz with x_train and y_train. Check --task.path."
        )
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _error(path, f"not an .npz file ({error})", "an archive of arrays") from None
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise _error(path, "one array, not an .npz archive", "an archive of arrays")
    stored: dict[str, np.ndarray] = {}
    with loaded:
        for key in loaded.files:
            try:
                stored[key] = loaded[key]
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                raise _error(path, f"cannot read '{key}' ({error})", "plain numbers") from None
    return stored


def _examples(path: Path, stored: dict[str, np.ndarray], x_key: str, y_key: str) -> Examples:
    """One checked pair of arrays."""
    for key in (x_key, y_key):
        if key not in stored:
            keys = ", ".join(stored) or "nothing"
            raise _error(path, f"'{key}' is missing; it holds {keys}", f"{x_key} and {y_key}")
    return Examples(_inputs(path, x_key, stored[x_key]), _labels(path, y_key, stored, x_key))


def _inputs(path: Path, key: str, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "fiub":
        raise _error(path, f"'{key}' has dtype {x.dtype}", "real numbers")
    if x.ndim < 2 or 0 in x.shape:
        raise _error(path, f"'{key}' has shape {x.shape}", "(examples, ...) with no empty axis")
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(x, dtype=np.float32)
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if bad.any():
        wrong = f"'{key}' holds NaN or infinity in {int(bad.sum())} examples"
        raise _error(path, f"{wrong}, first in {int(bad.argmax())}", "finite float32 values")
    return x


def _labels(path: Path, key: str, stored: dict[str, np.ndarray], x_key: str) -> np.ndarray:
    y, count = stored[key], len(stored[x_key])
    if y.dtype.kind not in "iub" or y.dtype.kind == "b":
        raise _error(path, f"'{key}' has dtype {y.dtype}", "integer labels 0, 1, 2, ...")
    if y.shape != (count,):
        wrong = f"'{key}' has shape {y.shape} beside {count} examples in '{x_key}'"
        raise _error(path, wrong, f"shape ({count},)")
    if int(y.min()) < 0 or int(y.max()) >= CLASS_LIMIT:
        wrong = f"'{key}' holds labels from {int(y.min())} to {int(y.max())}"
        raise _error(path, wrong, f"labels from 0 to at most {CLASS_LIMIT - 1}")
    return np.ascontiguousarray(y, dtype=np.int64)


def _split_missing(
    path: Path, train: Examples, given: dict[str, Examples]
) -> tuple[dict[str, Examples], tuple[str, ...]]:
    """Split what is missing off the train set; returns all three sets and what was done."""
    missing = [split for split in _KEYS if split not in given]
    count = len(train.y)
    aside = round(SPLIT_SHARE * count) if missing else 0
    if count - aside * len(missing) < TRAIN_MINIMUM or (missing and aside < 2):
        raise _error(path, f"{count} training examples", f"at least {2 * TRAIN_MINIMUM}")
    order = np.random.default_rng(SPLIT_SEED).permutation(count) if missing else np.arange(count)
    sets, notes = dict(given), list[str]()
    for index, split in enumerate(missing):
        chosen = np.sort(order[index * aside : (index + 1) * aside])
        sets[split] = Examples(train.x[chosen], train.y[chosen])
        keys = " and ".join(_KEYS[split])
        notes.append(f"{path.name} has no {keys}: {aside} of {count} training examples are used")
    kept = np.sort(order[aside * len(missing) :])
    sets["train"] = Examples(train.x[kept], train.y[kept])
    return sets, tuple(notes)


def _check_shapes(path: Path, sets: dict[str, Examples]) -> None:
    """All three sets must hold examples of one shape."""
    expected = sets["train"].x.shape[1:]
    for split, (x_key, _) in _KEYS.items():
        shape = sets[split].x.shape[1:]
        if shape != expected:
            raise _error(path, f"'{x_key}' holds examples of shape {shape}", f"{expected}")
