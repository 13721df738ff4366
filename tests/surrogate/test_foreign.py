"""Files of other tools end in the text that our recorder writes, or are refused by name."""

import io
import re
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from evoprompt.screen.recorder import record
from surrogate.decode import decode
from surrogate.encode import Graph, GraphError, read
from tests.surrogate.nets import NETS, export, make

FOLDED = """\
NET 3x8x8>10
Conv k3 3>8 nobias IN @8x8x8
BatchNorm folded @8x8x8
Relu @8x8x8
Conv k3 s2 8>8 nobias @8x4x4
BatchNorm folded @8x4x4
Gelu @8x4x4
Conv k1 8>8 @8x4x4
ReduceMean a2x3 @8
Linear 8>10 @10"""


class Normed(nn.Module):
    """A Conv with and one without a bias, each with a norm, and a Conv without a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.second = nn.Conv2d(8, 8, 3, 2, 1)
        self.third = nn.Conv2d(8, 8, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.BatchNorm2d(8)])
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.first(x)))
        x = F.gelu(self.norms[1](self.second(x)))
        return self.head(self.third(x).mean((2, 3)))


@pytest.fixture(scope="module")
def normed() -> nn.Module:
    torch.manual_seed(0)
    net = Normed().eval()
    for weight in [*net.parameters(), *(n.running_mean for n in net.norms)]:  # type: ignore[union-attr]
        weight.data = torch.randn_like(weight)
    return net


def traced(net: nn.Module, in_shape: tuple[int, ...], **settings: object) -> bytes:
    """The file of torch's exporters with their own defaults."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(2, *in_shape),), buffer, **settings)  # type: ignore[arg-type]
    return buffer.getvalue()


def inside(net: nn.Module, in_shape: tuple[int, ...]) -> bytes:
    """A file whose weights are fixed, which is what tools optimise; no two tensors are equal."""
    net(torch.zeros(2, *in_shape))  # materialises lazy layers
    for weight in net.parameters():
        weight.data = torch.randn_like(weight)
    return export(net, in_shape, weights_inside=True, keeps_equal_weights_apart=False)


