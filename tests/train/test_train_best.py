"""What is kept of a good program can be used, and a disagreement is written down."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch

from evoprompt.candidate import Trained, TrainJob
from evoprompt.train.best import write_best
from evoprompt.train.trainer import Trainer
from tests.train.conftest import CNN, record


@pytest.fixture(scope="module")
def weights_path(trainer: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "graph.onnx").write_bytes(record(CNN))
    path = folder / "weights.safetensors"
    job = TrainJob("c", CNN, "g", str(folder / "graph.onnx"), str(path), seed=1)
    ((_, result),) = trainer.train_all([job])
    assert isinstance(result, Trained)
    return path


def test_the_folder_holds_a_model_that_torch_and_onnxruntime_agree_on(
    trainer: Trainer, weights_path: Path, tmp_path: Path
):
    agreement = write_best(trainer, tmp_path, "01-cnn", CNN, record(CNN), weights_path)
    folder = tmp_path / "01-cnn"
    assert agreement.is_agreed
    assert agreement.difference is not None
    assert agreement.difference < 1e-4
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.json", "model.onnx", "model.py", "model.safetensors"
    ]  # fmt: skip
    facts = json.loads((folder / "model.json").read_text())
    assert facts["torch_against_onnxruntime"]["difference"] == agreement.difference
    assert facts["task"] == {"name": "digits", "in_shape": [1, 8, 8], "num_classes": 10}

    onnx.checker.check_model(onnx.load(folder / "model.onnx"), full_check=True)
    names: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "model.py").read_text(), names)
    net = names["Net"]((1, 8, 8), 10).eval()
    x = np.random.default_rng(1).standard_normal((5, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        net(torch.zeros(1, 1, 8, 8))
        weights = safetensors.torch.load_file(folder / "model.safetensors")
        net.load_state_dict(weights, strict=False)
        said = net(torch.from_numpy(x)).numpy()
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (logits,) = session.run(None, {"input": x})
    assert np.abs(logits - said).max() < 1e-4


def test_a_disagreement_is_written_down(trainer: Trainer, weights_path: Path, tmp_path: Path):
    other = CNN.replace("F.relu(self.norm", "F.gelu(self.norm")
    agreement = write_best(trainer, tmp_path, "x", other, record(CNN), weights_path)
    assert not agreement.is_agreed
    assert agreement.difference is not None
    assert agreement.difference > 1e-4
    assert "the outputs differ by" in agreement.detail
    stored = json.loads((tmp_path / "x" / "model.json").read_text())
    assert stored["torch_against_onnxruntime"]["is_agreed"] is False


def test_a_program_that_cannot_be_run_is_written_down(
    trainer: Trainer, weights_path: Path, tmp_path: Path
):
    broken = CNN.replace("num_classes)\n", "num_classes)\n        raise ValueError('later')\n", 1)
    for source, graph, detail in (
        (broken, record(CNN), "ValueError: later"),
        (CNN, record(CNN.replace("(8, 16,", "(8, 17,")), "onnxruntime: bad_weights"),
    ):
        agreement = write_best(trainer, tmp_path, "y", source, graph, weights_path)
        assert not agreement.is_agreed
        assert agreement.difference is None
        assert detail in agreement.detail
