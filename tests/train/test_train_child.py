"""Training as the jailed child does it, called directly: no jail, no accuracy."""

from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from evoprompt.train.child import _check_points, build, learning_rates, train
from evoprompt.train.evaluate import npy, wanted_weights
from evoprompt.train.message import Header, pack, unpack
from tests.train.conftest import CNN, HEAD, record

TINY = """
class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(6, num_classes)

    def forward(self, x):
        return {output}
"""


def ask(source: str, **changes: Any) -> tuple[Header, list[bytes]]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((40, 6)).astype(np.float32)
    header = {
        "source": source,
        "in_shape": [6],
        "num_classes": 3,
        "recipe": {"steps": 60, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.01},
        "seed": 1,
        "device": "cpu",
        "weights": ["head.weight", "head.bias"],
    }
    x = changes.pop("x", x)
    y = (x.reshape(len(x), -1)[:, 0] > 0).astype(np.int64)
    return unpack(train(pack({**header, **changes}, npy(x), npy(y))))


def tiny(output: str) -> str:
    return HEAD + TINY.format(output=output)


def test_training_lowers_the_loss_and_returns_the_weights_that_were_asked_for():
    header, (data,) = ask(tiny("self.head(x)"), weights=["head.bias"])
    assert header["steps"] == 60
    assert header["device"] == "cpu"
    assert len(header["curve"]) <= 50
    assert header["curve"][-1][0] == 60
    assert header["final_loss"] < header["curve"][0][1]
    weights = safetensors.numpy.load(data)
    assert {name: weight.shape for name, weight in weights.items()} == {"head.bias": (3,)}


def test_the_same_job_gives_the_same_bytes_and_another_seed_others():
    x = np.random.default_rng(0).standard_normal((64, 1, 8, 8)).astype(np.float32)
    job: dict[str, Any] = {
        "x": x,
        "in_shape": [1, 8, 8],
        "weights": sorted(wanted_weights(record(CNN, num_classes=3))),
    }
    first = ask(CNN, **job)
    assert first[0]["steps"] == 60
    assert ask(CNN, **job) == first
    assert ask(CNN, **job, seed=2)[1] != first[1]


def test_shared_weights_are_stored_under_every_name_that_the_graph_uses():
    source = tiny("self.again(x)").replace(
        "num_classes)\n\n", "num_classes)\n        self.again = self.head\n\n"
    )
    _, (data,) = ask(source, weights=["again.weight", "head.weight"])
    weights = safetensors.numpy.load(data)
    assert np.array_equal(weights["again.weight"], weights["head.weight"])


def test_a_batch_larger_than_the_set_is_the_set():
    recipe = {"steps": 3, "batch_size": 1000, "learning_rate": 0.01, "weight_decay": 0.0}
    assert ask(tiny("self.head(x)"), recipe=recipe)[0]["steps"] == 3


@pytest.mark.parametrize(
    ("output", "reason", "detail"),
    [
        ("self.head(x) * float('nan')", "diverged", "the loss is nan"),
        ("self.head(x) * 1e4 if self.training else self.head(x)", "diverged", "above 3.3"),
        ("self.head(x).detach()", "train_error", "does not require grad"),
        ("self.head(x)[:, :2] if len(x) > 1 else self.head(x)", "", ""),
        ("self.head(x[:, :5]) if self.training else self.head(x)", "train_error", "shapes"),
        ("exit() if self.training else self.head(x)", "train_error", "SystemExit"),
        ("self.head(x) @ torch.zeros(3, 10**13 * len(x))", "memory_limit", "allocate memory"),
    ],
)
def test_a_training_that_fails_says_why(output: str, reason: str, detail: str):
    header, parts = ask(tiny(output))
    assert header.get("reason", "") == reason
    assert detail in header.get("detail", "")
    assert bool(parts) == (reason == "")


def test_a_program_without_weights_is_a_training_error():
    source = HEAD + (
        "class Net(nn.Module):\n"
        "    def __init__(self, in_shape, num_classes):\n"
        "        super().__init__()\n"
        "    def forward(self, x):\n"
        "        return x[:, :3]\n"
    )
    assert ask(source)[0]["reason"] == "train_error"


def test_lazy_modules_are_initialised_without_touching_the_statistics():
    source = CNN.replace("nn.BatchNorm2d(8)", "nn.LazyBatchNorm2d()")
    net = build(source, (1, 8, 8), 10)
    assert net.training
    assert float(net.get_buffer("norm.running_var").mean()) == 1
    assert net.get_parameter("head.weight").shape == (10, 256)


def test_the_learning_rate_rises_to_its_peak_and_falls_towards_zero():
    rates = learning_rates(1000, 0.03)
    peak = rates.index(max(rates))
    assert len(rates) == 1000
    assert max(rates) == pytest.approx(0.03)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[-1] < 1e-6
    assert len(learning_rates(1, 0.03)) == 1


@pytest.mark.parametrize("steps", [1, 2, 49, 50, 51, 137, 1000])
def test_the_points_of_the_curve_cover_all_steps(steps: int):
    points = _check_points(steps)
    assert 1 <= len(points) <= 50
    assert list(points)[-1] == steps
    assert list(points.values()) == [0, *list(points)[:-1]]
