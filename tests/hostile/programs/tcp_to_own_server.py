"""Says hello to a server on this machine."""
# ruff: noqa

EXPECT = "refused"
CONTROL = True

import socket


def try_own_server():
    socket.create_connection(("127.0.0.1", int("@TCP@")), timeout=1).send(b"hostile")
