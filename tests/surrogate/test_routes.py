"""Both routes from a module to a graph - our recorder, torch's exporter - end in one text.

The files in `golden` hold a program, its input shape and its text: what the shipped predictor was
trained on, which no change of the reader may touch.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evoprompt.screen.export import export
from evoprompt.screen.recorder import record
from surrogate.encode import Graph, read

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.txt"))


@pytest.fixture(autouse=True)
def plain_attention() -> Iterator[None]:
    """The fused operator of torch's fast path has no ONNX form."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


def routes(net: nn.Module, in_shape: tuple[int, ...]) -> tuple[Graph, Graph]:
    torch.manual_seed(0)
    net = net.eval()
    input_BX = torch.randn(2, *in_shape)
    with torch.no_grad():
        net(input_BX)  # materialises lazy layers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter says that it is old
        exported = read(export(net, input_BX))
    recorded = read(record(net, lambda batch: (torch.randn(batch, *in_shape),)).model)
    return exported, recorded


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_text_of_a_program_stays_what_it_was(path: Path) -> None:
    source, _, rest = path.read_text().partition("---- ")
    sizes, _, expected = rest.partition("\n")
    in_shape = tuple(map(int, sizes.split("x")))
    names: dict[str, Any] = {"__name__": "candidate"}
    exec(source, names)
    exported, recorded = routes(names["Net"](in_shape, 10), in_shape)
    assert exported.text == expected.rstrip("\n")
    assert recorded.text == exported.text
    assert recorded.hash == exported.hash


class Written(nn.Module):
    """A forward written as one function of the module and its input, then a head."""

    def __init__(self, body: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.body = body
        for name, part in parts.items():
            setattr(self, name, part)
        self.head = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self, x).flatten(1))


def _weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape))


