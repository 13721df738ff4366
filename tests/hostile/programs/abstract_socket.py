"""Connects to and binds sockets without a file."""
# ruff: noqa

EXPECT = "refused"
CONTROL = True

import socket


def try_connect():
    it = socket.socket(socket.AF_UNIX)
    it.connect("\0@ABSTRACT@")
    it.send(b"hostile")
