"""One message between the search and a jailed process: a JSON header and binary parts.

In and out: a header of plain JSON values and any number of byte strings, as one byte string. It
arrives from a process that ran hostile code, so reading checks every length and trusts no content:
no pickle, and the header has a size limit. Not promised: that what a header says is true.
"""

import json
from collections.abc import Mapping
from typing import Any

HEADER_LIMIT = 1 << 20  # bytes of JSON that are accepted
_LENGTHS = "parts"

Header = dict[str, Any]


class BadMessageError(ValueError):
    """The bytes are no message; the jailed process was cut off or wrote something else."""


def pack(header: Mapping[str, Any], *parts: bytes) -> bytes:
    """Return the header and the parts as one byte string; `parts` is reserved in the header."""
    line = json.dumps({**header, _LENGTHS: [len(part) for part in parts]}).encode()
    return b"\n".join((line, b"".join(parts)))


def unpack(data: bytes) -> tuple[Header, list[bytes]]:
    """Return the header and the parts of a message.

    Raises:
        BadMessageError: No header line, no JSON object, or lengths that do not add up.
    """
    end = data.find(b"\n", 0, HEADER_LIMIT)
    if end < 0:
        raise BadMessageError(f"no header in the first {HEADER_LIMIT} of {len(data)} bytes")
    try:
        header = json.loads(data[:end])
    except (ValueError, RecursionError) as error:
        raise BadMessageError(f"the header is not JSON: {type(error).__name__}") from None
    lengths = header.pop(_LENGTHS, None) if isinstance(header, dict) else None
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise BadMessageError("the header has no list of part lengths")
    if end + 1 + sum(lengths) != len(data):
        raise BadMessageError(f"expected {sum(lengths)} bytes of parts, got {len(data) - end - 1}")
    parts: list[bytes] = []
    start = end + 1
    for length in lengths:
        parts.append(data[start : start + length])
        start += length
    return header, parts
