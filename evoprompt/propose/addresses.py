"""The address rule of the edit protocol: line and donor tokens name only what exists.

In: the tokens drawn so far. Out: a mask of forbidden tokens. An address names lines behind those of
the last one; a range closes every bracket that it opens, as every edit of the corpus does; the
skeleton of a canonical `Net`, which no edit changes, cannot be named.
Only for tokenizers with one token per line number (the built-in one); it is part of the protocol
and not a repair. Not promised: that the new lines are valid code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evoprompt.grammar.canonical import MAXIMUM_LINES
from evoprompt.grammar.edits import is_closed
from evoprompt.grammar.spec import FLAT_FORWARD, SKELETON_LINES

# Axes: B rows, V vocabulary.
NONE = -1  # the token is no line number
NET_LINE = SKELETON_LINES[0]
SKELETON = frozenset((*SKELETON_LINES, FLAT_FORWARD))
Ends = dict[int, frozenset[int]]
"""First line -> the last lines with which it makes a closed range."""


@dataclass(frozen=True)
class AddressTokens:
    """For every token the line number and the donor line that it stands for, or NONE."""

    line_V: Tensor
    donor_V: Tensor
    mark: int
    """The token of `@`."""
    to: int
    """The token of `-`."""
    plus: int
    line_end: int


def address_tokens(vocabulary: dict[str, int], size: int) -> AddressTokens | None:
    """The address tokens of a vocabulary; None where line numbers are not tokens of their own."""
    line_V = torch.full((size,), NONE)
    donor_V = torch.full((size,), NONE)
    for text, token in vocabulary.items():
        match = re.fullmatch(r"([LD])(\d{1,2})", text)
        if match:
            (line_V if match[1] == "L" else donor_V)[token] = int(match[2])
    has_all = set(range(1, MAXIMUM_LINES + 1)) <= set(line_V.tolist()) and 1 in donor_V.tolist()
    marks = [vocabulary.get(text, NONE) for text in ("@", "-", "+", "Ċ")]
    return AddressTokens(line_V, donor_V, *marks) if has_all and NONE not in marks else None


def closed_ranges(lines: Sequence[str]) -> Ends:
    """The closed ranges of the lines, both ends counted from 1."""
    out: Ends = {}
    for first in range(len(lines)):
        found = []
        for last in range(first, len(lines)):
            if is_closed(lines[first : last + 1]):
                found.append(last + 1)
        out[first + 1] = frozenset(found)
    return out


@dataclass(frozen=True)
class Places:
    """What a prompt's replies may name."""

    lines: Ends
    donor: Ends
    fixed: frozenset[int] = frozenset()
    """Lines of the skeleton: neither replaced nor inserted after, but for the openings."""
    openings: frozenset[int] = frozenset()
    """Lines of the skeleton after which layers stand."""


NOWHERE = Places({}, {})


def places(lines: Sequence[str], donor: Sequence[str]) -> Places:
    """Places for a parent's and a donor's lines."""
    start = lines.index(NET_LINE) if NET_LINE in lines else len(lines)
    skeleton = {n for n in range(start + 1, len(lines) + 1) if lines[n - 1] in SKELETON}
    skeleton = skeleton if len(skeleton) == len(SKELETON_LINES) else set()
    openings = frozenset(n for n in skeleton if lines[n - 1].endswith("Sequential("))
    before = {0} if skeleton and not start else set()
    fixed = frozenset((skeleton | before) - openings)
    return Places(closed_ranges(lines), closed_ranges(donor), fixed, openings)


@dataclass
class _Row:
    """Where a reply stands."""

    places: Places
    last: int = NONE
    """The last line that an address named."""
    before: tuple[str, int] = ("", 0)
    """What the last token was: "@", or an address or reference ("L", "l" or "D") and its line."""
    is_range: bool = False
    """Whether `-` came behind it."""


class AddressMask:
    """The rule for a batch of rows; keeps where each stands."""

    def __init__(self, tokens: AddressTokens, places_B: Sequence[Places]) -> None:
        self._tokens = tokens
        self._rows = [_Row(each) for each in places_B]
        self._base_BV = torch.stack([self._missing(each) for each in places_B])

    def _missing(self, each: Places) -> Tensor:
        """(V,) true for lines and donor lines that do not exist."""
        tokens = self._tokens
        return (tokens.line_V > len(each.lines)) | (tokens.donor_V > len(each.donor))

    def forbidden(self) -> Tensor:
        """(B, V), true where a token may not be drawn next."""
        out = self._base_BV.clone()
        for place, row in enumerate(self._rows):
            kind, line = row.before
            if kind == "@":
                line_V = self._tokens.line_V
                fixed = torch.tensor(sorted(row.places.fixed), dtype=line_V.dtype)
                out[place] |= (line_V != NONE) & ((line_V <= row.last) | torch.isin(line_V, fixed))
            elif kind:
                offered = row.places.donor if kind == "D" else row.places.lines
                self._behind(out[place], row, offered.get(line, frozenset()))
        return out

    def _behind(self, forbidden_V: Tensor, row: _Row, ends: frozenset[int]) -> None:
        """Behind `L4-` only last lines of closed ranges; behind `L4` no `-` where there is none,
        no line end where the line alone is open, and no `+` behind a reference.
        """
        kind, line = row.before
        further = ends - {line}
        if row.is_range:
            number_V = self._tokens.donor_V if kind == "D" else self._tokens.line_V
            allowed = torch.tensor(sorted(further), dtype=number_V.dtype)
            forbidden_V |= (number_V != NONE) & ~torch.isin(number_V, allowed)
            return
        is_opening = kind == "L" and line in row.places.openings
        forbidden_V[self._tokens.to] |= not further or is_opening
        forbidden_V[self._tokens.plus] |= kind != "L"
        forbidden_V[self._tokens.line_end] |= line not in ends

    def add(self, token_B: Tensor) -> None:
        """Note the tokens that were drawn."""
        line_B = self._tokens.line_V[token_B].tolist()
        donor_B = self._tokens.donor_V[token_B].tolist()
        for row, token, line, donor in zip(
            self._rows, token_B.tolist(), line_B, donor_B, strict=True
        ):
            self._note(row, token, line, donor)

    def _note(self, row: _Row, token: int, line: int, donor: int) -> None:
        kind, _ = row.before
        if token == self._tokens.mark:
            row.before, row.is_range = ("@", 0), False
        elif line != NONE or donor != NONE:
            is_address = kind == "@" or (kind == "L" and row.is_range)
            if is_address:
                row.last = max(row.last, line)
            is_end = row.is_range
            letter = "D" if donor != NONE else "L" if is_address else "l"
            row.before = ("", 0) if is_end else (letter, max(line, donor))
            row.is_range = False
        elif token == self._tokens.to and kind in ("L", "l", "D"):
            row.is_range = True
        else:
            row.before, row.is_range = ("", 0), False

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows only."""
        self._rows = [self._rows[place] for place in rows.tolist()]
        self._base_BV = self._base_BV[rows]
