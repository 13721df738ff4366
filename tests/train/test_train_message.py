"""Messages to and from a jailed process survive the trip, and nothing malformed is accepted."""

import pytest

from evoprompt.train.message import HEADER_LIMIT, BadMessageError, pack, unpack


def test_a_message_comes_back_as_it_went():
    header = {"text": "line\nline", "number": 1.5}
    assert unpack(pack(header, b"", b"a\nb", b"\x00")) == (header, [b"", b"a\nb", b"\x00"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no header"),
        (b"x" * (HEADER_LIMIT + 10), "no header"),
        (b"nonsense\n", "not JSON"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b"[1]\n", "no list"),
        (b'{"parts": "4"}\nabcd', "no list"),
        (b'{"parts": [-1, 5]}\nabcd', "no list"),
        (b'{"parts": [true]}\na', "no list"),
        (b'{"parts": [5]}\nabcd', "expected 5 bytes"),
        (b'{"parts": [3]}\nabcd', "expected 3 bytes"),
    ],
)
def test_malformed_messages_are_refused(data: bytes, message: str):
    with pytest.raises(BadMessageError, match=message):
        unpack(data)