def optimised(data: bytes, level: str, folder: Path) -> Path:
    """The file that onnxruntime saves after its optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}"
    )
    path = folder / f"{level}.onnx"
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return path


def is_the_folded_net(graph: Graph, net: nn.Module) -> None:
    assert graph.text == FOLDED
    # One bias less: a norm's shift takes its place, and a fold does not say that it was there.
    assert graph.parameters == sum(p.numel() for p in net.parameters()) - 8
    assert decode(graph.text).hash == graph.hash


def test_folded_norms_of_the_tracing_exporter_are_marked(normed: nn.Module) -> None:
    names = {"input_names": ["input"], "dynamic_axes": {"input": {0: "batch"}}}
    is_the_folded_net(read(traced(normed, (3, 8, 8), dynamo=False, **names)), normed)


@pytest.mark.filterwarnings("ignore")
def test_folded_norms_of_the_dynamo_exporter_are_marked(normed: nn.Module) -> None:
    dims = ({0: torch.export.Dim("batch")},)
    data = traced(normed, (3, 8, 8), dynamo=True, optimize=True, verbose=False, dynamic_shapes=dims)
    is_the_folded_net(read(data), normed)


@pytest.mark.parametrize("level", ["BASIC", "EXTENDED"])
def test_folded_norms_of_onnxruntime_are_marked(
    level: str, normed: nn.Module, tmp_path: Path
) -> None:
    plain = inside(normed, (3, 8, 8))
    assert "folded" not in read(plain).text
    is_the_folded_net(read(optimised(plain, level, tmp_path)), normed)


def test_the_layout_of_a_processor_is_refused_with_advice(
    normed: nn.Module, tmp_path: Path
) -> None:
    path = optimised(inside(normed, (3, 8, 8)), "ALL", tmp_path)
    with pytest.raises(GraphError, match=r"com\.microsoft\.nchwc.*ORT_ENABLE_EXTENDED"):
        read(path)


@pytest.mark.parametrize("level", ["BASIC", "EXTENDED"])
@pytest.mark.parametrize("name", [name for name in NETS if name != "recurrent"])
def test_optimised_files_have_the_text_of_the_plain_ones(
    name: str, level: str, tmp_path: Path
) -> None:
    plain = inside(*make(name))
    text = read(optimised(plain, level, tmp_path)).text
    assert text.replace("BatchNorm folded", "BatchNorm") == without_bias(read(plain).text)


def without_bias(text: str) -> str:
    """A norm swallows the bias of the Conv before it."""
    return re.sub(r"(Conv [^\n]*\d>\d+)( [^\n]*\nBatchNorm )", r"\1 nobias\2", text)


def test_an_optimised_recurrent_net_picks_the_last_step_before_it_turns(tmp_path: Path) -> None:
    """The one difference that is left: a rewriting that our own graphs do not have."""
    plain = inside(*make("recurrent"))
    text = read(optimised(plain, "EXTENDED", tmp_path)).text
    turned = "Transpose order=1x0x2 @40x12\nSelect a1 i39 @12"
    assert text == read(plain).text.replace(turned, "Select a0 i39 @12")


class Layers(nn.Module):
    """What transformers are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 10)
        self.norm = nn.LayerNorm(16)
        self.scale = nn.Parameter(torch.rand(16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x + F.gelu(self.a(x)))
        x = self.b(x) + F.gelu(x, approximate="tanh")
        shares = (x @ x.transpose(1, 2) * 0.25).softmax(-1)
        return self.head((shares @ x).mean(1))


def test_fused_operators_are_taken_apart_again(tmp_path: Path) -> None:
    net = Layers().eval()
    recorded = read(record(net, lambda batch: (torch.randn(batch, 8, 16),)).model)
    path = optimised(inside(net, (8, 16)), "EXTENDED", tmp_path)
    domains = {node.op_type for node in onnx.load(path).graph.node if node.domain}
    assert domains, "nothing was fused: the test tests nothing"
    assert read(path).parameters == sum(
        weight.numel() for name, weight in net.named_parameters() if name != "scale"
    )
    assert sorted(read(path).lines) == sorted(recorded.lines)


def by_hand(
    nodes: list[onnx.NodeProto],
    shape: list[str | int | None],
    weights: dict[str, tuple[int, ...]],
    constants: dict[str, object] | None = None,
    opset: int = 17,
) -> Graph:
    """A file as other tools write it: weights and constants inside, in their own names."""
    graph = helper.make_graph(
        nodes,
        "tf2onnx",
        [helper.make_tensor_value_info("input_1", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("Identity:0", TensorProto.FLOAT, ["n", None])],
        [
            *(numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in weights.items()),
            *(numpy_helper.from_array(np.array(v), n) for n, v in (constants or {}).items()),
        ],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return read(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())


def node(op: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], **attributes)  # type: ignore[arg-type]


def test_a_net_of_channels_last_in_the_style_of_tf2onnx() -> None:
    graph = by_hand(
        [
            node("Transpose", "input_1", "t0", perm=[0, 3, 1, 2]),
            node("Pad", "t0 pads", "p0"),
            node("Conv", "p0 w0", "c0", kernel_shape=[3, 3], strides=[2, 2]),
            node("Add", "c0 b0", "a0"),
            node("Transpose", "a0", "t1", perm=[0, 2, 3, 1]),
            node("Transpose", "t1", "t2", perm=[0, 3, 1, 2]),
            node("Conv", "t2 w1 b1", "c1", kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
            node("Relu", "c1", "r1"),
            node("Reshape", "r1 flat", "f"),
            node("MatMul", "f w2", "m"),
            node("Add", "m b2", "Identity:0"),
        ],
        ["n", 8, 8, 3],
        {
            **{"w0": (4, 3, 3, 3), "b0": (1, 4, 1, 1), "w1": (6, 4, 3, 3), "b1": (6,)},
            **{"w2": (96, 10), "b2": (10,)},
        },
        {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "flat": [-1, 96]},
    )
    assert graph.text == (
        "NET 8x8x3>10\nTranspose order=0x3x1x2 IN @3x8x8\nConv k3 s2 3>4 @4x4x4\n"
        "Conv k3 4>6 @6x4x4\nRelu @6x4x4\nView @96\nLinear 96>10 @10"
    )
    assert graph.parameters == 4 * 27 + 4 + 6 * 36 + 6 + 970


def test_padding_that_is_no_part_of_a_convolution_stays() -> None:
    def text(op: str, pads: list[int], **attributes: object) -> str:
        nodes = [node("Pad", "input_1 pads", "p", **attributes)]
        nodes += [node(op, "p w" if op == "Conv" else "p", "c", kernel_shape=[3])]
        nodes += [node("Flatten", "c", "Identity:0")]
        weights = {"w": (2, 2, 3)} if op == "Conv" else {"w": (1,)}
        return by_hand(nodes, ["n", 2 - pads[1], 9], weights, {"pads": pads}).text

    assert "Conv k3 p2x0 2>2 nobias IN @2x9" in text("Conv", [0, 0, 2, 0, 0, 0])
    assert "Pad" in text("Conv", [0, 1, 0, 0, 0, 0])
    assert "Pad" in text("Conv", [0, 0, 1, 0, 0, 1], mode="reflect")
    assert "Pad" in text("MaxPool", [0, 0, 1, 0, 0, 1])


RMS = [
    *("Pow {} #2 @2x16", "ReduceMean a2 @2x1", "Add ^1 #1e-06 @2x1", "Sqrt @2x1"),
    *("Div {} ^1 @2x16", "Mul ^1 W16 @2x16", "View @32"),
]
FUSED = {
    "FusedConv": (
        [
            helper.make_node(
                *("FusedConv", ["input_1", "w", "b"], ["c"]),
                **{"domain": "com.microsoft", "activation": "LeakyRelu"},
                **{"activation_params": [0.2], "pads": [1, 1]},
            ),
            node("Flatten", "c", "Identity:0"),
        ],
        {"w": (4, 2, 3), "b": (4,)},
        ["Conv k3 2>4 IN @4x16", "LeakyRelu alpha=0.2 @4x16", "View @64"],
    ),
    "QuickGelu": (
        [
            node("QuickGelu", "input_1", "q", domain="com.microsoft", alpha=1.0),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (1,)},
        ["Swish IN @2x16", "View @32"],
    ),
    "FastGelu": (
        [
            node("FastGelu", "input_1 w", "q", domain="com.microsoft"),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (16,)},
        ["Add IN W16 @2x16", "Gelu approximate=tanh @2x16", "View @32"],
    ),
    "SkipLayerNormalization": (
        [
            node("Relu", "input_1", "r"),
            node("SkipLayerNormalization", "r input_1 w b", "q", domain="com.microsoft"),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (16,), "b": (16,)},
        ["Relu IN @2x16", "Add ^1 IN @2x16", "LayerNorm a2 eps=1e-12 @2x16", "View @32"],
    ),
    "BiasGelu": (
        [
            node("BiasGelu", "input_1 w", "q", domain="com.microsoft"),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (16,)},
        ["Add IN W16 @2x16", "Gelu @2x16", "View @32"],
    ),
    "BiasSoftmax": (
        [
            node("BiasSoftmax", "input_1 w", "q", domain="com.microsoft", axis=2),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (2, 16)},
        ["Add IN W2x16 @2x16", "Softmax a2 @2x16", "View @32"],
    ),
    "SimplifiedLayerNormalization": (
        [
            node("SimplifiedLayerNormalization", "input_1 w", "q", axis=-1, epsilon=1e-6),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (16,)},
        [line.format("IN") for line in RMS],
    ),
    "SkipSimplifiedLayerNormalization": (
        [
            node("Relu", "input_1", "r"),
            helper.make_node(
                *("SkipSimplifiedLayerNormalization", ["r", "input_1", "w", "b"], ["q"]),
                **{"domain": "com.microsoft", "epsilon": 1e-6},
            ),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (16,), "b": (16,)},
        [
            *("Relu IN @2x16", "Add ^1 W16 @2x16", "Add ^1 IN @2x16", "Pow ^1 #2 @2x16"),
            *RMS[1:4],
            RMS[4].format("^5"),
            *RMS[5:],
        ],
    ),
    "FusedMatMul": (
        [
            node(
                "FusedMatMul", "input_1 input_1", "q", domain="com.microsoft", transB=1, alpha=0.5
            ),
            node("Flatten", "q", "Identity:0"),
        ],
        {"w": (1,)},
        [
            *("Transpose order=0x2x1 IN @16x2", "MatMul IN ^1 @2x2"),
            *("Mul ^1 #0.5 @2x2", "View @4"),
        ],
    ),
    "FusedGemm": (
        [
            node("Flatten", "input_1", "f"),
            node("FusedGemm", "f w b", "Identity:0", domain="com.microsoft", activation="Relu"),
        ],
        {"w": (32, 5), "b": (5,)},
        ["View IN @32", "Linear 32>5 @5", "Relu @5"],
    ),
}


@pytest.mark.parametrize("op", FUSED)
def test_an_operator_of_onnxruntime_reads_as_its_parts(op: str) -> None:
    nodes, weights, expected = FUSED[op]
    graph = by_hand(nodes, ["n", 2, 16], weights)
    assert list(graph.lines[1:]) == expected


def test_an_operator_of_another_domain_is_named_with_its_node() -> None:
    strange = helper.make_node("Bar", ["input_1"], ["Identity:0"], "layer7", domain="com.foo")
    with pytest.raises(GraphError, match=r"operator Bar of the custom domain 'com\.foo', node 'la"):
        by_hand([strange], ["n", 4], {"w": (1,)})
    attention = node("MatMulNBits", "input_1 w", "Identity:0", domain="com.microsoft")
    with pytest.raises(GraphError, match="operator MatMulNBits of the custom domain"):
        by_hand([attention], ["n", 4], {"w": (1,)})
