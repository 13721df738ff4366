"""Trainer: what is measured is the graph, failures are values, and the test data waits its turn."""

import dataclasses
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from evoprompt.candidate import Reason, Rejected, Stage, Trained, TrainJob
from evoprompt.config import Recipe
from evoprompt.errors import ConfigError, StorageError
from evoprompt.jail import Outcome
from evoprompt.train import trainer as trainer_module
from evoprompt.train.child import build
from evoprompt.train.message import pack
from evoprompt.train.tasks import TaskFiles
from evoprompt.train.trainer import Trainer
from tests.train.conftest import CNN, HEAD, record

MakeJob = Callable[..., TrainJob]

HOSTILE = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(64, num_classes)

    def forward(self, x):
        if self.training:
            {action}
        return self.head(x.flatten(1))
"""
)


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    def make(source: str = CNN, recorded: str = "", **changes: Any) -> TrainJob:
        name = hashlib.sha256((source + recorded).encode()).hexdigest()[:8]
        graph = tmp_path / f"{name}.onnx"
        if not graph.exists():
            graph.write_bytes(record(recorded or source))
        weights = tmp_path / "weights" / f"{name}.safetensors"
        made = TrainJob(name, source, f"graph {name}", str(graph), str(weights), seed=5)
        return dataclasses.replace(made, **changes)

    return make


def one(trainer: Trainer, job: TrainJob) -> Trained | Rejected:
    ((index, result),) = trainer.train_all([job])
    assert index == 0
    return result


def set_recipe(trainer: Trainer, patch: pytest.MonkeyPatch, **changes: Any) -> None:
    recipe = Recipe(steps=changes.pop("steps", 20), batch_size=32, learning_rate=0.02)
    settings = dataclasses.replace(trainer.settings, recipe=recipe, **changes)
    patch.setattr(trainer, "settings", settings)


def test_a_small_cnn_learns_the_digits_and_is_measured_as_torch_would(
    trainer: Trainer, job: MakeJob, monkeypatch: pytest.MonkeyPatch
):
    set_recipe(trainer, monkeypatch, steps=200)
    asked = job()
    result = one(trainer, asked)
    assert isinstance(result, Trained)
    assert result.accuracy > 0.9
    assert (result.candidate, result.graph, result.seed) == (asked.candidate, asked.graph, 5)
    assert (result.steps, result.device, result.correct, result.extra) == (200, "cpu", "", {})
    assert result.curve[-1][1] < result.curve[0][1]
    data = Path(asked.weights_path).read_bytes()
    assert result.weights == hashlib.sha256(data).hexdigest()

    net = build(CNN, (1, 8, 8), 10)
    net.load_state_dict(safetensors.torch.load(data), strict=False)
    validation = trainer.task.validation()
    with torch.no_grad():
        said = net.eval()(torch.from_numpy(validation.x)).argmax(1).numpy()
    assert result.accuracy == pytest.approx((said == validation.y).mean())


def test_the_same_job_gives_the_same_weights(trainer: Trainer, job: MakeJob):
    first, again, other = (one(trainer, job(seed=seed)) for seed in (5, 5, 6))
    assert isinstance(first, Trained)
    assert isinstance(again, Trained)
    assert isinstance(other, Trained)
    assert dataclasses.replace(again, seconds=first.seconds) == first
    assert other.weights != first.weights


def test_results_come_as_they_are_done_each_with_its_index(trainer: Trainer, job: MakeJob):
    jobs = [job(seed=seed) for seed in range(3)]
    results = dict(trainer.train_all(jobs))
    assert sorted(results) == [0, 1, 2]
    assert [result.seed for _, result in sorted(results.items())] == [0, 1, 2]


def test_a_program_that_is_another_one_in_training_only_hurts_itself(
    trainer: Trainer, job: MakeJob, monkeypatch: pytest.MonkeyPatch
):
    """In training it cheats with a large hidden network; the graph holds the linear layer only."""
    set_recipe(trainer, monkeypatch, steps=100)
    hidden = HOSTILE.replace(
        "        self.head =",
        "        self.hidden = nn.Sequential(nn.Linear(64, 99), nn.ReLU(), nn.Linear(99, 10))\n"
        "        self.head =",
    )
    asked = job(hidden.format(action="return self.hidden(x.flatten(1))"))
    result = one(trainer, asked)
    assert isinstance(result, Trained)
    assert result.final_loss < 0.5
    assert result.accuracy < 0.4
    stored = safetensors.torch.load(Path(asked.weights_path).read_bytes())
    assert set(stored) == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("return self.head(x.flatten(1)) * float('inf')", Reason.DIVERGED),
        ("raise RuntimeError('no')", Reason.TRAIN_ERROR),
        ("import os; os._exit(0)", Reason.CRASHED),
        ("import ctypes; ctypes.string_at(0)", Reason.CRASHED),
        ("x = torch.ones(10**10, len(x))", Reason.MEMORY_LIMIT),
    ],
)
def test_what_a_training_can_die_of_is_a_rejection(
    action: str, reason: Reason, trainer: Trainer, job: MakeJob
):
    asked = job(HOSTILE.format(action=action))
    result = one(trainer, asked)
    assert isinstance(result, Rejected)
    assert (result.stage, result.reason) == (Stage.TRAIN, reason)
    assert not Path(asked.weights_path).exists()


def test_a_training_over_its_time_is_ended(
    trainer: Trainer, job: MakeJob, monkeypatch: pytest.MonkeyPatch
):
    set_recipe(trainer, monkeypatch, seconds_limit=1.0)
    result = one(trainer, job(HOSTILE.format(action="while True: pass")))
    assert isinstance(result, Rejected)
    assert result.reason == Reason.TIME_LIMIT


def test_weights_of_another_architecture_are_rejected(trainer: Trainer, job: MakeJob):
    result = one(trainer, job(CNN, recorded=CNN.replace("(8, 16,", "(8, 17,")))
    assert isinstance(result, Rejected)
    assert result.reason == Reason.BAD_WEIGHTS
    assert "'second.weight' has shape (16, 8, 3, 3), the graph (17, 8, 3, 3)" in result.detail


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (b"nonsense", Reason.CRASHED, "no header"),
        (pack({}), Reason.TRAIN_ERROR, "0 parts instead of the weights"),
        (pack({"curve": []}, b""), Reason.TRAIN_ERROR, "no final loss"),
        (pack({"curve": [], "final_loss": "0"}, b""), Reason.TRAIN_ERROR, "no final loss"),
        (pack({"curve": [[1, 1.0]] * 51, "final_loss": 1}, b""), Reason.TRAIN_ERROR, "50 points"),
        (pack({"curve": [["1", 1.0]], "final_loss": 1}, b""), Reason.TRAIN_ERROR, "(step, loss)"),
        (pack({"curve": [], "final_loss": 1}, b"weights"), Reason.BAD_WEIGHTS, "not safetensors"),
        (pack({"reason": "diverged", "detail": "x"}), Reason.DIVERGED, "x"),
        (pack({"reason": "bad_edit", "detail": "x" * 9999}), Reason.TRAIN_ERROR, "x" * 500),
        (pack({"reason": ["diverged"], "detail": {}}), Reason.TRAIN_ERROR, "{}"),
    ],
)
def test_whatever_answer_a_program_forges_is_a_rejection(
    answer: bytes, reason: Reason, detail: str, trainer: Trainer, job: MakeJob
):
    result = trainer._finish(job(), Outcome(answer, None, "", 1.0))
    assert isinstance(result, Rejected)
    assert result.reason == reason
    assert detail in result.detail


def test_the_test_data_is_opened_by_the_first_job_that_asks_for_it(
    trainer: Trainer, job: MakeJob, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trainer, "_measured", {})
    opened: list[str] = []
    real = np.load

    def watching(file: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(getattr(file, "name", ""))
        return real(file, *arguments, **options)

    monkeypatch.setattr(np, "load", watching)
    assert isinstance(one(trainer, job()), Trained)
    assert opened == ["validation_x.npy", "validation_y.npy"]

    result = one(trainer, job(split="test"))
    assert isinstance(result, Trained)
    assert opened[2:] == ["test_x.npy", "test_y.npy"]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(result.correct), np.uint8), count=203)
    assert result.accuracy == pytest.approx(bits.mean())


def test_further_test_sets_come_along(
    trainer: Trainer, job: MakeJob, monkeypatch: pytest.MonkeyPatch
):
    test = trainer.task.test()["test"]
    monkeypatch.setattr(trainer, "_measured", {"test": {"test": test, "standard": test}})
    result = one(trainer, job(split="test"))
    assert isinstance(result, Trained)
    assert result.extra == {"standard": result.accuracy}


def test_a_full_disk_ends_it_and_what_came_before_stays(
    trainer: Trainer, job: MakeJob, monkeypatch: pytest.MonkeyPatch
):
    jobs = [job(seed=1), job(HOSTILE.format(action="pass"), seed=1)]
    results = trainer.train_all(jobs)
    first, _ = next(results)
    assert first == 0

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left on device"):
            next(results)
    assert Path(jobs[0].weights_path).exists()
    assert not Path(jobs[1].weights_path).exists()
    assert isinstance(one(trainer, jobs[1]), Trained)


def test_the_key_of_a_result_depends_on_recipe_and_data(
    trainer: Trainer, files: TaskFiles, monkeypatch: pytest.MonkeyPatch
):
    key = trainer.recipe_key()
    assert trainer.recipe_key() == key
    with monkeypatch.context() as patch:
        set_recipe(trainer, patch, steps=21)
        assert trainer.recipe_key() != key
    monkeypatch.setattr(trainer, "task", dataclasses.replace(files, fingerprint="other"))
    assert trainer.recipe_key() != key


def test_a_gpu_that_is_not_there_is_said(
    trainer: Trainer, files: TaskFiles, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trainer_module, "_GPU", Path("/nowhere/nvidiactl"))
    settings = dataclasses.replace(trainer.settings, device="cuda")
    with pytest.raises(ConfigError, match=r"train\.device: cuda .* Use --train\.device auto"):
        Trainer(settings, files)
