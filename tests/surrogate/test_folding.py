"""Repeated blocks: folded as far as it takes, read back without loss, never blown up."""

from random import Random

import pytest

from surrogate.errors import SurrogateError
from surrogate.folding import FLAT_LIMIT, LINE_LIMIT, LONGEST_BLOCK, fold, unfold
from surrogate.parse import Parsed, parse


def body(count: int, rng: Random) -> list[str]:
    """Lines that all read some line before them, a few far back."""
    return [
        f"Conv k{rng.choice([1, 3, 5])} 8>8 ^{rng.choice([1, 1, 2, 3])} @8x{rng.randrange(9, 99)}"
        for _ in range(count)
    ]


def flat(header: str, lines: list[str]) -> Parsed:
    """The lines without any folding."""
    return parse("\n".join([header, *lines]))


STEM = [f"Conv k3 8>8 ^{place + 1 if place else 1} @8x{place + 9}" for place in range(6)]


def test_a_text_of_few_lines_keeps_flat_blocks_of_few_lines() -> None:
    rng = Random(0)
    for _ in range(300):
        lines = [str(number) for number in rng.choices(range(3), k=rng.randrange(40))]
        folded = fold(lines)
        assert unfold(folded) == lines
        depth = 0
        for line in folded:
            depth += line.endswith("{")
            depth -= line == "}"
            assert depth <= 1


def test_a_long_text_is_folded_in_blocks_of_blocks_until_it_is_short() -> None:
    rng = Random(0)
    inner, outer = body(4, rng) * 5, body(LONGEST_BLOCK + 30, rng)
    lines = (outer + inner) * 100
    folded = fold(lines)
    assert unfold(folded) == lines
    assert len(folded) < 2 * len(outer)
    assert sum(line == "}" for line in folded) == 2
    distinct = [f"Relu @{place + 9}" for place in range(FLAT_LIMIT + 100)]
    assert fold(distinct) == distinct


@pytest.mark.parametrize("seed", range(20))
def test_folded_and_unfolded_lines_are_one_network(seed: int) -> None:
    rng = Random(seed)
    lines = STEM + (body(rng.randrange(2, 9), rng) * rng.randrange(2, 9) + body(3, rng)) * 3
    whole, folded = flat("NET 8x9>4", lines), parse("\n".join(["NET 8x9>4", *fold(lines)]))
    for figure in ("parameters", "macs", "node_count", "activations"):
        assert getattr(folded, figure) == getattr(whole, figure)


def test_sources_over_all_repetitions_are_those_of_the_unfolded_lines() -> None:
    """A block may read lines before it in its first repetitions and its own lines later on."""
    rng = Random(1)
    for _ in range(200):
        period, count, far = rng.randrange(2, 5), rng.randrange(2, 7), rng.randrange(1, 14)
        before = [f"Relu @{place + 20}" for place in range(14)]
        block = [f"Add ^{rng.randrange(1, far + 1)} ^{far} @{place + 9}" for place in range(period)]
        text = ["NET 4>4", *before, f"x{count}{{", *block, "}"]
        found = parse("\n".join(text)).lines
        plain = flat("NET 4>4", before + block * count).lines
        position = [*range(15), *[15 + place for _ in range(count) for place in range(period)]]
        for place in range(15, 15 + period):
            copies = [index for index, target in enumerate(position) if target == place]
            expected = {position[source] for index in copies for source in plain[index].sources}
            assert set(found[place].sources) == expected
            assert found[place].repeats == count
        nested = parse("\n".join(["NET 4>4", *before, "x1{", *text[15:], "}"])).lines
        assert [line.sources for line in nested] == [line.sources for line in found]


@pytest.mark.parametrize(
    "lines",
    [["x3{", "Relu @4"], ["}"], ["x0{", "Relu @4", "}"], ["x20002{", "Relu @4", "}"]],
)
def test_blocks_that_do_not_fit_are_refused(lines: list[str]) -> None:
    with pytest.raises(SurrogateError, match="not a graph text"):
        unfold(lines)
    with pytest.raises(SurrogateError, match="not a graph text"):
        parse("\n".join(["NET 4>4", *lines]))


def test_20000_lines_are_read() -> None:
    parsed = parse("\n".join(["NET 4>4", "Relu IN @4", f"x{LINE_LIMIT - 2}{{", "Relu @4", "}"]))
    assert parsed.node_count == 20_000
