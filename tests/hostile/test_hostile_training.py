"""Hostile programs in the training jail: they get training data, and only weights come back.

What a program expects of itself: train_refused (it found its own examples and nothing else),
train_measured (the recorded graph is measured, whatever it trained), train_contained.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from evoprompt.candidate import Rejected, Trained, TrainJob
from evoprompt.config import Recipe, TaskSettings, TrainSettings
from evoprompt.train import Trainer, open_task
from tests.hostile.attack import GOOD, Program, programs
from tests.hostile.targets import Targets
from tests.train.conftest import record

PROGRAMS = [it for it in programs() if it.expect.startswith("train")]
OWN, VALIDATION, TEST = 0.12345679, 4321.125, 8765.125  # magic numbers in the examples


@dataclass
class Place:
    """A trainer on a tiny task, and what is true as long as nothing got out."""

    trainer: Trainer
    targets: Targets
    canaries: dict[str, object]
    folder: Path
    good: Trained

    def train(self, source: str) -> Trained | Rejected:
        graph, weights = self.folder / "net.onnx", self.folder / "weights"
        job = TrainJob("candidate", source, "graph", str(graph), str(weights), seed=1)
        ((_, result),) = self.trainer.train_all([job])
        return result

    def assert_untouched(self) -> None:
        assert self.targets.visitors() == 0
        assert self.targets.state() == self.canaries
        again = self.train(LINEAR)
        assert isinstance(again, Trained)
        assert replace(again, seconds=self.good.seconds) == self.good


LINEAR = GOOD.replace("self.f", "self.head")


def arrays(folder: Path) -> Path:
    """Two hundred separable examples whose sets are marked by a number of their own."""
    rng = np.random.default_rng(0)
    sets: dict[str, np.ndarray] = {}
    for name, count, mark in (("train", 120, OWN), ("val", 40, VALIDATION), ("test", 40, TEST)):
        x = rng.standard_normal((count, 4)).astype(np.float32)
        sets[f"y_{name}"] = x[:, :3].argmax(1)
        x[0, 3] = mark
        sets[f"x_{name}"] = x
    np.savez(folder / "mine.npz", **sets)  # pyright: ignore[reportArgumentType]
    return folder / "mine.npz"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("training")
    (folder / "net.onnx").write_bytes(record(LINEAR, (4,), 3))
    task = open_task(TaskSettings(name="arrays", path=arrays(folder)), folder / "data")
    recipe = Recipe(steps=20, batch_size=20)
    settings = TrainSettings(recipe, workers=1, device="cpu", seconds_limit=2.0, memory_mb=1024)
    with Targets(folder) as targets, Trainer(settings, task) as trainer:
        targets.names["DATA"] = str(folder / "data")
        targets.names["NPZ"] = str(folder / "mine.npz")
        targets.names["CACHE"] = str(folder)
        made = Place(trainer, targets, targets.state(), folder, good=None)  # pyright: ignore[reportArgumentType]
        good = made.train(LINEAR)
        assert isinstance(good, Trained)
        made.good = good
        yield made


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda it: it.name)
def test_a_hostile_training_is_stopped_or_hurts_only_itself(program: Program, place: Place) -> None:
    result = place.train(program.source(place.targets.names))
    if program.expect == "train_refused":
        assert isinstance(result, Rejected)
        said = re.search(r"GOT (\[.*\]) REFUSED (\d+)", result.detail)
        assert said is not None, result
        own = ["try_own_examples_are_found"] if "try_own" in program.text else []
        assert (said[1], int(said[2])) == (str(own), program.attempts() - len(own))
    if program.expect == "train_measured":
        assert isinstance(result, Trained)
    place.assert_untouched()


def test_weights_that_do_not_fit_or_are_not_finite_earn_nothing(place: Place) -> None:
    by_name = {it.name: it for it in PROGRAMS}
    other = place.train(by_name["train_weights_of_other_names"].source(place.targets.names))
    assert isinstance(other, Rejected)
    assert other.reason == "bad_weights"
    forged = place.train(by_name["train_forged_answer"].source(place.targets.names))
    assert isinstance(forged, Rejected)
    assert "pickle" in forged.detail
    broken = place.train(by_name["train_weights_not_finite"].source(place.targets.names))
    assert isinstance(broken, Rejected) or broken.accuracy == 0.0
