"""The canonical graph: what changes its hash and what does not; its text, its size, bad files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from surrogate.encode import GraphError, read
from surrogate.parse import parse
from surrogate.text import fold, unfold
from tests.surrogate.nets import NETS, ReferenceCnn, Residual, export, make


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: export(*make(name)) for name in NETS}


def renamed(data: bytes) -> bytes:
    """Every value and node under another name; the data input and the output too."""
    model = onnx.load_from_string(data)
    names: dict[str, str] = {"": ""}

    def new(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}")

    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        value.name = new(value.name)
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
    return model.SerializeToString()


def reordered(data: bytes) -> bytes:
    """The nodes in another order that is still topological: always the latest one that is ready."""
    model = onnx.load_from_string(data)
    left = list(model.graph.node)
    known = {value.name for value in model.graph.input} | {""}
    ordered = []
    while left:
        ready = [node for node in left if set(node.input) <= known]
        node = ready[-1]
        left.remove(node)
        known |= set(node.output)
        ordered.append(node)
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    return model.SerializeToString()


def with_swapped_operands(data: bytes, op: str) -> bytes:
    model = onnx.load_from_string(data)
    for node in model.graph.node:
        if node.op_type == op:
            node.input[:] = list(node.input)[::-1]
    return model.SerializeToString()


@pytest.mark.parametrize("name", NETS)
def test_names_order_batch_size_and_weights_in_the_file_do_not_change_the_hash(
    name: str, files: dict[str, bytes]
) -> None:
    net, in_shape = make(name)
    expected = read(files[name])
    variants = {
        "renamed": renamed(files[name]),
        "reordered": reordered(files[name]),
        "another batch size": export(net, in_shape, batch_size=5),
        "weights inside": export(net, in_shape, weights_inside=True),
        "newer operators": export(net, in_shape, opset=20),
        "equal weights joined": export(net, in_shape, keeps_equal_weights_apart=False),
    }
    for change, data in variants.items():
        graph = read(data)
        assert graph.hash == expected.hash, change
        assert graph.text == expected.text, change
        assert graph.parameters == expected.parameters, change


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_operands_of_commutative_operators_may_be_swapped(op: str, files: dict[str, bytes]) -> None:
    for name in ("residual", "squeeze_excite"):
        assert read(with_swapped_operands(files[name], op)).hash == read(files[name]).hash


def test_every_change_of_the_network_changes_the_hash() -> None:
    nets = {
        "reference": ReferenceCnn(),
        "width": ReferenceCnn(width=24),
        "kernel": ReferenceCnn(kernel=3),
        "stride": ReferenceCnn(stride=1),
        "residual": Residual(),
        "edge": Residual(skip_from_input=True),
        "sharing": Residual(share=True),
    }
    graphs = {name: read(export(net)) for name, net in nets.items()}
    assert len({graph.hash for graph in graphs.values()}) == len(nets)
    assert len({graph.text for graph in graphs.values()}) == len(nets)


class Subtraction(nn.Module):
    """Which side is subtracted from which, and which branch is read again."""

    def __init__(self, is_swapped: bool, reads_second: bool = False) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(40, 10), nn.Linear(40, 10)
        self.is_swapped, self.reads_second = is_swapped, reads_second

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.left(x.flatten(1)), self.right(x.flatten(1))
        out = right - left if self.is_swapped else left - right
        return out * (right if self.reads_second else left)


def test_operand_order_counts_where_it_matters() -> None:
    plain, swapped = read(export(Subtraction(False))), read(export(Subtraction(True)))
    assert plain.hash != swapped.hash
    # Exchanging the two equal branches altogether is the same network again.
    assert read(export(Subtraction(True, reads_second=True))).hash == plain.hash


def test_twin_branches_are_told_apart_by_who_reads_them(files: dict[str, bytes]) -> None:
    """Add(a, b) then Concat with a: swapping the operands of Add must not matter."""

    class Twins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(40, 5), nn.Linear(40, 5)

        def forward(self, x: Tensor) -> Tensor:
            left, right = self.left(x.flatten(1)), self.right(x.flatten(1))
            return torch.cat([left + right, left], 1)

    data = export(Twins())
    assert read(with_swapped_operands(data, "Add")).hash == read(data).hash
    assert read(with_swapped_operands(data, "Add")).text == read(data).text


@pytest.mark.parametrize("name", NETS)
def test_sizes_are_those_of_the_module_and_of_the_text(name: str, files: dict[str, bytes]) -> None:
    net, _ = make(name)
    export(*make(name))
    graph = read(files[name])
    parsed = parse(graph.text)
    net(torch.zeros(2, *make(name)[1]))
    assert graph.parameters == sum(weight.numel() for weight in net.parameters())
    assert parsed.parameters == graph.parameters
    assert parsed.macs == graph.macs
    assert parsed.node_count == graph.node_count


def test_the_reference_cnn_has_its_published_size(files: dict[str, bytes]) -> None:
    graph = read(files["reference"])
    assert graph.parameters == 5210
    assert graph.macs == 25 * 19 * 5 + 25 * 10 * 75 + 25 * 5 * 75 + 125 * 10
    assert graph.depth == 4
    assert graph.node_count == 8


def test_equal_initial_values_are_not_shared_weights() -> None:
    """Torch's exporter may join tensors of equal values; two fresh norms stay two norms."""
    graph = read(export(Residual(), keeps_equal_weights_apart=False))
    assert graph.parameters == 8 * 3 + 8 + 3 * (8 * 24 + 8 + 16) + 90
    torch.manual_seed(0)
    net = Residual()
    for weight in net.state_dict().values():
        if weight.dtype == torch.float32:
            weight.copy_(torch.rand_like(weight) + 0.5)
    assert read(export(net)).hash == graph.hash


