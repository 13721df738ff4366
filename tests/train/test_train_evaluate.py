"""Measuring: weights fit the graph exactly or not at all, and the figure is the graph's own."""

import pickle
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch

from evoprompt.candidate import Reason, Rejected
from evoprompt.train.child import build
from evoprompt.train.evaluate import (
    Evaluator,
    changed_rows,
    correct,
    put_weights,
    read_weights,
    wanted_weights,
)
from tests.train.conftest import CNN, HEAD, record

Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    with Evaluator() as made:
        yield made


@pytest.fixture(scope="module")
def graph() -> bytes:
    return record(CNN)


@pytest.fixture
def net() -> torch.nn.Module:
    torch.manual_seed(3)
    made = build(CNN, (1, 8, 8), 10)
    with torch.no_grad():
        made(torch.randn(64, 1, 8, 8) * 3 + 1)  # moves the running statistics
    return made.eval()


@pytest.fixture
def weights(net: torch.nn.Module, graph: bytes) -> Weights:
    return {name: net.state_dict()[name].numpy() for name in wanted_weights(graph)}


def packed(weights: Weights) -> bytes:
    return safetensors.torch.save({k: torch.tensor(v).contiguous() for k, v in weights.items()})


def test_the_graph_names_its_weights_as_the_state_dict_does(graph: bytes):
    wanted = wanted_weights(graph)
    assert wanted["norm.running_var"] == (np.dtype("float32"), (8,))
    assert wanted["second.weight"] == (np.dtype("float32"), (16, 8, 3, 3))
    assert "norm.num_batches_tracked" not in wanted


def test_the_model_with_weights_is_valid_and_takes_the_input_only(graph: bytes, weights: Weights):
    weights["norm.num_batches_tracked"] = np.array(5)
    model = put_weights(graph, weights)
    assert isinstance(model, bytes)
    parsed = onnx.ModelProto.FromString(model)
    onnx.checker.check_model(parsed, full_check=True)
    assert [value.name for value in parsed.graph.input] == ["input"]


def broken(weights: Weights, case: str) -> Weights:
    match case:
        case "missing":
            del weights["second.bias"]
        case "extra":
            weights["third.bias"] = np.zeros(3, np.float32)
        case "shape":
            weights["head.weight"] = weights["head.weight"].T
        case "dtype":
            weights["first.bias"] = weights["first.bias"].astype(np.float64)
    return weights


@pytest.mark.parametrize(
    ("case", "detail"),
    [
        ("missing", "'second.bias' is missing"),
        ("extra", "'third.bias' is not in the graph"),
        ("shape", "'head.weight' has shape (256, 10), the graph (10, 256)"),
        ("dtype", "'first.bias' is float64, the graph's is float32"),
    ],
)
def test_weights_that_do_not_fit_are_rejected(
    case: str, detail: str, graph: bytes, weights: Weights, evaluator: Evaluator
):
    weights = broken(weights, case)
    x = np.zeros((2, 1, 8, 8), np.float32)
    for found in (put_weights(graph, weights), evaluator.logits(graph, packed(weights), x, 10)):
        assert isinstance(found, Rejected)
        assert (found.reason, found.detail) == (Reason.BAD_WEIGHTS, detail)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (pickle.dumps({"a": 1}), "a pickle or zip archive"),
        (b"PK\x03\x04" + b"0" * 50, "a pickle or zip archive"),
        (b"", "not safetensors"),
        (packed({"a": np.zeros(9)})[:-1], "not safetensors"),
        (b"\xff" * 100, "not safetensors"),
    ],
)
def test_only_safetensors_are_read(data: bytes, detail: str, graph: bytes, evaluator: Evaluator):
    x = np.zeros((2, 1, 8, 8), np.float32)
    for found in (read_weights(data), evaluator.logits(graph, data, x, 10)):
        assert isinstance(found, Rejected)
        assert found.reason == Reason.BAD_WEIGHTS
        assert detail in found.detail


def test_logits_are_torchs_also_where_the_last_batch_is_smaller(
    graph: bytes, weights: Weights, net: torch.nn.Module, evaluator: Evaluator
):
    x = np.random.default_rng(0).standard_normal((1203, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    logits = evaluator.logits(graph, packed(weights), x, 10)
    assert isinstance(logits, np.ndarray)
    assert np.abs(logits - expected).max() < 1e-4
    y = expected.argmax(1)
    y[:200] = (y[:200] + 1) % 10
    assert correct(logits, y).mean() == pytest.approx(1003 / 1203)


def test_nan_and_infinity_count_as_wrong():
    logits = np.array([[0, 1], [0, np.nan], [0, np.inf], [1, 0]], np.float32)
    assert correct(logits, np.array([1, 1, 1, 1])).tolist() == [True, False, False, False]


def test_a_graph_with_the_wrong_output_is_rejected(
    graph: bytes, weights: Weights, evaluator: Evaluator
):
    x = np.zeros((2, 1, 8, 8), np.float32)
    found = evaluator.logits(graph, packed(weights), x, 7)
    assert isinstance(found, Rejected)
    assert (found.reason, found.detail) == (
        Reason.BATCH_DEPENDENT,
        "the output has shape (2, 10), expected (2, 7)",
    )


def test_what_is_no_graph_is_rejected_and_the_evaluator_lives_on(
    graph: bytes, weights: Weights, evaluator: Evaluator
):
    x = np.zeros((2, 1, 8, 8), np.float32)
    found = evaluator.logits(graph.replace(b"Conv", b"Cnov"), packed(weights), x, 10)
    assert isinstance(found, Rejected)
    assert found.reason == Reason.INVALID_GRAPH
    assert isinstance(evaluator.logits(b"\x00garbage", b"", x, 10), Rejected)
    assert isinstance(evaluator.logits(graph, packed(weights), x, 10), np.ndarray)


COMPANY = """
class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x):
        logits = self.head(x.flatten(1))
        return logits - logits.mean({axis}, keepdim=True)
"""


@pytest.mark.parametrize(("axis", "is_rejected"), [(0, True), (1, False)])
def test_a_graph_that_reads_other_examples_of_the_batch_is_rejected(
    axis: int, is_rejected: bool, evaluator: Evaluator
):
    source = HEAD + COMPANY.format(axis=axis)
    net = build(source, (1, 8, 8), 10).eval()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    x = np.random.default_rng(0).standard_normal((1003, 1, 8, 8)).astype(np.float32)
    found = evaluator.logits(record(source), packed(weights), x, 10)
    assert isinstance(found, Rejected) == is_rejected
    if isinstance(found, Rejected):
        assert found.reason == Reason.BATCH_DEPENDENT
        assert "64 of 64 examples" in found.detail


def test_a_few_examples_that_tip_over_are_rounding_and_nan_equals_nan():
    first = np.array([[1.0, 2.0], [np.nan, 5.0], [3.0, np.inf]], np.float32)
    assert changed_rows(first, first + np.float32(1e-6)).tolist() == [False, False, False]
    second = first.copy()
    second[0, 0], second[1, 0] = 1.1, 0.0
    assert changed_rows(first, second).tolist() == [True, True, False]
