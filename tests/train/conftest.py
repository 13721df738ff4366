"""Small programs, their recorded graphs, and one trainer that the tests share."""

import io
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch

from evoprompt.config import Recipe, TaskSettings, TrainSettings
from evoprompt.train.child import build
from evoprompt.train.tasks import TaskFiles, open_task
from evoprompt.train.trainer import Trainer

DIGITS = TaskSettings(name="digits", validation_count=300, test_count=203)
HEAD = """
import torch
from torch import nn
import torch.nn.functional as F
"""
CNN = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.first = nn.LazyConv2d(8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x):
        x = F.relu(self.norm(self.first(x)))
        return self.head(F.relu(self.second(x)).flatten(1))
"""
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_and_own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> TaskFiles:
    return open_task(DIGITS, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def trainer(files: TaskFiles) -> Iterator[Trainer]:
    settings = TrainSettings(
        recipe=Recipe(steps=20, batch_size=32), workers=1, device="cpu", seconds_limit=60
    )
    with Trainer(settings, files) as made:
        yield made


def record(source: str, in_shape: tuple[int, ...] = (1, 8, 8), num_classes: int = 10) -> bytes:
    """The graph as the screen would record it: weights are inputs, the batch is free."""
    buffer, net = io.BytesIO(), build(source, in_shape, num_classes).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(1, *in_shape),),
            buffer,
            dynamo=False,
            export_params=False,
            keep_initializers_as_inputs=True,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )
    return buffer.getvalue()


@pytest.fixture(name="record", scope="session")
def record_fixture() -> Callable[..., bytes]:
    return record


@pytest.fixture(scope="session")
def cnn() -> str:
    return CNN


@pytest.fixture(scope="session")
def cnn_graph() -> bytes:
    return record(CNN)
