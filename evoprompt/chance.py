"""Randomness that depends on names only: (seed, generation, stage, index) -> a generator.

Nothing random is ever saved, so a resumed run draws what the killed one would have drawn.
"""

import hashlib
import random


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit integer that depends on the seed and the names, and on nothing else."""
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> random.Random:
    """Return a random generator for the named place in a search."""
    return random.Random(derive(seed, *names))