def _attend(m: Any, x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(m.q(x), m.k(x), m.v(x), is_causal=True)


def _attend_by_hand(m: Any, x: Tensor) -> Tensor:
    shares = (m.q(x) @ m.k(x).transpose(-2, -1) / math.sqrt(16)).softmax(-1)
    return shares @ m.v(x)


def _projections() -> dict[str, nn.Module]:
    return {name: nn.Linear(16, 16) for name in "qkv"}


def _pools(_: Any, x: Tensor) -> Tensor:
    image = x.reshape(-1, 2, 8, 8)
    pooled = [
        *(F.adaptive_avg_pool2d(image, 1), F.adaptive_max_pool2d(image, 1), F.avg_pool2d(image, 8)),
        *(F.max_pool2d(image, 8), F.max_pool2d(image, 3, 2, 1, ceil_mode=True)),
        *(F.avg_pool2d(image, 3, 2, 1), F.avg_pool2d(image, 3, 2, 1, count_include_pad=False)),
    ]
    return torch.cat([p.flatten(1) for p in pooled], 1)


def _activations(m: Any, x: Tensor) -> Tensor:
    x = F.gelu(F.leaky_relu(F.relu6(F.hardsigmoid(F.hardtanh(x)))), approximate="tanh")
    x = F.softplus(F.mish(F.selu(F.celu(F.silu(F.hardswish(F.gelu(x)))))))
    return m.act(F.logsigmoid(F.softsign(torch.exp(-torch.abs(x)).clamp(0.1, 0.9).sqrt())))


def _pads(_: Any, x: Tensor) -> Tensor:
    modes = [F.pad(x, (1, 2), mode=mode) for mode in ("constant", "reflect", "replicate")]
    return torch.cat([*modes, F.pad(x, (1, 2), value=1.5)], 1)


def _token(m: Any, x: Tensor) -> Tensor:
    x = x.reshape(-1, 16, 8)
    return torch.cat([m.token.expand(x.shape[0], -1, -1), x], 1) + m.position


def _start(m: Any, x: Tensor) -> Tensor:
    return m.cell(x, m.state.expand(-1, x.shape[0], -1).contiguous())[0]


def _rms(m: Any, x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * m.scale


BODIES: dict[str, Callable[[], nn.Module]] = {
    "linear over positions": lambda: Written(lambda m, x: m.a(x), a=nn.Linear(16, 6)),
    "a product with a parameter": lambda: Written(
        lambda m, x: x @ m.w + m.b, w=_weight(16, 6), b=_weight(6)
    ),
    "norms": lambda: Written(
        lambda m, x: m.d(m.c(m.b(m.a(x)))),
        a=nn.GroupNorm(2, 8),
        b=nn.InstanceNorm1d(8, affine=True),
        c=nn.LayerNorm(16),
        d=nn.BatchNorm1d(8),
    ),
    "norms without weights": lambda: Written(
        lambda m, x: m.d(m.c(m.b(m.a(x)))),
        a=nn.GroupNorm(2, 8, affine=False),
        b=nn.InstanceNorm1d(8),
        c=nn.LayerNorm(16, elementwise_affine=False),
        d=nn.BatchNorm1d(8, affine=False),
    ),
    "RMS norm by hand": lambda: Written(_rms, scale=_weight(16)),
    "convolutions with same padding": lambda: Written(
        lambda m, x: m.b(F.elu(m.a(x))),
        a=nn.Conv1d(8, 12, 5, padding="same"),
        b=nn.Conv1d(12, 12, 3, padding=1, groups=12, bias=False),
    ),
    "causal attention": lambda: Written(_attend, **_projections()),
    "attention by hand": lambda: Written(_attend_by_hand, **_projections()),
    "an encoder layer": lambda: Written(
        lambda m, x: m.a(x), a=nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    ),
    "GRU in both directions": lambda: Written(
        lambda m, x: m.a(x)[0][:, -1],
        a=nn.GRU(16, 6, num_layers=2, batch_first=True, bidirectional=True),
    ),
    "LSTM with its last state": lambda: Written(
        lambda m, x: m.a(x)[1][0][-1], a=nn.LSTM(16, 6, batch_first=True)
    ),
    "a first state that is trained": lambda: Written(
        _start, cell=nn.RNN(16, 6, batch_first=True), state=_weight(1, 1, 6)
    ),
    "a first state of zeros": lambda: Written(
        lambda m, x: m.a(x, x.new_zeros(1, x.shape[0], 6))[0], a=nn.GRU(16, 6, batch_first=True)
    ),
    "a class token": lambda: Written(_token, token=_weight(1, 1, 8), position=_weight(1, 17, 8)),
    "zeros beside data": lambda: Written(
        lambda m, x: torch.cat([x.new_zeros(x.shape[0], 2, 16), x], 1)
    ),
    "halves that gate": lambda: Written(
        lambda m, x: F.glu(x, 1) * x.chunk(2, 1)[0] - torch.stack(x.split(4, 1))[1]
    ),
    "picked rows": lambda: Written(lambda m, x: x.unbind(1)[0] * x[:, 1] - x[:, -1]),
    "pooling": lambda: Written(_pools),
    "activations": lambda: Written(_activations, act=nn.PReLU(8)),
    "padding": lambda: Written(_pads),
    "einsum": lambda: Written(lambda m, x: torch.einsum("btd,de->bte", x, m.w), w=_weight(16, 6)),
    "flip and roll": lambda: Written(lambda m, x: x.flip(-1) + torch.roll(x, 3, 2)),
    "a sum of branches": lambda: Written(
        lambda m, x: sum(conv(x) for conv in m.convs),
        convs=nn.ModuleList(nn.Conv1d(8, 8, k, padding=k // 2) for k in (1, 3, 5)),
    ),
    "a table of positions": lambda: Written(
        lambda m, x: x + m.table(torch.arange(8)), table=nn.Embedding(8, 16)
    ),
}


@pytest.mark.parametrize("body", BODIES)
def test_both_routes_end_in_one_text(body: str) -> None:
    exported, recorded = routes(BODIES[body](), (8, 16))
    assert recorded.text == exported.text
    assert recorded.hash == exported.hash
    assert recorded.parameters == exported.parameters


def test_a_recurrent_cell_is_one_operator_when_recorded() -> None:
    """Torch's exporter takes it apart into gates; only the sizes are the same."""
    net = Written(lambda m, x: m.cell(x[:, 0], x.new_zeros(x.shape[0], 6)), cell=nn.GRUCell(16, 6))
    exported, recorded = routes(net, (8, 16))
    assert "GRU 16>6" in recorded.text
    assert recorded.parameters == exported.parameters
    assert recorded.macs == exported.macs
