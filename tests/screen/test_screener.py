"""From source to a checked graph: weights under their own names, outputs as in torch."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from evoprompt.candidate import Reason, Rejected, Screened, candidate_id
from evoprompt.errors import StorageError
from evoprompt.grammar.seeds import seeds
from evoprompt.screen import Screener
from tests.screen.conftest import SETTINGS, SHAPE

REJECTED = sorted((Path(__file__).parents[1] / "rejected").glob("*.py.txt"))
HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n\n"


def net(init: str, forward: str) -> str:
    """A program with a last layer `self.last`; the input is (B, 1, 40)."""
    lines = [f"        {line}" for line in init.split("; ")]
    return (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self, in_shape, num_classes):\n"
        "        super().__init__()\n" + "\n".join(lines) + "\n"
        "        self.last = nn.LazyLinear(num_classes)\n\n"
        f"    def forward(self, x):\n        {forward}\n"
    )


MIX = {
    "pooling to a size that does not divide": net(
        "self.a = nn.AdaptiveAvgPool1d(7)", "return self.last(self.a(x).flatten(1))"
    ),
    "convolution and norms": net(
        "self.a = nn.LazyConv1d(8, 5, 2, 1); self.b = nn.BatchNorm1d(8); "
        "self.c = nn.LazyConv1d(8, 3, padding='same', bias=False); self.d = nn.GroupNorm(2, 8)",
        "return self.last(self.d(self.c(F.gelu(self.b(self.a(x))))).mean(-1))",
    ),
    "depthwise, squeeze and excite": net(
        "self.a = nn.Conv1d(1, 8, 1); self.b = nn.Conv1d(8, 8, 5, padding=2, groups=8); "
        "self.c = nn.BatchNorm1d(8); self.g = nn.Linear(8, 8)",
        "y = F.silu(self.c(self.b(self.a(x)))); "
        "return self.last((y * torch.sigmoid(self.g(y.mean(-1))).unsqueeze(-1)).flatten(1))",
    ),
    "two directions of GRU": net(
        "self.a = nn.GRU(5, 4, 2, batch_first=True, bidirectional=True)",
        "return self.last(self.a(x.unflatten(-1, (8, 5)).squeeze(1))[0].flatten(1))",
    ),
    "last state of an LSTM": net(
        "self.a = nn.LSTM(1, 6, batch_first=True)",
        "return self.last(self.a(x.transpose(1, 2))[1][0][-1])",
    ),
    "attention": net(
        "self.a = nn.Linear(5, 8); self.b = nn.LayerNorm(8); "
        "self.c = nn.MultiheadAttention(8, 2, batch_first=True); self.d = nn.Dropout(0.5)",
        "y = self.b(self.a(x.reshape(-1, 8, 5))); y = y + self.d(self.c(y, y, y)[0]); "
        "return self.last(y.mean(1))",
    ),
    "transformer": net(
        "self.a = nn.Linear(5, 8); "
        "self.b = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)",
        "return self.last(self.b(self.a(x.reshape(-1, 8, 5))).flatten(1))",
    ),
    "two dimensions": net(
        "self.a = nn.Conv2d(1, 4, 3, padding=1); self.b = nn.BatchNorm2d(4, affine=False); "
        "self.c = nn.AdaptiveAvgPool2d(2)",
        "y = F.relu(self.b(self.a(x.reshape(-1, 1, 4, 10)))); "
        "return self.last(self.c(y).flatten(1))",
    ),
    "shared weights": net(
        "self.a = nn.Linear(40, 40); self.b = nn.Linear(40, 40); self.b.weight = self.a.weight",
        "return self.last(self.b(torch.tanh(self.a(x.flatten(1)))))",
    ),
    "buffers": net(
        "self.register_buffer('kept', torch.ones(40)); "
        "self.register_buffer('passing', torch.ones(40) * 2, persistent=False); "
        "self.a = nn.Conv1d(1, 4, 3, padding=1)",
        "return self.last((self.a(x) * self.kept + self.passing).flatten(1))",
    ),
}


def module(source: str) -> nn.Module:
    """Build one of this file's own programs here, with weights that are all different."""
    names: dict[str, object] = {}
    exec(source, names)
    it: nn.Module = names["Net"](SHAPE.in_shape, SHAPE.num_classes).eval()  # type: ignore[operator]
    it(torch.zeros(2, *SHAPE.in_shape))
    with torch.no_grad():
        for value in it.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value) * 0.1)
    return it


