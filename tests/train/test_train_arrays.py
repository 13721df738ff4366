"""The user's own .npz: what is accepted, what is split off, and the message for everything else."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evoprompt.config import TaskSettings
from evoprompt.errors import TaskError
from evoprompt.train.tasks import Examples, TaskFiles, open_task


def arrays(count: int = 60, **more: Any) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((count, 3, 4)).astype(np.float32)
    return {"x_train": x, "y_train": np.arange(count) % 3, **more}


def opened(folder: Path, stored: dict[str, Any]) -> TaskFiles:
    np.savez(folder / "mine.npz", **stored)
    return open_task(TaskSettings(name="arrays", path=folder / "mine.npz"), folder / "data")


def train_of(files: TaskFiles) -> Examples:
    return Examples(np.load(files.path("train", "x")), np.load(files.path("train", "y")))


def test_given_sets_are_taken_as_they_are(tmp_path: Path):
    stored = arrays()
    stored |= {"x_val": stored["x_train"][:7] + 1, "y_val": stored["y_train"][:7]}
    stored |= {"x_test": stored["x_train"][:9] + 2, "y_test": stored["y_train"][:9].astype("uint8")}
    files = opened(tmp_path, stored)
    assert files.shape.in_shape == (3, 4)
    assert files.shape.num_classes == 3
    assert files.notes == ()
    assert np.array_equal(train_of(files).x, stored["x_train"])
    assert np.array_equal(files.validation().x, stored["x_val"])
    assert np.array_equal(files.test()["test"].y, stored["y_test"])


def test_missing_sets_are_split_off_and_it_is_said(tmp_path: Path):
    stored = arrays(100)
    files = opened(tmp_path, stored)
    sets = [train_of(files), files.validation(), files.test()["test"]]
    assert [len(each.y) for each in sets] == [70, 15, 15]
    together = {row.tobytes() for each in sets for row in each.x}
    assert together == {row.tobytes() for row in stored["x_train"]}
    assert len(files.notes) == 2
    assert "mine.npz has no x_val and y_val: 15 of 100" in files.notes[0]


def test_the_test_set_outlives_the_file(tmp_path: Path):
    files = opened(tmp_path, arrays())
    (tmp_path / "mine.npz").unlink()
    again = open_task(files.settings, files.folder)
    assert again == files
    assert len(again.test()["test"].y) == 9


def with_nan(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[4, 1, 1] = np.nan
    return x


PLAIN = arrays()
BAD = {
    "missing key": ({"x_train": PLAIN["x_train"]}, r"'y_train' is missing; it holds x_train\."),
    "half a pair": (arrays(x_val=PLAIN["x_train"]), r"'y_val' is missing"),
    "nan": (arrays(x_train=with_nan(PLAIN["x_train"])), r"NaN or infinity in 1 examples, .* 4"),
    "overflow": (arrays(x_train=np.full((60, 2), 1e300)), r"NaN or infinity in 60 examples"),
    "lengths": (
        arrays(y_train=np.arange(59) % 3),
        r"shape \(59,\) beside 60 examples in 'x_train'",
    ),
    "float labels": (arrays(y_train=np.zeros(60)), r"'y_train' has dtype float64"),
    "negative labels": (arrays(y_train=np.arange(60) - 1), r"labels from -1 to 58"),
    "ids as labels": (arrays(y_train=np.arange(60) * 10**6), r"labels from 0 to 59000000"),
    "one class": (arrays(y_train=np.zeros(60, int)), r"one class only"),
    "text": (arrays(x_train=np.full((60, 2), "a")), r"'x_train' has dtype <U1"),
    "no axes": (arrays(x_train=np.zeros(60)), r"shape \(60,\)"),
    "few": (arrays(20), r"20 training examples"),
    "shapes": (
        arrays(x_val=np.zeros((5, 3, 5)), y_val=np.arange(5) % 3),
        r"'x_val' holds examples of shape \(3, 5\)",
    ),
    "pickled": (arrays(x_train=np.array([{}] * 60)), r"cannot read 'x_train' \(Object arrays"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays_get_one_message_with_file_and_cure(name: str, tmp_path: Path):
    stored, message = BAD[name]
    with pytest.raises(TaskError, match=message) as caught:
        opened(tmp_path, stored)
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "mine.npz"))
    assert "Expected" in text
    assert "Write the file again" in text
    assert not (tmp_path / "data").exists()


def npy_bytes() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an .npz file"),
        (b"hello world", "not an .npz file"),
        (b"PK\x03\x04 truncated", "not an .npz file"),
        (pickle.dumps({"x_train": 1}), "not an .npz file"),
        (npy_bytes(), "one array, not an .npz archive"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(TaskError, match=message):
        open_task(TaskSettings(name="arrays", path=tmp_path / "mine.npz"), tmp_path / "data")


def test_a_missing_file_or_path_is_said(tmp_path: Path):
    with pytest.raises(TaskError, match="no such file"):
        open_task(TaskSettings(name="arrays", path=tmp_path / "none.npz"), tmp_path)
    with pytest.raises(TaskError, match=r"task\.path: .*--task\.path FILE\.npz"):
        open_task(TaskSettings(name="arrays"), tmp_path)
