"""How a job ended, judged from its first byte, its process and the limit that it broke.

In: what `watch` saw. Out: one record. The status byte may be forged: see `job`.
"""

import os
import signal
from dataclasses import dataclass

from evoprompt.jail import job, watch
from evoprompt.jail.limits import Limits


@dataclass(frozen=True)
class Ended:
    """How one job ended."""

    output: bytes | None
    killed: str | None
    detail: str
    is_still: bool = False
    """Whether it was killed because it had hung, or slept."""


def judge(
    kind: bytes, body: bytearray, killed: str | None, status: int, cpu: float, limits: Limits
) -> Ended:
    """Say how a job ended, from its status byte and body and from the end of its process."""
    if killed == watch.STILL:
        return Ended(None, "wall", "it slept, using no CPU, until it was ended", is_still=True)
    if killed == "wall":
        return Ended(None, "wall", f"over its {limits.seconds:g} seconds")
    if killed == "output" or len(body) > limits.output_bytes:
        return Ended(None, "output", f"output over {limits.output_bytes} bytes")
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu >= limits.cpu_seconds):
        return Ended(None, "cpu", f"over its {limits.cpu_seconds} CPU seconds")
    if number == signal.SIGKILL:
        return Ended(None, "memory", "killed by the system: out of memory")
    if number:
        return Ended(None, "crash", f"ended by {_name(number)}")
    if kind == job.DONE:
        return Ended(bytes(body), None, "")
    if kind == job.NO_MEMORY:
        return Ended(None, "memory", f"over its {limits.memory_mb} MB of memory")
    if kind == job.FAILED:
        return Ended(None, "crash", body[: job.DETAIL_BYTES].decode("utf-8", "replace"))
    return Ended(None, "crash", "ended without a result")


def _name(number: int) -> str:
    return signal.strsignal(number) or f"signal {number}"
