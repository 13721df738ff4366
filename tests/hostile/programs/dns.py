"""Asks for names, which leaks what is asked for."""
# ruff: noqa

EXPECT = "refused"

import socket


def try_name():
    return socket.getaddrinfo("leak.example.com", 80)


def try_host():
    return socket.gethostbyname("leak.example.com")


def try_address():
    return socket.gethostbyaddr("192.0.2.1")
