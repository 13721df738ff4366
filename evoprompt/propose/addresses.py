"""The address rule of the edit protocol: line and donor tokens name only what exists.

In: the tokens drawn so far, as the last line number of each row. Out: a mask of forbidden tokens.
Only for tokenizers with one token per line number (the built-in one); it is part of the protocol
and not a repair. Line numbers may not fall. Not promised: that a range leaves valid code.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from evoprompt.grammar.canonical import MAXIMUM_LINES

# Axes: B rows, V vocabulary.
NONE = -1  # the token is no line number


@dataclass(frozen=True)
class AddressTokens:
    """For every token the line number and the donor line that it stands for, or NONE."""

    line_V: Tensor
    donor_V: Tensor


def address_tokens(vocabulary: dict[str, int], size: int) -> AddressTokens | None:
    """The address tokens of a vocabulary; None where line numbers are not tokens of their own."""
    line_V = torch.full((size,), NONE)
    donor_V = torch.full((size,), NONE)
    for text, token in vocabulary.items():
        match = re.fullmatch(r"([LD])(\d{1,2})", text)
        if match:
            (line_V if match[1] == "L" else donor_V)[token] = int(match[2])
    has_all = set(range(1, MAXIMUM_LINES + 1)) <= set(line_V.tolist()) and 1 in donor_V.tolist()
    return AddressTokens(line_V, donor_V) if has_all else None


class AddressMask:
    """The rule for a batch of rows; keeps the last line number of each."""

    def __init__(self, tokens: AddressTokens, line_count_B: Tensor, donor_count_B: Tensor) -> None:
        self._tokens = tokens
        self._line_count_B = line_count_B
        self._donor_count_B = donor_count_B
        self._last_B = torch.zeros_like(line_count_B)

    def forbidden(self) -> Tensor:
        """(B, V), true where a token may not be drawn next."""
        line_1V, donor_1V = self._tokens.line_V[None], self._tokens.donor_V[None]
        bad_line = (line_1V < self._last_B[:, None]) | (line_1V > self._line_count_B[:, None])
        return ((line_1V != NONE) & bad_line) | (donor_1V > self._donor_count_B[:, None])

    def add(self, token_B: Tensor) -> None:
        """Note the tokens that were drawn."""
        self._last_B = torch.maximum(self._last_B, self._tokens.line_V[token_B])

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows only."""
        self._line_count_B = self._line_count_B[rows]
        self._donor_count_B = self._donor_count_B[rows]
        self._last_B = self._last_B[rows]
