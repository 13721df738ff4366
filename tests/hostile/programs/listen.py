"""Opens a server of its own."""
# ruff: noqa

EXPECT = "refused"

import socket


def try_tcp():
    it = socket.socket()
    it.bind(("127.0.0.1", 0))
    it.listen()


def try_server():
    return socket.create_server(("127.0.0.1", 0))


def try_pair():
    return socket.socketpair()
