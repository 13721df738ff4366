"""A run's data: what each task provides, what is kept on the disk, and what bad data gets."""

import dataclasses
import errno
import os
import random
from pathlib import Path

import numpy as np
import pytest

from evoprompt.config import TaskSettings
from evoprompt.errors import StorageError, TaskError
from evoprompt.train import mnist1d
from evoprompt.train.tasks import Examples, TaskFiles, find_task, open_task
from tests.train.conftest import DIGITS

LINES = TaskSettings(name="mnist1d", validation_count=205, test_count=310)


def rows(examples: Examples) -> set[bytes]:
    return {row.tobytes() for row in examples.x}


def check_form(examples: Examples, count: int, in_shape: tuple[int, ...]) -> None:
    assert examples.x.shape == (count, *in_shape)
    assert examples.y.shape == (count,)
    assert examples.x.dtype == np.float32
    assert examples.y.dtype == np.int64


def train_of(files: TaskFiles) -> Examples:
    return Examples(np.load(files.path("train", "x")), np.load(files.path("train", "y")))


def test_digits_are_scaled_and_split_by_the_counts(files: TaskFiles):
    train, validation, test = train_of(files), files.validation(), files.test()["test"]
    check_form(train, 1797 - 300 - 203, (1, 8, 8))
    check_form(validation, 300, (1, 8, 8))
    check_form(test, 203, (1, 8, 8))
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert rows(train).isdisjoint(rows(validation) | rows(test))
    assert rows(validation).isdisjoint(rows(test))
    assert np.bincount(validation.y).min() >= 28
    assert (files.train_count, files.validation_count, files.test_count) == (1294, 300, 203)


def test_the_same_settings_give_the_same_data_and_others_do_not(files: TaskFiles, tmp_path: Path):
    again = open_task(DIGITS, tmp_path / "again")
    other = open_task(dataclasses.replace(DIGITS, validation_count=301), tmp_path / "other")
    assert again.fingerprint == files.fingerprint
    assert other.fingerprint != files.fingerprint


def test_an_intact_folder_is_not_written_again(tmp_path: Path):
    first = open_task(DIGITS, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert open_task(DIGITS, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_damaged_file_is_made_again(tmp_path: Path):
    first = open_task(DIGITS, tmp_path)
    expected = first.path("validation", "y").read_bytes()
    first.path("validation", "y").write_bytes(expected[:-3])
    first.path("test", "x").unlink()
    assert open_task(DIGITS, tmp_path) == first
    assert first.path("validation", "y").read_bytes() == expected
    assert len(first.test()["test"].y) == 203


def test_mnist1d_trains_on_the_standard_set_and_validates_on_fresh_samples(tmp_path: Path):
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()[1].tobytes()
    files = open_task(LINES, tmp_path)
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == states

    from mnist1d.data import get_dataset_args, make_dataset

    standard = make_dataset(get_dataset_args())
    train, validation = train_of(files), files.validation()
    check_form(train, 4000, (1, 40))
    check_form(validation, 205, (1, 40))
    assert np.array_equal(train.x[:, 0], standard["x"].astype(np.float32))
    assert np.array_equal(train.y, standard["y"])

    assert not files.path("test", "x").exists()
    tests = files.test()
    assert list(tests) == ["test", "standard"]
    check_form(tests["test"], 310, (1, 40))
    assert np.array_equal(tests["standard"].x[:, 0], standard["x_test"].astype(np.float32))
    sets = [rows(each) for each in (train, validation, *tests.values())]
    assert len(set.union(*sets)) == sum(len(each) for each in sets) == 4000 + 205 + 310 + 1000


def test_mnist1d_is_made_once_and_damage_in_the_cache_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = open_task(LINES, tmp_path / "first")
    damaged = mnist1d._cache_path("seed1042-205")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    asked: list[int] = []
    real = mnist1d._generate

    def counting(seed: int, count: int) -> Examples:
        asked.append(seed)
        return real(seed, count)

    monkeypatch.setattr(mnist1d, "_generate", counting)
    assert open_task(LINES, tmp_path / "second").fingerprint == first.fingerprint
    assert open_task(LINES, tmp_path / "third").fingerprint == first.fingerprint
    assert asked == [mnist1d.VALIDATION_SEED]


def test_mnist1d_works_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(path: Path, data: bytes) -> None:
        raise StorageError(f"cannot write {path}")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "read-only"))
    monkeypatch.setattr(mnist1d, "write_atomically", refuse)
    few = np.zeros((5000, 1, 40), np.float32), np.zeros(5000, np.int64)
    monkeypatch.setattr(mnist1d, "_generate", lambda seed, count: Examples(*few))
    assert open_task(LINES, tmp_path / "data").train_count == 4000
    assert "made anew" in caplog.text


def test_too_few_or_too_many_examples_are_refused(tmp_path: Path):
    with pytest.raises(TaskError, match=r"validation_count: 9 .*too few"):
        open_task(dataclasses.replace(LINES, validation_count=9), tmp_path)
    with pytest.raises(TaskError, match=r"test_count: 10000 of the 1797 digits.*preset digits"):
        open_task(TaskSettings(name="digits"), tmp_path)


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(TaskError, match=r"unknown task 'minst1d'.*Did you mean 'mnist1d'\?"):
        find_task("minst1d")


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left on device"):
            open_task(DIGITS, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert open_task(DIGITS, tmp_path).train_count == 1294
