"""Cases: recurrent layers."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.recorder.case import Case, around, layer, weighted


class First(nn.Module):
    """The first output of a layer that has several."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[0]


def _recurrent(kind: type[nn.Module]) -> list[Case]:
    name = kind.__name__
    cases: list[tuple[str, dict[str, Any]]] = [
        ("batch first", {"batch_first": True}),
        ("two layers", {"batch_first": True, "num_layers": 2}),
        ("both ways", {"batch_first": True, "bidirectional": True}),
        ("two layers, both ways", {"batch_first": True, "num_layers": 2, "bidirectional": True}),
        ("without bias", {"batch_first": True, "bias": False}),
        ("with dropout", {"batch_first": True, "num_layers": 2, "dropout": 0.5}),
    ]
    return [
        *(
            layer(f"{name} {label}", lambda named=named: First(kind(4, 5, **named)), 6, 4)
            for label, named in cases
        ),
        around(
            f"{name} steps first",
            lambda: kind(4, 5),
            lambda net, x: net(x.transpose(0, 1))[0].transpose(0, 1),
            *(6, 4),
        ),
        around(
            f"{name} steps first, two layers, both ways",
            lambda: kind(4, 5, num_layers=2, bidirectional=True),
            lambda net, x: net(x.permute(1, 0, 2))[0][-1],
            *(6, 4),
        ),
    ]


def _last_states(net: nn.Module, x: Tensor) -> Tensor:
    out, states = net(x)
    hidden = states[0] if isinstance(states, tuple) else states
    return torch.cat([out[:, -1], *hidden.unbind(0)], dim=-1)


class _LearnedStart(nn.Module):
    def __init__(self, kind: type[nn.Module], layers: int = 1) -> None:
        super().__init__()
        self.net = kind(4, 5, num_layers=layers, batch_first=True)
        self.start = nn.Parameter(torch.randn(layers, 1, 5))

    def forward(self, x: Tensor) -> Tensor:
        start = self.start.expand(-1, x.size(0), -1).contiguous()
        is_lstm = isinstance(self.net, nn.LSTM)
        out, last = self.net(x, (start, start * 0.5) if is_lstm else start)
        return out[:, -1] + (last[1] if is_lstm else last)[-1]


class _Seq2Seq(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(4, 5, batch_first=True)
        self.decoder = nn.LSTM(4, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        _, states = self.encoder(x)
        return self.decoder(x.flip(1), states)[0]


class _Cells(nn.Module):
    def __init__(self, kind: type[nn.Module], **named: Any) -> None:
        super().__init__()
        self.cell = kind(4, 5, **named)

    def forward(self, x: Tensor) -> Tensor:
        start = torch.zeros(x.size(0), 5)
        state: Any = (start, start) if isinstance(self.cell, nn.LSTMCell) else start
        outputs = []
        for step in range(x.size(1)):
            state = self.cell(x[:, step], state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs, dim=1)


RECURRENT: list[Case] = [
    *(case for kind in (nn.RNN, nn.GRU, nn.LSTM) for case in _recurrent(kind)),
    *(
        around(
            f"{kind.__name__} last states",
            lambda k=kind: k(4, 5, 2, batch_first=True),
            _last_states,
            6,
            4,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
    ),
    *(
        layer(f"{kind.__name__} learned start, {n}", lambda k=kind, n=n: _LearnedStart(k, n), 6, 4)
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for n in (1, 2)
    ),
    layer("RNN relu", lambda: First(nn.RNN(4, 5, nonlinearity="relu", batch_first=True)), 6, 4),
    layer(
        "LSTM projected",
        lambda: First(nn.LSTM(4, 5, proj_size=3, batch_first=True)),
        6,
        4,
        refused="proj_size",
    ),
    around(
        "GRU start of ones",
        lambda: nn.GRU(4, 5, batch_first=True),
        lambda net, x: net(x, torch.ones(1, x.size(0), 5))[0],
        *(6, 4),
    ),
    around(
        "GRU start from the input",
        lambda: nn.GRU(4, 4, batch_first=True),
        lambda net, x: net(x, x.mean(1).unsqueeze(0))[0],
        *(6, 4),
    ),
    around(
        "LSTM zero start from the input",
        lambda: nn.LSTM(4, 4, batch_first=True),
        lambda net, x: net(x, (x[:, 0][None] * 0, x.new_zeros(1, x.shape[0], 4)))[0],
        *(6, 4),
    ),
    around(
        "GRU without a batch axis",
        lambda: nn.GRU(4, 5),
        lambda net, x: net(x.mean(0))[0].sum() + x,
        *(6, 4),
    ),
    around(
        "LSTM twice",
        lambda: nn.LSTM(4, 4, batch_first=True),
        lambda net, x: net(net(x)[0])[0],
        *(6, 4),
    ),
    around(
        "packed sequence",
        lambda: nn.GRU(4, 5, batch_first=True),
        lambda net, x: net(nn.utils.rnn.pack_padded_sequence(x, [6] * x.size(0), batch_first=True))[
            1
        ][0],
        *(6, 4),
        refused="pack",
    ),
    layer("an encoder's state starts the decoder", _Seq2Seq, 6, 4),
    layer("RNNCell loop", lambda: _Cells(nn.RNNCell), 6, 4),
    layer("RNNCell relu loop", lambda: _Cells(nn.RNNCell, nonlinearity="relu"), 6, 4),
    layer("GRUCell loop", lambda: _Cells(nn.GRUCell), 6, 4),
    layer("GRUCell loop without bias", lambda: _Cells(nn.GRUCell, bias=False), 6, 4),
    layer("LSTMCell loop", lambda: _Cells(nn.LSTMCell), 6, 4),
    around("GRUCell without a state", lambda: nn.GRUCell(4, 5), lambda net, x: net(x), 4),
    around("LSTMCell without a state", lambda: nn.LSTMCell(4, 5), lambda net, x: net(x)[1], 4),
    weighted(
        "recurrence by hand",
        lambda x, w, u: _by_hand(x, w, u),
        *(6, 4),
        w=(4, 5),
        u=(5, 5),
    ),
]


def _by_hand(x: Tensor, w: Tensor, u: Tensor) -> Tensor:
    h = torch.zeros(x.shape[0], u.shape[0])
    for x_t in x.unbind(1):
        h = torch.tanh(x_t @ w + h @ u)
    return h
