"""What is read of a text for the encoders and the trees: references, their closure, counts."""

import numpy as np
import pytest

from surrogate.positions import closure
from surrogate.reading import reading
from surrogate.subtrees import Counted, count
from surrogate.unfolded import unfolded

SHORT = "NET 1x40>10\nConv k3 1>8 IN @8x40\nRelu @8x40\nReduceMean a2 @8\nLinear 8>10 @10"
REPEATED = """NET 1x40>10
Conv k3 1>8 IN @8x40
x4{
Conv k3 8>8 @8x40
Conv k5 8>8 @8x40
Add ^1 ^3 @8x40
}
ReduceMean a2 @8
Linear 8>10 @10"""


def counted(*texts: str) -> Counted:
    return count(unfolded([reading(text) for text in texts]))


@pytest.mark.parametrize("seed", range(20))
def test_the_closure_is_that_of_repeated_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 40))
    reads_LL = np.tril(rng.random((size, size)) < 2 / size, -1)
    reads_LL |= rng.random((size, size)) < (seed % 4) / size**2  # a few read further on
    found = closure([np.flatnonzero(row).tolist() for row in reads_LL])
    expected_LL = reads_LL.copy()
    for _ in range(size):
        expected_LL |= expected_LL @ expected_LL
    assert [[bool(bits >> j & 1) for j in range(size)] for bits in found] == expected_LL.tolist()


def test_a_repeated_block_reads_its_last_repetition() -> None:
    found = reading(REPEATED).positions
    reads = [np.flatnonzero(row).tolist() for row in found.reads_LL]
    assert reads == [[], [0], [1, 4], [2], [1, 3, 4], [4], [5]]
    reaches = [np.flatnonzero(row).tolist() for row in found.reaches_LL]
    assert reaches[2] == reaches[3] == reaches[4] == [0, 1, 2, 3, 4]
    assert reaches[1] == [0]


def test_neighbourhoods_are_counted_in_the_unfolded_graph_whatever_the_company() -> None:
    lines = REPEATED.replace("x4{\n", "").replace("}\n", "").split("\n")
    block = lines[2:5]
    plain = "\n".join([*lines[:2], *block * 4, *lines[5:]])
    together = counted(SHORT, REPEATED, plain, SHORT)
    columns = together.of(together.common)
    assert columns.shape[1] > 8
    np.testing.assert_array_equal(columns[1], columns[2])
    np.testing.assert_array_equal(columns[0], columns[3])
    np.testing.assert_array_equal(columns[1:2], counted(REPEATED).of(together.common))
    assert not np.array_equal(columns[0], columns[1])
