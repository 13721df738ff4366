"""What is said of paths is what one finds by walking every one of them."""

from functools import lru_cache
from random import Random

import numpy as np
import pytest

from surrogate.features import KINDS
from surrogate.parse import parse
from surrogate.paths import TILTS_TK, K, path_features
from surrogate.reading import reading
from surrogate.unfolded import unfolded

LINES = {
    "Conv k3 8>8": ("windows", "weights", "layers"),
    "Conv k1 8>8": ("points", "weights", "layers"),
    "AveragePool k3": ("pools", "layers"),
    "Relu": ("activations", "layers"),
    "BatchNorm": ("layers",),
}
REPEATED = """NET 1x40>10
Conv k3 1>8 IN @8x40
x4{
Conv k3 8>8 @8x40
Relu @8x40
Add ^1 ^3 @8x40
}
ReduceMean a2 @8
Linear 8>10 @10"""


def random_net(rng: Random) -> tuple[str, list[tuple[tuple[str, ...], list[int]]]]:
    """A text, and of every line its kinds and what it reads."""
    text, known = ["NET 8x40>10"], [(("layers",), [])]
    for index in range(1, rng.randint(4, 14)):
        if index > 1 and rng.random() < 0.5:
            read = [rng.randrange(max(0, index - 4), index) for _ in range(rng.randint(2, 3))]
            words, kinds = "Concat a1" if len(read) > 2 else "Add", ("layers",)
        else:
            words, kinds = rng.choice(list(LINES.items()))
            read = [index - 1 if rng.random() < 0.7 else rng.randrange(index)]
        said = " ".join(f"^{index - source}" if source else "IN" for source in read)
        text.append(f"{words} {said} @8x40")
        known.append((kinds, read))
    return "\n".join(text), known


def walked(known: list[tuple[tuple[str, ...], list[int]]]) -> np.ndarray:
    """The features, from the list of all paths."""

    @lru_cache
    def paths_to(line: int) -> list[tuple[float, np.ndarray]]:
        """Chance when walked back, and operators of each kind, of every path."""
        kinds, read = known[line]
        own = np.array([kind in kinds for kind in KINDS[:K]], float)
        if not read:
            return [(1.0, own)]
        return [(c / len(read), held + own) for source in read for c, held in paths_to(source)]

    found = paths_to(len(known) - 1)
    chances, held_PK = np.array([c for c, _ in found]), np.array([held for _, held in found])
    tilted = np.log2(np.exp2(held_PK @ TILTS_TK.T).sum(0))
    tilted[1:] -= tilted[0]
    columns = np.concatenate([held_PK.min(0), held_PK.max(0), chances @ held_PK, tilted])
    return np.sign(columns) * np.log2(1 + np.abs(columns))


@pytest.mark.parametrize("seed", range(20))
def test_paths_are_those_that_one_walks_whatever_the_company(seed: int) -> None:
    rng = Random(seed)
    nets = [random_net(rng) for _ in range(5)]
    _, found = path_features(unfolded([reading(text) for text, _ in nets]))
    for (text, known), row in zip(nets, found, strict=True):
        np.testing.assert_allclose(row, walked(known), atol=1e-9)
        np.testing.assert_array_equal(row, path_features(unfolded([reading(text)]))[1][0])


def test_a_repeated_block_is_walked_as_often_as_it_stands() -> None:
    lines = parse(REPEATED)
    assert len(lines.order) > len(lines.lines)
    chains, paths = path_features(unfolded([reading(REPEATED)]))
    row, weights = paths[0], KINDS.index("weights")
    fewest, most, count = row[weights], row[K + weights], row[3 * K]
    assert (fewest, most, count) == pytest.approx(np.log2([1 + 2, 1 + 6, 1 + 4]))
    layers, field = 1 + 1 + 4 * 3 + 2, 1 + 5 * 2
    assert chains[0] == pytest.approx(np.log2([1 + 6, 1 + layers, 1 + field]))
