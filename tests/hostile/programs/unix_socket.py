"""Connects to a socket in the file system, as a container's or a desktop's daemon has."""
# ruff: noqa

EXPECT = "refused"
CONTROL = True

import socket


def try_stream():
    it = socket.socket(socket.AF_UNIX)
    it.connect("@UNIX@")
    it.send(b"hostile")
