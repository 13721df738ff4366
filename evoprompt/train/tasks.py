"""Tasks: where the data comes from, and the files of a run that hold it.

In: `TaskSettings`. Out: `TaskFiles`, the record of a run's data folder: one .npy file per array,
written once, checked by hash when it is opened again. Training is handed the train files only;
validation and test stay with the trusted side, and the test files are first opened when they are
asked for. Adding a task: one file with a `Task`, its name in `_MODULES` and `config.TaskSettings`.
"""

import difflib
import hashlib
import importlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from evoprompt.candidate import TaskShape
from evoprompt.config import TaskSettings
from evoprompt.errors import TaskError
from evoprompt.storage import write_atomically

FORMAT = 1
_MODULES = {"mnist1d": "mnist1d", "digits": "digits", "arrays": "arrays"}
_MANIFEST = "data.json"
_TEST_MANIFEST = "test.json"

Json = dict[str, Any]


@dataclass(frozen=True)
class Examples:
    """Inputs and labels: x float32 (N, *in_shape), y int64 (N,) with 0 <= y < num_classes."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class TaskData:
    """What a task provides."""

    shape: TaskShape
    train: Examples
    validation: Examples
    test: Mapping[str, Examples] | Callable[[], Mapping[str, Examples]]
    """`test`, and further sets by name; a function where making them is slow, called when asked."""
    test_count: int
    notes: tuple[str, ...] = ()
    """What a person should know about how the data was made."""


class Task(Protocol):
    """A source of labelled examples, which depend on the settings only, never on a run's seed."""

    def load(self, settings: TaskSettings) -> TaskData:
        """Make or read the data.

        Raises:
            TaskError: The data cannot be used; says what, where, what was expected, what to do.
        """
        ...


@dataclass(frozen=True)
class TaskFiles:
    """A run's data folder; the arrays are opened when they are asked for."""

    folder: Path
    settings: TaskSettings
    shape: TaskShape
    train_count: int
    validation_count: int
    test_count: int
    fingerprint: str
    """SHA-256 over the train and validation arrays: the same data, the same fingerprint."""
    notes: tuple[str, ...] = ()

    def path(self, split: str, array: str) -> Path:
        """The file of one array (x or y) of train, validation, test or a further test set."""
        return self.folder / f"{split}_{array}.npy"

    def validation(self) -> Examples:
        """Open the validation examples."""
        return _read(self, "validation")

    def test(self) -> dict[str, Examples]:
        """Open the test sets by name, `test` first; the first call of a run makes their files."""
        names = _intact(self.folder, _TEST_MANIFEST, self.settings)
        if names is None:
            test = find_task(self.settings.name).load(self.settings).test
            sets = test() if callable(test) else test
            _write(self.folder, _TEST_MANIFEST, self.settings, sets, {})
            names = _intact(self.folder, _TEST_MANIFEST, self.settings)
            assert names is not None
        return {name: _read(self, name) for name in names["splits"]}


def find_task(name: str) -> Task:
    """Return the task of that name.

    Raises:
        TaskError: No such task; names the nearest one.
    """
    if name not in _MODULES:
        close = difflib.get_close_matches(name, _MODULES, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else " Choose one of these."
        raise TaskError(f"task.name: unknown task '{name}'. Known: {', '.join(_MODULES)}.{hint}")
    return importlib.import_module(f"evoprompt.train.{_MODULES[name]}").TASK


def open_task(settings: TaskSettings, folder: Path) -> TaskFiles:
    """Prepare a run's data folder, or open it where it is there and intact.

    Raises:
        TaskError: The data cannot be used.
        StorageError: The folder cannot be written.
    """
    manifest = _intact(folder, _MANIFEST, settings)
    if manifest is None:
        data = find_task(settings.name).load(settings)
        if not callable(data.test):
            _write(folder, _TEST_MANIFEST, settings, data.test, {})
        splits = {"train": data.train, "validation": data.validation}
        _write(folder, _MANIFEST, settings, splits, _described(data))
        manifest = _intact(folder, _MANIFEST, settings)
        assert manifest is not None
    shape = manifest["shape"]
    return TaskFiles(
        folder=folder,
        settings=settings,
        shape=TaskShape(shape["name"], tuple(shape["in_shape"]), shape["num_classes"]),
        train_count=manifest["splits"]["train"],
        validation_count=manifest["splits"]["validation"],
        test_count=manifest["test_count"],
        fingerprint=_fingerprint(manifest["hashes"]),
        notes=tuple(manifest["notes"]),
    )


def _described(data: TaskData) -> Json:
    shape = data.shape
    return {
        "shape": {
            "name": shape.name,
            "in_shape": list(shape.in_shape),
            "num_classes": shape.num_classes,
        },
        "test_count": data.test_count,
        "notes": list(data.notes),
    }


def _asked(settings: TaskSettings) -> Json:
    """The settings as the manifest holds them; other settings, other data."""
    return {
        "name": settings.name,
        "path": str(settings.path) if settings.path else None,
        "validation_count": settings.validation_count,
        "test_count": settings.test_count,
    }


def _write(
    folder: Path, manifest: str, settings: TaskSettings, splits: Mapping[str, Examples], more: Json
) -> None:
    """Write the arrays, and then the manifest that says they are complete."""
    hashes: dict[str, str] = {}
    for split, examples in splits.items():
        for array, values in (("x", examples.x), ("y", examples.y)):
            buffer = io.BytesIO()
            np.save(buffer, np.ascontiguousarray(values), allow_pickle=False)
            name = f"{split}_{array}.npy"
            write_atomically(folder / name, buffer.getvalue())
            hashes[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    counts = {split: len(examples.y) for split, examples in splits.items()}
    record = {
        "format": FORMAT, "settings": _asked(settings), "splits": counts, "hashes": hashes, **more
    }  # fmt: skip
    write_atomically(folder / manifest, json.dumps(record, indent=1).encode())


def _intact(folder: Path, manifest: str, settings: TaskSettings) -> Json | None:
    """The manifest, if it is for these settings and every file is as it was written; else None."""
    try:
        record = json.loads((folder / manifest).read_bytes())
        if record["format"] != FORMAT or record["settings"] != _asked(settings):
            return None
        for name, expected in record["hashes"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record


def _fingerprint(hashes: Mapping[str, str]) -> str:
    text = "\n".join(f"{name} {value}" for name, value in sorted(hashes.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _read(files: TaskFiles, split: str) -> Examples:
    x, y = (np.load(files.path(split, array), allow_pickle=False) for array in "xy")
    return Examples(x, y)
