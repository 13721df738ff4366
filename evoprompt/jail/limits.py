"""What a job may use, and what became of it: the two records of the jail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one job may use; over a limit it is killed with everything it started."""

    seconds: float
    """Wall clock. A job that only sleeps is ended sooner, as if it had hung."""
    cpu_seconds: int
    """CPU time of the job's process."""
    memory_mb: int | None
    """Address space beyond what the warmed zygote holds; None on a GPU, which maps far more."""
    output_bytes: int = 8 << 20
    """Longest result."""
    file_bytes: int = 0
    """Largest file the job may write (it may write none where Landlock works)."""


@dataclass(frozen=True)
class Outcome:
    """The result of one job: its output, or how it was killed."""

    output: bytes | None
    killed: str | None
    """wall, cpu, memory, output, crash; None if the job ended by itself with an output."""
    detail: str
    """What is known about the end of a killed job."""
    seconds: float
    """Clock: wall time, from the fork to the last process gone."""
