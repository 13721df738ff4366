"""Sends a datagram to a server on this machine."""
# ruff: noqa

EXPECT = "refused"
CONTROL = True

import socket


def try_own_server():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hostile", ("127.0.0.1", int("@UDP@")))
