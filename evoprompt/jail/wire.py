"""Messages between a process and its zygote: a JSON header and a body of bytes over a socket.

Both ends are trusted code; the candidate never holds this socket. A peer that is gone raises
`EOFError` or `OSError`.
"""

import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct("<IQ")  # bytes of the header, bytes of the body


def send(peer: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """Write one message."""
    text = json.dumps(header).encode()
    peer.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    peer.sendall(body)


def receive(peer: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Read one message; raises EOFError when the peer has closed."""
    header_length, body_length = _LENGTHS.unpack(_read(peer, _LENGTHS.size))
    return json.loads(_read(peer, header_length)), bytes(_read(peer, body_length))


def _read(peer: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = peer.recv_into(view, min(len(view), 1 << 20))
        if not count:
            raise EOFError("the other process closed the connection")
        view = view[count:]
    return data
