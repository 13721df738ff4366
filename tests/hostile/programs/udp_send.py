"""Sends datagrams, which no handshake would stop."""
# ruff: noqa

EXPECT = "refused"

import socket


def try_own_server():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hostile", ("127.0.0.1", int("@UDP@")))


def try_broadcast():
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
