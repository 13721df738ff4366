"""The address rule of the edit protocol: line and donor tokens name only what exists.

In: the tokens drawn so far. Out: a mask of forbidden tokens. An address names lines behind those of
the last one; a range closes every bracket that it opens, as every edit of the corpus does; the
skeleton of a canonical `Net`, which no edit changes, cannot be named or lie in a range; behind an
address or a reference its line ends.
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
from evoprompt.grammar.view import HEAD

# Axes: B rows, V vocabulary.
NONE = -1  # the token is no line number
HEAD_LINES = ("            nn.Flatten(),", "            nn.LazyLinear(num_classes),")
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
    """Lines of the skeleton: neither replaced nor inserted after."""
    openings: frozenset[int] = frozenset()
    """Lines of the skeleton after which layers may stand; `nn.Flatten()` of the head is one."""


NOWHERE = Places({}, {})


def places(lines: Sequence[str], donor: Sequence[str]) -> Places:
    """Places for a parent's and a donor's lines; in a broken parent every line may be changed."""
    count = len(lines)
    if not is_closed(lines):
        every = {line: frozenset(range(line, count + 1)) for line in range(1, count + 1)}
        return Places(every, closed_ranges(donor))
    skeleton = {number for number, line in enumerate(lines, 1) if line in SKELETON}
    if len(skeleton) != len(SKELETON_LINES):
        return Places(closed_ranges(lines), closed_ranges(donor))
    head = lines.index(HEAD)
    ends = {number for number in range(head + 1, count + 1) if lines[number - 1] in HEAD_LINES}
    openings = {n for n in skeleton | ends if lines[n - 1].endswith(("Sequential(", "Flatten(),"))}
    fixed = (skeleton | ends | {0}) - openings
    ranges = _without(closed_ranges(lines), skeleton | ends)
    return Places(ranges, closed_ranges(donor), frozenset(fixed), frozenset(openings))


def _without(ranges: Ends, kept: set[int]) -> Ends:
    """The ranges of one line, and those of more that end before the next line that is kept."""
    out: Ends = {}
    for first, ends in ranges.items():
        stop = min((line for line in kept if line >= first), default=len(ranges) + 1)
        out[first] = frozenset(last for last in ends if last == first or last < stop)
    return out


@dataclass
class _Row:
    """Where a reply stands."""

    places: Places
    last: int = NONE
    """The last line that an address named."""
    state: str = "start"
    """start (of a line), mark (behind `@`), address (behind its first line, or a reference's), to
    (behind `-`), end (a line end is due), text.
    """
    letter: str = "L"
    line: int = 0
    """The first line of the address or reference that is being written."""
    is_address: bool = False


class AddressMask:
    """The rule for a batch of rows; keeps where each stands."""

    def __init__(self, tokens: AddressTokens, places_B: Sequence[Places]) -> None:
        self._tokens = tokens
        self._rows = [_Row(each) for each in places_B]
        self._is_number_V = (tokens.line_V != NONE) | (tokens.donor_V != NONE)
        self._missing_BV = torch.stack([self._missing(each) for each in places_B])

    def _missing(self, each: Places) -> Tensor:
        """(V,) true for lines and donor lines at which no range begins that could be taken."""
        line_V, donor_V = self._tokens.line_V, self._tokens.donor_V
        lines = torch.tensor([NONE, *(line for line, ends in each.lines.items() if ends)])
        donor = torch.tensor([NONE, *(line for line, ends in each.donor.items() if ends)])
        return ~(torch.isin(line_V, lines) & torch.isin(donor_V, donor))

    def forbidden(self) -> Tensor:
        """(B, V), true where a token may not be drawn next."""
        out = self._missing_BV.clone()
        for place, row in enumerate(self._rows):
            if row.state == "text":
                out[place] |= self._is_number_V
            elif row.state == "start":
                out[place, self._tokens.mark] = not self._further(row).any()
            else:
                out[place] = True
                out[place, self._allowed(row)] = False
        return out

    def _further(self, row: _Row) -> Tensor:
        """(V,) true for the lines that the next address may begin with."""
        line_V, fixed = self._tokens.line_V, torch.tensor(sorted(row.places.fixed))
        is_behind_V = (line_V > row.last) & (line_V <= len(row.places.lines))
        return is_behind_V & ~torch.isin(line_V, fixed)

    def _allowed(self, row: _Row) -> Tensor | list[int]:
        """The tokens that go on with an address or a reference."""
        tokens = self._tokens
        offered = row.places.donor if row.letter == "D" else row.places.lines
        ends = offered.get(row.line, frozenset())
        further = ends - {row.line}
        match row.state:
            case "mark":
                return self._further(row)
            case "to":
                number_V = tokens.donor_V if row.letter == "D" else tokens.line_V
                return torch.isin(number_V, torch.tensor(sorted(further)))
            case "end":
                return [tokens.line_end]
        if row.is_address and row.line in row.places.openings:
            return [tokens.plus]
        return [
            *[tokens.to] * bool(further),
            *[tokens.plus] * row.is_address,
            *[tokens.line_end] * (row.line in ends),
        ]

    def add(self, token_B: Tensor) -> None:
        """Note the tokens that were drawn."""
        line_B = self._tokens.line_V[token_B].tolist()
        donor_B = self._tokens.donor_V[token_B].tolist()
        for row, token, line, donor in zip(
            self._rows, token_B.tolist(), line_B, donor_B, strict=True
        ):
            self._note(row, token, line, donor)

    def _note(self, row: _Row, token: int, line: int, donor: int) -> None:
        tokens = self._tokens
        if token == tokens.line_end:
            row.state = "start"
        elif token == tokens.mark and row.state == "start":
            row.state = "mark"
        elif row.state in ("mark", "start") and (line != NONE or donor != NONE):
            row.is_address = row.state == "mark"
            row.letter = "L" if line != NONE else "D"
            row.line = max(line, donor)
            row.last = row.line if row.is_address else row.last
            row.state = "address"
        elif row.state == "address":
            row.state = "to" if token == tokens.to else "end"
        elif row.state == "to":
            row.last = line if row.is_address else row.last
            row.state = "end"
        else:
            row.state = "text"

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows only."""
        self._rows = [self._rows[place] for place in rows.tolist()]
        self._missing_BV = self._missing_BV[rows]
