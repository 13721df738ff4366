"""A candidate's identity, files that are whole or absent, and randomness by name."""

import errno
import os

import pytest

from evoprompt.candidate import Reason, Stage, TaskShape, candidate_id, normalise, rejected
from evoprompt.chance import derive, generator
from evoprompt.errors import StorageError
from evoprompt.storage import write_atomically


def test_the_same_program_has_the_same_id_however_its_lines_end():
    plain = "class Net:\n    x = 1\n"
    for other in (
        plain.replace("\n", "\r\n"),
        plain + "\n\n",
        "\n" + plain,
        "class Net:  \n    x = 1",
    ):
        assert candidate_id(other) == candidate_id(plain)
    assert candidate_id(plain.replace("1", "2")) != candidate_id(plain)


def test_normalising_twice_changes_nothing():
    text = "\r\n a \r\nb\t\n\n"
    assert normalise(normalise(text)) == normalise(text)


def test_the_detail_of_a_rejection_is_cut():
    assert len(rejected(Stage.BUILD, Reason.BUILD_ERROR, "x" * 10**6).detail) == 500


def test_randomness_depends_on_names_only():
    assert derive(0, 1, "propose", 2) == derive(0, 1, "propose", 2)
    assert len({derive(s, g, w) for s in range(5) for g in range(5) for w in "ab"}) == 50
    assert generator(0, "a").random() == generator(0, "a").random()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    write_atomically(path, b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device.*Free some space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]


def test_a_folder_that_is_a_file_is_said_so(tmp_path):
    (tmp_path / "graphs").write_text("")
    with pytest.raises(StorageError, match="graphs"):
        write_atomically(tmp_path / "graphs" / "a.onnx", b"")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("mnist1d", "mnist1d"),
        ("my_data-2.1", "my_data-2.1"),
        ("my data\n{x5", "my-data-x5"),
        ("größe", "gr-e"),
        ("...", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_the_word_of_a_task_is_one_that_a_text_may_carry(name, word):
    assert TaskShape(name, (1, 40), 10).word == word
