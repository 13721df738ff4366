"""Opens sockets that configure the network or see all of it."""
# ruff: noqa

EXPECT = "refused"

import socket


def try_netlink():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


def try_raw():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def try_packet():
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)


def try_machine():
    return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


def try_crypto():
    return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
