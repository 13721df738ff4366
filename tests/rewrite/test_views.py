"""Views as calls: on real tensors they do what reshape does."""

from random import Random

import pytest
import torch

from evoprompt.rewrite import views
from surrogate.ir import Dim, Shape


def random_shape(rng: Random) -> list[int]:
    return [rng.choice((1, 2, 3, 4, 6, 8)) for _ in range(rng.randrange(1, 5))]


def regrouped(rng: Random, sizes: list[int]) -> list[int]:
    """The same number of elements along other axes."""
    out = list(sizes)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(out))
        even = [n for n in range(1, out[place] + 1) if out[place] % n == 0]
        factor = rng.choice(even)
        if rng.random() < 0.5:
            out[place : place + 1] = [factor, out[place] // factor]
        elif place + 1 < len(out):
            out[place : place + 2] = [out[place] * out[place + 1]]
    return out


def dims(sizes: list[int]) -> Shape:
    return (Dim(1, 0), *(Dim(0, size) for size in sizes))


@pytest.mark.parametrize("seed", range(60))
def test_calls_and_layers_reshape(seed):
    rng = Random(seed)
    before = random_shape(rng)
    after = regrouped(rng, before)
    x = torch.randn(5, *before)
    wanted = x.reshape(5, *after)
    text = views.calls(dims(before), dims(after))
    assert torch.equal(eval(f"x{text}", {"x": x}), wanted), text
    lines = views.layers(dims(before), dims(after))
    if lines is not None:
        layers = [eval(line, {"nn": torch.nn}) for line in lines]
        assert torch.equal(torch.nn.Sequential(*layers)(x), wanted), lines


def test_heads_are_split_off_the_batch_and_joined_again():
    joined = (Dim(0, 10), Dim(2, 0), Dim(0, 8))
    apart = (Dim(0, 10), Dim(1, 0), Dim(0, 16))
    x = torch.randn(10, 3, 16)
    y = eval(f"x{views.calls(apart, joined)}", {"x": x})
    assert torch.equal(y, x.reshape(10, 6, 8))
    assert torch.equal(eval(f"y{views.calls(joined, apart)}", {"y": y}), x)
