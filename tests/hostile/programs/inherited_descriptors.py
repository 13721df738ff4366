"""Uses every descriptor it was born with as a socket or a file."""
# ruff: noqa

EXPECT = "refused"

import os, socket, stat


def sockets():
    for number in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                yield number
        except OSError:
            continue


def try_sockets():
    assert list(sockets())


def try_message():
    socket.socket(fileno=3).send(b"hostile")


def try_read_pipe():
    return os.read(3, 1)


def try_standard_input():
    assert os.read(0, 10)


def try_more_than_one():
    open_ones = []
    for number in range(3, 256):
        try:
            os.fstat(number)
            open_ones.append(number)
        except OSError:
            continue
    assert len(open_ones) > 1
