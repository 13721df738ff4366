"""Small networks for the tests, and their export to ONNX exactly as the screen does it."""

import io
import warnings

import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn


def export(
    module: nn.Module,
    in_shape: tuple[int, ...] = (1, 40),
    batch_size: int = 2,
    weights_inside: bool = False,
    opset: int = 17,
    keeps_equal_weights_apart: bool = True,
) -> bytes:
    """Return the ONNX file of `module` in eval mode; weights become graph inputs by default."""
    module = module.eval()
    example = torch.zeros(batch_size, *in_shape)
    with torch.no_grad():
        module(example)  # materialises lazy layers
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            buffer,
            dynamo=False,
            export_params=weights_inside,
            keep_initializers_as_inputs=keeps_equal_weights_apart,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=opset,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )
    return buffer.getvalue()


class ReferenceCnn(nn.Module):
    """EvoPrompting's CNN for MNIST-1D: 5,210 parameters."""

    def __init__(self, width: int = 25, kernel: int = 5, stride: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, kernel, stride, 1)
        self.second = nn.Conv1d(width, width, 3, 2, 1)
        self.third = nn.Conv1d(width, width, 3, 2, 1)
        self.head = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.third(F.relu(self.second(F.relu(self.first(x))))))
        return self.head(x.flatten(1))


class Residual(nn.Module):
    """Three equal residual blocks with BatchNorm, and a pooled head."""

    def __init__(self, share: bool = False, skip_from_input: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 8, 3, padding=1)
        blocks = [nn.Conv1d(8, 8, 3, padding=1) for _ in range(1 if share else 3)]
        self.convs = nn.ModuleList(blocks * 3 if share else blocks)
        self.norms = nn.ModuleList(nn.BatchNorm1d(8) for _ in range(3))
        self.skip_from_input = skip_from_input
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        first = x = self.stem(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x))) + (first if self.skip_from_input else x)
        return self.head(F.dropout(x, 0.1, self.training).mean(-1))


class Recurrent(nn.Module):
    """A bidirectional GRU and its last state."""

    def __init__(self, cell: type[nn.GRU] | type[nn.LSTM] = nn.GRU) -> None:
        super().__init__()
        self.cell = cell(1, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x.transpose(1, 2))[0][:, -1])


class Attention(nn.Module):
    """Patches, a learned position, one attention layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 8)
        self.position = nn.Parameter(torch.randn(1, 10, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.reshape(x.size(0), -1, 4)) + self.position
        y = self.norm(x)
        return self.head((x + self.attention(y, y, y, need_weights=False)[0]).mean(1))


class SqueezeExcite(nn.Module):
    """GroupNorm, SiLU, a gate, chunk, two kinds of pooling, GELU, concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.squeeze = nn.Linear(8, 2)
        self.excite = nn.Linear(2, 8)
        self.head = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.conv(x)))
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(-1))))).unsqueeze(-1)
        left, right = x.chunk(2, 1)
        x = torch.cat([F.max_pool1d(left, 2), F.adaptive_avg_pool1d(right, 20)], 1)
        return self.head(F.gelu(x).flatten(1))


class Image(nn.Module):
    """A 2-D net with depthwise, dilated and transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 12, 3, 2, 1),
            nn.Conv2d(12, 12, (3, 1), padding=(1, 0), groups=12, bias=False),
            nn.InstanceNorm2d(12, affine=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(12, 6, 3, padding=2, dilation=2),
            nn.ConvTranspose2d(6, 4, 2, 2),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


NETS = {
    "reference": ReferenceCnn,
    "residual": Residual,
    "recurrent": Recurrent,
    "attention": Attention,
    "squeeze_excite": SqueezeExcite,
    "image": Image,
}


def make(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A network by name, and its input shape."""
    torch.manual_seed(0)
    return NETS[name](), (3, 16, 16) if name == "image" else (1, 40)


def small_model(**changes: object) -> onnx.ModelProto:
    """Flatten and Gemm, to be spoiled."""
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], transB=1),
    ]
    inputs = [("input", ["n", 1, 4]), ("w", [3, 4]), ("b", [3])]
    graph = helper.make_graph(
        changes.get("nodes", nodes),  # type: ignore[arg-type]
        "g",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in changes.get("inputs", inputs)  # type: ignore[attr-defined]
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "m"])
            for name in changes.get("outputs", ["logits"])  # type: ignore[attr-defined]
        ],
    )
    imports = [helper.make_opsetid("", int(changes.get("opset", 17)))]  # type: ignore[call-overload]
    imports.append(helper.make_opsetid("com.example", 1))
    return helper.make_model(graph, opset_imports=imports, ir_version=8)
