"""Rules for recurrent layers: gates are brought into ONNX's order by indexing the weights' rows."""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.tape import Ints, Operand, Tape, rule

_GATES = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}
"""Torch's gates in ONNX's order: GRU r z n -> z r n; LSTM i f g o -> i o f g."""
_CELL = _GATES


def _rows(tape: Tape, kind: str, weight: Tensor) -> Operand:
    """The weight with its gates in ONNX's order, made once."""
    name = tape.value(weight)
    if len(_GATES[kind]) == 1:
        return name
    known = tape.memo.get((kind, name))
    if known is None:
        order = _order(weight.shape[0] // len(_GATES[kind]), _GATES[kind])
        known = tape.memo[kind, name] = tape.node("Gather", [weight, order], axis=0)
    return known


@functools.lru_cache(maxsize=1024)
def _order(size: int, gates: tuple[int, ...]) -> Ints:
    """The rows of `size` units for each gate, gate by gate."""
    return Ints(gate * size + unit for gate in gates for unit in range(size))


def _stacked(tape: Tape, parts: Sequence[Operand]) -> Operand:
    """One row for each direction."""
    rows = [tape.node("Unsqueeze", [part, Ints((0,))]) for part in parts]
    return rows[0] if len(rows) == 1 else tape.node("Concat", rows, axis=0)


def layer_weights(
    tape: Tape, kind: str, directions: Sequence[Sequence[Tensor]]
) -> tuple[Operand, Operand, Operand | None]:
    """W, R and B of one layer; each direction is (w_ih, w_hh) or (w_ih, w_hh, b_ih, b_hh)."""
    key = (kind, *(tape.value(weights[0]) for weights in directions))
    known = tape.memo.get(key)
    if known is not None:
        return known
    w = _stacked(tape, [_rows(tape, kind, weights[0]) for weights in directions])
    r = _stacked(tape, [_rows(tape, kind, weights[1]) for weights in directions])
    b = None
    if len(directions[0]) > 2:
        both = [
            tape.node(
                "Concat", [_rows(tape, kind, weights[2]), _rows(tape, kind, weights[3])], axis=0
            )
            for weights in directions
        ]
        b = _stacked(tape, both)
    tape.memo[key] = (w, r, b)
    return w, r, b


def _layers(kind: str, activation: str | None = None):
    def write(
        tape: Tape,
        out: Any,
        x: Tensor,
        states: Any,
        weights: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool = False,
    ) -> None:
        tape.expect(isinstance(has_biases, bool), f"{kind} on packed sequences")
        tape.expect(x.dim() == 3, f"{kind} without a batch axis")
        tape.expect(not train or dropout == 0, f"random numbers in forward ({kind} with dropout)")
        given = list(states) if isinstance(states, tuple | list) else [states]
        ways = 2 if bidirectional else 1
        per = (4 if has_biases else 2) * ways
        tape.expect(len(weights) == per * num_layers, f"{kind} with proj_size")
        value: Operand = tape.value(x)
        if batch_first:
            value = tape.node("Transpose", [value], perm=[1, 0, 2])
        hidden = given[0].shape[-1]
        ends: list[list[str]] = [[] for _ in given]
        for layer in range(num_layers):
            own = weights[layer * per : (layer + 1) * per]
            directions = [own[d * (per // ways) : (d + 1) * (per // ways)] for d in range(ways)]
            starts = [_start(tape, state, layer, ways, num_layers) for state in given]
            value, last = _one_layer(tape, kind, activation, value, starts, directions, hidden, out)
            for end, name in zip(ends, last, strict=True):
                end.append(name)
        tape.bind(out[0], tape.node("Transpose", [value], perm=[1, 0, 2]) if batch_first else value)
        for tensor, names in zip(out[1:], ends, strict=True):
            tape.bind(tensor, names[0] if len(names) == 1 else tape.node("Concat", names, axis=0))

    return write


def _start(tape: Tape, state: Tensor, layer: int, ways: int, num_layers: int) -> Operand | None:
    """The initial state of one layer; zeros are left out."""
    if not tape.is_known(state) and not bool(state.any()):
        return None
    if num_layers == 1:
        return tape.value(state)
    begin = layer * ways
    return tape.node("Slice", [state, Ints((begin,)), Ints((begin + ways,)), Ints((0,))])


def _one_layer(
    tape: Tape,
    kind: str,
    activation: str | None,
    value: Operand,
    starts: Sequence[Operand | None],
    directions: Sequence[Sequence[Tensor]],
    hidden: int,
    out: Any,
) -> tuple[Operand, list[str]]:
    """Return the sequence (steps, batch, directions * hidden) and the last states."""
    w, r, b = layer_weights(tape, kind, directions)
    ways = len(directions)
    attributes: dict[str, Any] = {"hidden_size": hidden}
    if ways == 2:
        attributes["direction"] = "bidirectional"
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    if activation is not None:
        attributes["activations"] = [activation] * ways
    operands = [value, w, r, b, None, *starts]
    while operands[-1] is None:
        operands.pop()
    y, *last = tape.nodes_out(kind, operands, 1 + len(starts), **attributes)
    if ways == 1:
        return tape.node("Squeeze", [y, Ints((1,))]), last
    turned = tape.node("Transpose", [y], perm=[0, 2, 1, 3])
    return tape.node("Reshape", [turned, Ints((0, 0, -1))]), last


rule(torch._VF.gru)(_layers("GRU"))
rule(torch._VF.lstm)(_layers("LSTM"))
rule(torch._VF.rnn_tanh)(_layers("RNN", "Tanh"))
rule(torch._VF.rnn_relu)(_layers("RNN", "Relu"))


def _cell(kind: str, activation: str | None = None):
    def write(
        tape: Tape,
        out: Any,
        x: Tensor,
        states: Any,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> None:
        """A sequence of one step."""
        tape.expect(x.dim() == 2, f"{kind}Cell without a batch axis")
        given = list(states) if isinstance(states, tuple | list) else [states]
        own = [w_ih, w_hh] if b_ih is None or b_hh is None else [w_ih, w_hh, b_ih, b_hh]
        wide = tape.node("Unsqueeze", [x, Ints((0,))])
        starts = [_wide(tape, s) if tape.is_known(s) or bool(s.any()) else None for s in given]
        hidden = given[0].shape[-1]
        w, r, b = layer_weights(tape, kind, [own])
        attributes: dict[str, Any] = {"hidden_size": hidden}
        if kind == "GRU":
            attributes["linear_before_reset"] = 1
        if activation is not None:
            attributes["activations"] = [activation]
        operands = [wide, w, r, b, None, *starts]
        while operands[-1] is None:
            operands.pop()
        _, *last = tape.nodes_out(kind, operands, 1 + len(given), **attributes)
        for tensor, name in zip(out if isinstance(out, tuple) else (out,), last, strict=True):
            state = tape.node("Squeeze", [name, Ints((0,))])
            tape.memo["wide", state] = name
            tape.bind(tensor, state)

    return write


def _wide(tape: Tape, state: Tensor) -> Operand:
    """A state with an axis for directions in front; that of the step before has it already."""
    known = tape.memo.get(("wide", tape.value(state)))
    return known or tape.node("Unsqueeze", [state, Ints((0,))])


rule(torch._VF.gru_cell)(_cell("GRU"))
rule(torch._VF.lstm_cell)(_cell("LSTM"))
rule(torch._VF.rnn_tanh_cell)(_cell("RNN", "Tanh"))
rule(torch._VF.rnn_relu_cell)(_cell("RNN", "Relu"))
