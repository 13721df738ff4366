"""Cases that a graph cannot hold: control flow on data, random numbers, complex numbers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.recorder.case import Case, fn, layer, weighted


def _branch(x: Tensor) -> Tensor:
    return x * 2 if x.sum() > 0 else x


def _while(x: Tensor) -> Tensor:
    while x.norm() > 10:
        x = x / 2
    return x


def _on_batch(x: Tensor) -> Tensor:
    return x * 2 if x.size(0) > 1 else x


def _loop_over_batch(x: Tensor) -> Tensor:
    return torch.stack([torch.tanh(row) for row in x])


def _caught(x: Tensor) -> Tensor:
    try:
        return x * x.sum().item()
    except Exception:
        return x


class _Stateful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.relu(x) if self.calls % 2 else torch.tanh(x)


class _Memory(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        out = x if self.last is None else x + self.last
        self.last = x.mean() * 0.5
        return out


CONTROL_FLOW: list[Case] = [
    fn("if on a sum", _branch, 4, refused="control flow"),
    fn("while on a norm", _while, 4, refused="control flow"),
    fn("item", lambda x: x * x.sum().item(), 4, refused="item"),
    fn("item, caught", _caught, 4, refused="item"),
    fn("float()", lambda x: x * float(x.mean()), 4, refused="control flow"),
    fn("int()", lambda x: x * int(x.sum()), 4, refused="control flow"),
    fn("bool()", lambda x: x * bool((x > 0).all()), 4, refused="control flow"),
    fn("tolist", lambda x: x * x.sum(0).tolist()[0], 4, refused="tolist"),
    fn("numpy", lambda x: x + torch.from_numpy(x.numpy()), 4, refused="numpy"),
    fn("torch.equal", lambda x: x * (1 if torch.equal(x, x) else 2), 4, refused="equal"),
    fn("allclose", lambda x: x * (1 if torch.allclose(x, x) else 2), 4, refused="allclose"),
    fn("a size from data", lambda x: x[:, : int((x > 0).sum())], 4, refused="control flow"),
    fn("an index from data", lambda x: x[:, int(x[0].argmax(0))], 4, refused="control flow"),
    fn(
        "range over data",
        lambda x: sum(x for _ in range((x > 9).sum() + 1)),
        4,
        refused="control flow",
    ),
    fn("min of Python", lambda x: min(x.sum(), x.mean()) + x, 4, refused="control flow"),
    fn("in", lambda x: x * (1.0 in x), 4, refused="control flow"),
    fn("a slice from data", lambda x: x[:, : (x > 9).sum() + 2], 4, refused="control flow"),
    fn("a view from data", lambda x: x.view((x > 99).sum() + 1, -1, 4), 4, refused="control flow"),
    fn("top-k of data", lambda x: x.topk((x > 99).sum() + 1)[0], 4, refused="control flow"),
    fn("repeat by data", lambda x: x.repeat(1, (x > 99).sum() + 1), 4, refused="control flow"),
    fn("narrow by data", lambda x: x.narrow(1, (x > 99).sum(), 2), 4, refused="control flow"),
    fn("an axis from data", lambda x: x.sum((x > 99).sum() + 1), 4, refused="sum"),
    fn("a position from data", lambda x: x.select(1, (x > 99).sum()), 4, refused="control flow"),
    fn("a shift from data", lambda x: x.roll((x > 99).sum(), 1), 4, refused="roll"),
    fn("a factor from data", lambda x: torch.add(x, x, alpha=x.sum()), 4, refused="other operands"),
    fn("a bound from data", lambda x: F.hardtanh(x, -1.0, x.sum()), 4, refused="other operands"),
    fn("a new tensor of data", lambda x: x + torch.tensor(x.sum()), 4, refused="tensor"),
    fn("a filled tensor of data", lambda x: x + torch.full((4,), x.sum()), 4, refused="full"),
    fn("if on the batch", _on_batch, 4, refused="batch"),
    fn("a loop over the batch", _loop_over_batch, 4, refused="batch"),
    layer("another call, another network", _Stateful, 4, refused="batch sizes"),
    layer("a value of the call before", _Memory, 4, refused="call"),
    fn("vmap", lambda x: torch.vmap(torch.sin)(x), 4, refused="vmap"),
    fn(
        "autograd in forward",
        lambda x: torch.autograd.functional.jvp(torch.sin, x, x)[1],
        4,
        refused="requires_grad_",
    ),
]

RANDOM: list[Case] = [
    fn("rand_like", lambda x: x + torch.rand_like(x), 4, refused="random"),
    fn("randn_like", lambda x: x + 0.1 * torch.randn_like(x), 4, refused="random"),
    fn("randn", lambda x: x + torch.randn(4), 4, refused="random"),
    fn("rand of the batch", lambda x: x * torch.rand(x.size(0), 1), 4, refused="random"),
    fn("randint", lambda x: x + torch.randint(0, 9, (4,)), 4, refused="random"),
    fn("randperm", lambda x: x[:, torch.randperm(4)], 4, refused="random"),
    fn("bernoulli", lambda x: torch.bernoulli(x.sigmoid()), 4, refused="random"),
    fn("multinomial", lambda x: torch.multinomial(x.exp(), 1), 4, refused="random"),
    fn("normal", lambda x: torch.normal(x, 1.0), 4, refused="random"),
    fn("new_empty random", lambda x: x + x.new_empty(4).uniform_(), 4, refused="random"),
    fn("dropout in forward", lambda x: F.dropout(x, 0.5), 4, refused="random"),
    fn("dropout of nothing", lambda x: F.dropout(x, 0.0) + F.dropout(x, 0.5, training=False), 4),
    fn(
        "dropout2d in forward",
        lambda x: F.dropout2d(x, 0.5, training=True),
        2,
        3,
        3,
        refused="random",
    ),
    fn(
        "alpha_dropout in forward", lambda x: F.alpha_dropout(x, training=True), 4, refused="random"
    ),
    fn("rrelu in training", lambda x: F.rrelu(x, training=True), 4, refused="random"),
    fn("random numbers that are not used", lambda x: (torch.rand(4), x * 2)[1], 4),
    fn("seeded noise", lambda x: _seeded_noise(x), 4),
    fn(
        "noise of a generator",
        lambda x: x + torch.randn(4, generator=torch.Generator().manual_seed(0)),
        *(4,),
    ),
]


def _seeded_noise(x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return x + torch.randn(4)


COMPLEX: list[Case] = [
    fn("rfft ortho", lambda x: torch.fft.rfft(x, norm="ortho").imag, 7),
    fn("ifft", lambda x: torch.fft.ifft(torch.fft.fft(x, norm="forward"), norm="forward").real, 8),
    fn("rfft2", lambda x: torch.fft.rfft2(x, norm="ortho").abs(), 2, 6, 5),
    fn("irfft of odd length", lambda x: torch.fft.irfft(torch.fft.rfft(x), n=7), 7),
    fn(
        "irfft of another length",
        lambda x: torch.fft.irfft(torch.fft.rfft(x), n=6),
        8,
        refused="size",
    ),
    fn("fft of another length", lambda x: torch.fft.fft(x, n=16).real, 8, refused="fft"),
    weighted(
        "global filter",
        lambda x, w: torch.fft.irfft2(
            torch.fft.rfft2(x, norm="ortho") * torch.view_as_complex(w), s=(6, 8), norm="ortho"
        ),
        *(2, 6, 8),
        w=(2, 6, 5, 2),
    ),
    fn(
        "complex matmul",
        lambda x: (torch.fft.fft(x) @ torch.fft.fft(x).mT).real,
        4,
        4,
        refused="complex",
    ),
    fn("complex equality", lambda x: torch.fft.fft(x) == 0, 4, refused="complex"),
    fn("complex exp", lambda x: torch.fft.fft(x).exp().real, 4, refused="complex"),
    fn("complex output", lambda x: torch.fft.fft(x), 4, refused="output"),
    fn("angle", lambda x: torch.fft.fft(x).angle(), 4, refused="angle"),
    fn("rfft", lambda x: torch.fft.rfft(x).abs(), 8),
    fn("fft", lambda x: torch.fft.fft(x, dim=-1).real, 8),
    fn("fft2", lambda x: torch.fft.fft2(x).real, 4, 6),
    fn("fft of two axes", lambda x: torch.fft.fft(torch.fft.fft(x, dim=-1), dim=1).real, 4, 6),
    fn("fftn", lambda x: torch.fft.fftn(x, dim=(1, 2)).real, 4, 6),
    fn("fft filter", lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=1) * 2.0, n=8, dim=1), 8),
    fn("complex", lambda x: torch.complex(x, x).abs(), 4),
    fn("view_as_complex", lambda x: torch.view_as_complex(x).abs(), 4, 2),
    fn("polar", lambda x: torch.polar(x.abs(), x).real, 4),
    fn("stft", lambda x: torch.stft(x, 4, return_complex=True).abs(), 16, refused="stft"),
    fn(
        "sparse",
        lambda x: torch.sparse.mm(torch.eye(4).to_sparse(), x.t()).t(),
        4,
        refused="sparse",
    ),
]