GOLDEN = {
    "reference": """\
NET 1x40>10
Conv k5 s2 p1 1>25 IN @25x19
Relu @25x19
Conv k3 s2 25>25 @25x10
Relu @25x10
Conv k3 s2 25>25 @25x5
Relu @25x5
View @125
Linear 125>10 @10""",
    "residual": """\
NET 1x40>10
Conv k3 1>8 IN @8x40
x3{
Conv k3 8>8 @8x40
BatchNorm @8x40
Relu @8x40
Add ^1 ^4 @8x40
}
ReduceMean a2 @8
Linear 8>10 @10""",
    "squeeze_excite": """\
NET 1x40>10
Conv k3 1>8 IN @8x40
GroupNorm g2 @8x40
Swish @8x40
ReduceMean a2 @8
Linear 8>2 @2
Relu @2
Linear 2>8 @8
Sigmoid @8
View @8x1
Mul ^1 ^7 @8x40
Slice a1 from=0 to=4 @4x40
MaxPool k2 s2 @4x20
Slice a1 from=4 to=8 ^3 @4x40
AveragePool k2 s2 @4x20
Concat a1 ^3 ^1 @8x20
Gelu @8x20
View @160
Linear 160>10 @10""",
    "recurrent": """\
NET 1x40>10
Transpose order=2x0x1 IN @40xBx1
GRU bi 1>6 @40x2xBx6
Transpose order=0x2x1x3 @40xBx2x6
View @40xBx12
Transpose order=1x0x2 @40x12
Select a1 i39 @12
Linear 12>10 @10""",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_reads_so(name: str, files: dict[str, bytes]) -> None:
    assert read(files[name]).text == GOLDEN[name]


def test_shared_weights_are_written_as_a_reference() -> None:
    text = read(export(Residual(share=True))).text
    assert text.count("Conv k3 8>8") == 2  # the two later ones are equal and folded
    assert "Conv k3 8>8 =4.1 =4.2 @8x40" in text


def test_folding_is_undone_by_unfolding() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        lines = [str(n) for n in rng.integers(0, 3, rng.integers(0, 40))]
        assert unfold(fold(lines)) == lines


def test_reading_is_the_same_in_another_process(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(files["attention"])
    code = f"from pathlib import Path; from surrogate.encode import read; \
g = read(Path({str(path)!r})); print(g.hash); print(g.text)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    graph = read(path)
    assert run.stdout == f"{graph.hash}\n{graph.text}\n"


def test_a_file_traced_at_one_fixed_batch_size_is_the_same_network() -> None:
    class Patches(nn.Module):
        def __init__(self, is_fixed: bool) -> None:
            super().__init__()
            self.head, self.is_fixed = nn.Linear(10, 10), is_fixed

        def forward(self, x: Tensor) -> Tensor:
            size = int(x.size(0)) if self.is_fixed else x.size(0)
            return self.head(x.reshape(size, 4, 10)).mean(1)

    fixed = onnx.load_from_string(export(Patches(True)))
    with pytest.raises(GraphError, match="at every batch size"):
        read(fixed.SerializeToString())  # it says that the batch is open, which is not true
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    assert read(fixed.SerializeToString()).hash == read(export(Patches(False))).hash
