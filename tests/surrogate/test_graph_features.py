"""A graph's features are what one counts line by line, whatever the company."""

import numpy as np
import pytest

from surrogate.features import GROUPS
from surrogate.graph_features import CORE, FEATURES, GRAPH_FEATURES, features_of
from surrogate.parse import Words, parse
from surrogate.paths import PATH_FEATURES
from surrogate.reading import reading
from surrogate.unfolded import unfolded

IMAGE = """NET 3x32x32>10
Conv k3 s2 3>16 nobias IN @16x16x16
x3{
BatchNorm @16x16x16
Relu @16x16x16
Conv k5 g16 16>16 @16x16x16
Conv k1 16>16 @16x16x16
Add ^1 ^5 @16x16x16
}
MaxPool k2 s2 @16x8x8
ReduceMean a2x3 @16
Linear 16>10 @10"""
FLAT = """NET 20>3
Linear 20>7 IN @7
Tanh @7
Linear 7>3 @3"""
TEXTS = (IMAGE, FLAT)


def features(*texts: str) -> np.ndarray:
    readings = [reading(text) for text in texts]
    return features_of(readings, unfolded(readings))


def counted(text: str) -> list[float]:
    """Totals, from the unfolded lines one by one; the mean kernel is of the folded ones."""
    parsed = parse(text)
    folded = [line.words for line in parsed.lines]
    lines = [folded[index] for index in parsed.order]

    def convs(words: list[Words]) -> list[Words]:
        return [each for each in words if each.op == "Conv"]

    grouped = [each for each in convs(lines) if each.numbers("g")]
    widths = [each.channels[1] for each in lines if each.channels]
    kernels = [each.numbers("k")[0] for each in convs(folded)] or [0]
    maps = [int(np.prod(each.shape[1:])) for each in lines if len(each.shape) > 1] or [1]
    heads = [each.channels[0] for each in lines if each.op == "Linear" and each.channels]
    return [
        *(len(lines) - 1, sum(each.elements for each in lines), max(widths), min(widths)),
        *(len(convs(lines)) - len(grouped), len(grouped), max(kernels), np.mean(kernels)),
        *(maps[-1], heads[-1]),
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_totals_are_what_one_counts(text: str) -> None:
    (row,), parsed = features(text), parse(text)
    parameters, macs = np.log2([1 + parsed.parameters, 1 + parsed.macs])
    np.testing.assert_allclose(row[: CORE - 1], [parameters, macs, macs - parameters])
    totals = np.delete(row[CORE + 1 : CORE + 12], 10)  # the field stands between them
    np.testing.assert_allclose(totals, np.log2(1 + np.array(counted(text))))
    lines = [parsed.lines[index].words.op for index in parsed.order]
    groups = [sum(op in group for op in lines) for group in GROUPS]
    np.testing.assert_allclose(
        row[GRAPH_FEATURES - len(GROUPS) : -PATH_FEATURES], np.log2(1 + np.array(groups))
    )


def test_company_changes_nothing() -> None:
    together = features(*TEXTS, IMAGE)
    assert together.shape == (3, FEATURES)
    np.testing.assert_array_equal(together, np.vstack([features(t) for t in (*TEXTS, IMAGE)]))
    assert features().shape == (0, FEATURES)
