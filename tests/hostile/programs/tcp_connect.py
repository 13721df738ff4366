"""Connects to a server on this machine and to one outside."""
# ruff: noqa

EXPECT = "refused"

import socket


def try_own_server():
    socket.create_connection(("127.0.0.1", int("@TCP@")), timeout=1).send(b"hostile")


def try_outside():
    socket.create_connection(("192.0.2.1", 80), timeout=0.2)


def try_new_protocol():
    socket.create_connection(("::1", int("@TCP@")), timeout=1)


def try_plain_socket():
    return socket.socket()