@pytest.mark.parametrize("name", MIX)
def test_the_graph_with_the_weights_put_in_by_name_agrees_with_torch(
    screener: Screener, folder: Path, name: str
) -> None:
    torch.manual_seed(0)
    (verdict,) = screener.screen_all([MIX[name]])
    assert isinstance(verdict, Screened), verdict
    graph = onnx.load(folder / verdict.graph_path)
    onnx.checker.check_model(graph, full_check=True)
    net = module(MIX[name])
    weights = net.state_dict()
    names = [door.name for door in graph.graph.input]
    unused = {key for key in weights if "num_batches_tracked" in key or key == "b.weight"}
    assert names[0] == "input"
    assert set(names[1:]) <= set(weights)
    assert set(weights) - set(names) <= (
        unused if name == "shared weights" else unused - {"b.weight"}
    )
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for batch in (1, 3):
        input_BX = torch.randn(batch, *SHAPE.in_shape)
        feeds = {key: weights[key].numpy() for key in names[1:]}
        found = session.run(None, {"input": input_BX.numpy(), **feeds})[0]
        np.testing.assert_allclose(found, net(input_BX).detach().numpy(), atol=1e-4)


def test_parameters_are_those_of_the_module(screener: Screener) -> None:
    names = ["convolution and norms", "attention", "shared weights"]
    for name, verdict in zip(names, screener.screen_all([MIX[n] for n in names]), strict=True):
        assert isinstance(verdict, Screened)
        count = sum(parameter.numel() for parameter in module(MIX[name]).parameters())
        assert verdict.parameters == count


def test_batch_norm_stays_visible(screener: Screener, folder: Path) -> None:
    (verdict,) = screener.screen_all([MIX["convolution and norms"]])
    assert isinstance(verdict, Screened)
    nodes = [node.op_type for node in onnx.load(folder / verdict.graph_path).graph.node]
    assert "BatchNormalization" in nodes


def test_the_same_source_gives_the_same_record_and_bytes(
    screener: Screener, tmp_path: Path
) -> None:
    source = MIX["transformer"]
    (first,) = screener.screen_all([source])
    other = Screener(SETTINGS, SHAPE, tmp_path)
    try:
        (second,) = other.screen_all([source])
    finally:
        other.close()
    assert isinstance(first, Screened)
    assert first == second
    path = first.graph_path
    assert path == f"graphs/{candidate_id(source)}.onnx"
    assert (tmp_path / path).read_bytes() == (screener.run_folder / path).read_bytes()
    assert [file.name for file in (tmp_path / "graphs").iterdir()] == [Path(path).name]


def test_the_text_names_the_task_which_changes_nothing_else(
    screener: Screener, tmp_path: Path
) -> None:
    source = MIX["attention"]
    (named,) = screener.screen_all([source])
    other = Screener(SETTINGS, replace(SHAPE, name="?!"), tmp_path)
    try:
        (nameless,) = other.screen_all([source])
    finally:
        other.close()
    assert isinstance(named, Screened)
    assert named.text.startswith("NET 1x40>10 task=test\n")
    text = named.text.replace(" task=test", "")
    assert nameless == replace(named, text=text)
    path = named.graph_path
    assert (tmp_path / path).read_bytes() == (screener.run_folder / path).read_bytes()


def test_programs_in_other_styles_are_adapted_and_screened(screener: Screener) -> None:
    body = "        super().__init__()\n        self.f = nn.Linear(40, {})\n"
    forward = "\n    def forward(self, x):\n        return self.f(x.flatten(1))\n"
    one = "class Net(nn.Module):\n    def __init__(self, num_classes=10):\n"
    one += body.format("num_classes")
    none = "class Tiny(nn.Module):\n    def __init__(self):\n" + body.format(10)
    heard: list[int] = []
    sources = [one + forward, none + forward, one + forward, "import os"]
    verdicts = screener.screen_all(sources, heard.append)
    assert isinstance(verdicts[0], Screened)
    assert isinstance(verdicts[1], Screened)
    assert verdicts[0].adapted == ("constructor", "imports of nn")
    assert verdicts[1].adapted == ("constructor", "Tiny named Net", "imports of nn")
    assert verdicts[2] == verdicts[0]
    assert verdicts[0].graph == verdicts[1].graph
    assert verdicts[0].candidate != verdicts[1].candidate
    assert isinstance(verdicts[3], Rejected)
    assert heard == sorted(heard)
    assert heard[-1] == 4


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.name.split(".")[0])
def test_each_reason_has_an_example_and_the_next_candidate_works(
    screener: Screener, path: Path
) -> None:
    bad, good = screener.screen_all([path.read_text(), seeds(SHAPE.in_shape, 10)["mlp"]])
    assert isinstance(bad, Rejected)
    assert bad.reason == path.name.split(".")[0], bad
    assert len(bad.detail) <= 500
    assert isinstance(good, Screened)


