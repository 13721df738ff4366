"""Bad input ends in one clear line, exit code 2, no traceback, and nothing recorded is lost."""

import json
import shutil
import sqlite3
import subprocess

import numpy as np
import pytest

from evoprompt.cli import main
from evoprompt.ledger import content_hash
from tests.whole.searching import run_resume


def refused(capsys, *words):
    """Run the command, expect exit code 2 and one line, and return that line."""
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    assert exit_.value.code == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("evoprompt:")]
    assert len(lines) == 1, errors
    return lines[0]


def search(capsys, tmp_path, *words):
    line = refused(capsys, "search", "smoke", "--runs", tmp_path, "--run", "bad", *words)
    assert not (tmp_path / "bad").exists(), "a run that could not start leaves no folder"
    return line


def test_an_unknown_command(capsys):
    assert "'search'" in refused(capsys, "serach")


def test_an_unknown_preset(capsys):
    assert "Did you mean 'mnist1d'?" in refused(capsys, "search", "mnist1", "--run", "x")


def test_an_unknown_setting_is_refused_by_name(capsys, tmp_path):
    with pytest.raises(SystemExit) as exit_:
        main(["search", "smoke", "--run", "x", "--runs", str(tmp_path), "--budget.generation", "1"])
    assert exit_.value.code == 2
    assert "--budget.generations" in capsys.readouterr().err


def test_an_unknown_task(capsys, tmp_path):
    config = tmp_path / "task.toml"
    config.write_text("[task]\nname = 'minst1d'\n")
    line = search(capsys, tmp_path, "--config", config)
    assert "task.name" in line
    assert "mnist1d, digits, arrays" in line


def test_a_run_name_that_exists(capsys, tmp_path):
    (tmp_path / "there").mkdir()
    line = refused(capsys, "search", "smoke", "--runs", tmp_path, "--run", "there")
    assert "exists already" in line
    assert "evoprompt resume" in line


def test_an_unknown_template_variable(capsys, tmp_path):
    prompts = tmp_path / "prompts"
    shutil.copytree("prompts", prompts)
    path = prompts / "mutate.md"
    path.write_text(path.read_text().replace("parents[0].accuracy", "parents[0].acuracy"))
    line = search(capsys, tmp_path, "--prompts", prompts)
    assert "mutate.md" in line
    assert "acuracy" in line
    assert "accuracy" in line.replace("acuracy", "")


def test_a_template_with_a_syntax_error(capsys, tmp_path):
    prompts = tmp_path / "prompts"
    shutil.copytree("prompts", prompts)
    path = prompts / "cross.md"
    path.write_text(path.read_text() + "\n{% if %}\n")
    assert "cross.md, line" in search(capsys, tmp_path, "--prompts", prompts)


def test_a_prompt_folder_that_is_missing(capsys, tmp_path):
    assert "nowhere" in search(capsys, tmp_path, "--prompts", tmp_path / "nowhere")


def test_a_model_path_that_is_missing(capsys, tmp_path):
    assert "nowhere" in search(capsys, tmp_path, "--proposer.model", tmp_path / "nowhere")


def model_copy(tmp_path):
    import evoprompt.propose

    source = next(iter(evoprompt.propose.__path__)) + "/builtin"
    shutil.copytree(source, tmp_path / "model")
    return tmp_path / "model"


def test_a_truncated_weight_file(capsys, tmp_path):
    weights = model_copy(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    line = search(capsys, tmp_path, "--proposer.model", tmp_path / "model")
    assert "model.safetensors" in line


def test_a_pickled_weight_file(capsys, tmp_path):
    model = model_copy(tmp_path)
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    line = search(capsys, tmp_path, "--proposer.model", model)
    assert "safetensors" in line


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"x_train": np.zeros((20, 1, 8))}, "y_train"),
        ({"x_train": np.full((20, 1, 8), np.nan), "y_train": np.arange(20) % 2}, "NaN"),
        ({"x_train": np.zeros((20, 1, 8)), "y_train": np.arange(19) % 2}, "19"),
    ],
)
def test_arrays_that_are_no_task(capsys, tmp_path, arrays, word):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    line = search(capsys, tmp_path, "--task.name", "arrays", "--task.path", path)
    assert word in line
    assert "mine.npz" in line


@pytest.mark.slow
def test_limits_under_which_the_reference_does_not_fit(capsys, tmp_path):
    words = ["search", "smoke", "--runs", tmp_path, "--run", "x", "--screen.max-macs", "100"]
    line = refused(capsys, *words)
    assert "too_large" in line
    assert "--screen.max-macs" in line


def test_a_run_folder_that_is_missing(capsys, tmp_path):
    for command in ("resume", "show"):
        assert "nowhere" in refused(capsys, command, tmp_path / "nowhere")


def test_a_file_to_score_that_is_missing(capsys, tmp_path):
    assert "not an existing" in refused(capsys, "score", tmp_path / "net.py")


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.slow
def test_a_run_folder_of_another_version(capsys, copy):
    database = sqlite3.connect(copy / "ledger.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    for command in ("resume", "show"):
        assert "format 99" in refused(capsys, command, copy)


@pytest.mark.slow
def test_a_half_written_run_folder(capsys, copy):
    database = sqlite3.connect(copy / "ledger.sqlite")
    database.execute("DELETE FROM events")
    database.commit()
    database.close()
    assert "half written" in refused(capsys, "resume", copy)
    assert "half written" in refused(capsys, "show", copy)


@pytest.mark.slow
def test_settings_in_the_ledger_that_this_version_does_not_know(capsys, copy):
    database = sqlite3.connect(copy / "ledger.sqlite")
    (text,) = database.execute("SELECT payload FROM events WHERE stage = 'start'").fetchone()
    payload = json.loads(text)
    payload["settings"]["budget"]["moons"] = 3
    database.execute(
        "UPDATE events SET payload = ? WHERE stage = 'start' AND idx = 0", (json.dumps(payload),)
    )
    database.commit()
    database.close()
    assert "budget.moons" in refused(capsys, "resume", copy)


@pytest.mark.slow
def test_a_damaged_predictor_is_named_and_the_ledger_is_kept(capsys, copy, finished):
    for weights in copy.glob("predictor/*/*.safetensors"):
        weights.write_bytes(b"\x80\x04pickle?")
    assert "predictor" in refused(capsys, "resume", copy)
    shutil.rmtree(copy / "predictor")
    shutil.copytree(finished[0] / "predictor", copy / "predictor")
    assert run_resume(copy) == finished[1]


@pytest.mark.slow
def test_a_full_disk_stops_the_search_and_loses_nothing(capsys, tmp_path, finished):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        line = refused(capsys, "search", "smoke", "--runs", disk, "--run", "full")
        assert "Free some space" in line
        if (disk / "full").exists():
            subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
            assert content_hash(run_resume(disk / "full")) == content_hash(finished[1])
    finally:
        subprocess.run(["umount", str(disk)], check=True)
