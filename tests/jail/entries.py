"""Entry functions that the jail's tests run in a child: some friendly, most hostile."""

import os
import sys
import time


def warm() -> None:
    """Nothing to import."""


def echo(payload: bytes) -> bytes:
    return payload


def python(payload: bytes) -> bytes:
    """Run the payload as a program; its variable `result` is the output."""
    names: dict[str, object] = {"os": os, "sys": sys, "time": time}
    exec(payload, names)
    return repr(names.get("result")).encode()