def test_every_reason_that_the_screen_can_give_has_an_example() -> None:
    of_replies = {Reason.NO_EDIT, Reason.BAD_EDIT, Reason.TRUNCATED, Reason.UNCHANGED}
    of_engines = {Reason.PROMPT_TOO_LONG, Reason.NO_REPLY}
    of_training = {Reason.DIVERGED, Reason.TRAIN_ERROR, Reason.BAD_WEIGHTS}
    names = {path.name.split(".")[0] for path in REJECTED}
    assert names == {str(reason) for reason in set(Reason) - of_replies - of_engines - of_training}


@pytest.mark.parametrize(
    ("init", "forward", "reason", "detail"),
    [
        ("pass", "return x, x", Reason.WRONG_OUTPUT, "returned a tuple"),
        ("pass", "return None", Reason.WRONG_OUTPUT, "returned a NoneType"),
        ("pass", "return self.last(x.flatten(1)).double()", Reason.WRONG_OUTPUT, "float64"),
        ("pass", "return self.last(x + y)", Reason.FORWARD_ERROR, "line 13: `return self.last(x"),
        ("pass", "raise ValueError('x' * 10**7)", Reason.FORWARD_ERROR, "ValueError: xxx"),
        ("pass", "raise SystemExit(0)", Reason.FORWARD_ERROR, "SystemExit"),
        ("self.n = nn.Linear(10**6, 10**5)", "return x", Reason.MEMORY_LIMIT, "memory"),
        ("pass", "x = x - x.mean(0); return self.last(x.flatten(1))", Reason.BATCH_DEPENDENT, ""),
        (
            "self.a = nn.GRU(1, 4)",
            "return self.last(self.a(x.transpose(1, 2))[0][:, -1])",
            Reason.BATCH_DEPENDENT,
            "others in its batch",
        ),
        (
            "pass",
            "return self.last(x.flatten(1) + torch.rand(40))",
            Reason.UNSUPPORTED_OPERATION,
            "random numbers in forward",
        ),
        (
            "self.a = [nn.Linear(40, 40)]",
            "return self.last(self.a[0](x.flatten(1)))",
            Reason.UNSUPPORTED_OPERATION,
            "nn.ModuleList",
        ),
        (
            "pass",
            "return self.last(torch.linalg.svdvals(x))",
            Reason.UNSUPPORTED_OPERATION,
            "svdvals",
        ),
        (
            "self.a = nn.Conv1d(1, 5000, 3); self.b = nn.Conv1d(5000, 900, 3)",
            "return self.last(self.b(self.a(x)).mean(-1))",
            Reason.TOO_LARGE,
            "parameters",
        ),
    ],
)
def test_rejections_name_the_reason_and_the_line(
    screener: Screener, init: str, forward: str, reason: Reason, detail: str
) -> None:
    (verdict,) = screener.screen_all([net(init, forward)])
    assert isinstance(verdict, Rejected)
    assert verdict.reason is reason, verdict
    assert detail in verdict.detail


def test_a_full_disk_is_an_error_of_its_own(
    screener: Screener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = net("self.a = nn.Linear(40, 7)", "return self.last(self.a(x.flatten(1)))")
    before = set((folder / "graphs").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            screener.screen_all([source])
    assert set((folder / "graphs").iterdir()) == before
    (verdict,) = screener.screen_all([source])
    assert isinstance(verdict, Screened)


def test_a_parameter_with_the_name_of_a_door_is_rejected_by_name(screener: Screener) -> None:
    init, forward = "self.logits = nn.Parameter(torch.ones(40))", "x.flatten(1) * self.logits"
    (verdict,) = screener.screen_all([net(init, f"return self.last({forward})")])
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.INVALID_GRAPH
