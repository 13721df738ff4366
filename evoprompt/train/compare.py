"""Compare two programs on the same test examples, each trained with several seeds.

In: for each program, its seeds and which test examples each training got right. Out: the mean
accuracies, their difference and a 95 % interval. Hierarchical bootstrap: seeds are drawn first (for
each program by itself), then the examples (the same ones for both, which makes it paired). With
three seeds the spread between seeds is itself a guess: the interval tends to be too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """First against second, in test accuracy 0..1; the difference is first minus second."""

    first_accuracy: float
    second_accuracy: float
    difference: float
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    """Upper end of the 95 % interval of the difference."""
    first_seeds: tuple[int, ...]
    second_seeds: tuple[int, ...]
    example_count: int
    resamples: int


def compare(
    first: Sequence[tuple[int, str]],
    second: Sequence[tuple[int, str]],
    example_count: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare by (seed, `Trained.correct`) of each training.

    Raises:
        ValueError: A program without trainings, or bits that are not `example_count` long.
    """
    right_SN = _unpack(first, example_count)
    other_SN = _unpack(second, example_count)
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for index in range(resamples):
        gap_N = _drawn(generator, right_SN) - _drawn(generator, other_SN)
        differences[index] = gap_N[generator.integers(0, example_count, example_count)].mean()
    low, high = np.quantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Comparison(
        first_accuracy=float(right_SN.mean()),
        second_accuracy=float(other_SN.mean()),
        difference=float(right_SN.mean() - other_SN.mean()),
        low=float(low),
        high=float(high),
        first_seeds=tuple(seed for seed, _ in first),
        second_seeds=tuple(seed for seed, _ in second),
        example_count=example_count,
        resamples=resamples,
    )


def pack_bits(correct: np.ndarray) -> str:
    """Bool (N,) as the hex of its packed bits: `Trained.correct`."""
    return np.packbits(correct).tobytes().hex()


def _unpack(trainings: Sequence[tuple[int, str]], example_count: int) -> np.ndarray:
    """Bits of all trainings as (S, N) of 0.0 and 1.0."""
    if not trainings or not example_count:
        raise ValueError("a comparison needs at least one training of each program and one example")
    rows = [np.frombuffer(bytes.fromhex(bits), np.uint8) for _, bits in trainings]
    if any(len(row) != -(-example_count // 8) for row in rows):
        raise ValueError(f"the bits are not those of {example_count} test examples")
    return np.stack([np.unpackbits(row, count=example_count) for row in rows]).astype(np.float64)


def _drawn(generator: np.random.Generator, right_SN: np.ndarray) -> np.ndarray:
    """Share of the drawn seeds that got each example right, (N,)."""
    count = len(right_SN)
    return np.bincount(generator.integers(0, count, count), minlength=count) @ right_SN / count
