"""Retrieval: which known networks are most like a given one, by the predictor's vectors.

In: one graph and many; out: the closest by cosine of their vectors, best first; networks whose
graphs are the same to the hash are marked. Close means alike to the encoders, not equally good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from surrogate.encode import Graph


class Embedder(Protocol):
    """What turns texts into vectors of length one."""

    def embed(self, graphs: Sequence[str]) -> np.ndarray:
        """Vectors, (N, D)."""
        ...


@dataclass(frozen=True)
class Neighbour:
    """One network of those that were searched."""

    index: int
    similarity: float
    """Cosine, -1..1."""
    is_same: bool
    """The same graph: equal hashes."""


def nearest(
    embedder: Embedder, graph: Graph, among: Sequence[Graph], count: int
) -> list[Neighbour]:
    """Return the `count` closest networks; the same graph comes first."""
    vectors = embedder.embed([graph.text, *(each.text for each in among)])
    similarity = vectors[1:] @ vectors[0]
    is_same = [each.hash == graph.hash for each in among]
    order = sorted(range(len(among)), key=lambda i: (not is_same[i], -similarity[i]))
    return [Neighbour(i, float(similarity[i]), is_same[i]) for i in order[:count]]
