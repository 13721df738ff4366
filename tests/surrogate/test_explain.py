"""Leave-one-line-out: the text without a line is the text of the network without that operator."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from surrogate.encode import Graph, read
from surrogate.explain import Explanation, explain, without
from surrogate.parse import parse
from tests.surrogate.nets import Residual, export, make


class CountsParameters:
    """A scorer whose answers can be checked by hand."""

    def score(
        self, graphs: Sequence[str], task: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        mean = np.array([parse(text).parameters / 1000 for text in graphs])
        return mean, np.zeros(len(mean))


class Chain(nn.Module):
    """A few layers of one width, any of them left out, one of them standing twice."""

    def __init__(self, kept: Sequence[str]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kept = kept
        self.stem = nn.Conv1d(1, 8, 3, padding=1)
        self.wide = nn.Conv1d(8, 8, 5, padding=2)
        self.norm = nn.BatchNorm1d(8)
        self.blocks = nn.ModuleList(nn.Conv1d(8, 8, 3, padding=1) for _ in range(4))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = stem = self.stem(x)
        if "wide" in self.kept:
            x = self.wide(x)
        if "norm" in self.kept:
            x = self.norm(x)
        if "add" in self.kept:
            x = x + stem
        for block in self.blocks:
            if "block" in self.kept:
                x = block(x)
            if "relu" in self.kept:
                x = torch.relu(x)
        return self.head(x.mean(-1))


ALL = ("wide", "norm", "add", "block", "relu")
LINES = {
    "wide": "Conv k5 8>8 @8x40",
    "norm": "BatchNorm @8x40",
    "block": "Conv k3 8>8 @8x40",
    "relu": "Relu @8x40",
}


def text_of(kept: Sequence[str]) -> list[str]:
    return read(export(Chain(kept))).text.split("\n")


@pytest.mark.parametrize("gone", LINES)
def test_leaving_a_line_out_is_the_network_without_the_operator(gone: str) -> None:
    rows = text_of(ALL)
    plain = [row for row in rows if row != "}" and not row.endswith("{")]
    text, others = without(rows, plain.index(LINES[gone]))
    assert text.split("\n") == text_of([name for name in ALL if name != gone])
    assert others == 0


def test_what_nothing_reads_any_more_goes_too() -> None:
    """Add reads the last norm first or the input first: that one stays, the other path goes."""
    rows = ["NET 1x40>10", "Conv k3 1>8 IN @8x40", "Conv k5 8>8 @8x40", "Relu @8x40"]
    rows += ["Add ^3 ^1 @8x40", "ReduceMean a2 @8", "Linear 8>10 @10"]
    text, others = without(rows, 4)
    assert text.split("\n") == [*rows[:2], *rows[5:]]
    assert others == 2


def test_every_line_of_every_kind_of_network_is_explained_or_says_why() -> None:
    for name in ("reference", "recurrent", "attention", "squeeze_excite", "image"):
        module, shape = make(name)
        found = explain(CountsParameters(), read(export(module, shape)).text)
        for line in found.lines[1:-1]:
            assert line.points is not None or line.reason or line.line[-1] in "{}"
        assert found.lines[0].reason == "the input"
        assert found.lines[-1].reason == "the output"


def explained(module: nn.Module) -> tuple[Graph, Explanation]:
    graph = read(export(module))
    return graph, explain(CountsParameters(), graph.text)


def test_a_folded_line_is_worth_all_its_repetitions() -> None:
    _, found = explained(Chain(("block", "relu")))
    (conv,) = [line for line in found.lines if line.line == LINES["block"]]
    assert conv.repeats == 4
    assert conv.depth == 1
    assert conv.points == pytest.approx(100 * 4 * (8 * 8 * 3 + 8) / 1000)


def test_weights_that_another_line_uses_cannot_go() -> None:
    rows = ["NET 1x40>10", "Conv k3 1>8 IN @8x40", "Conv k3 8>8 @8x40", "Relu @8x40"]
    rows += ["Conv k3 8>8 =2.1 =2.2 @8x40", "ReduceMean a2 @8", "Linear 8>10 @10"]
    found = explain(CountsParameters(), "\n".join(rows))
    assert found.lines[2].reason == "another line uses its weights"
    assert found.lines[4].points == 0.0
    text, _ = without(rows, 3)
    assert text.split("\n")[3] == "Conv k3 8>8 =1.1 =1.2 @8x40"


def test_shared_layers_in_a_real_file_are_followed() -> None:
    _, found = explained(Residual(share=True))
    shared = [line for line in found.lines if "=" in line.line]
    assert shared
    assert all(line.points is not None for line in shared)
