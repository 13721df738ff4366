"""What the tests of the grammar share: shapes, and running a program of our own grammar."""

from random import Random

import torch

from evoprompt.grammar.spec import Spec
from evoprompt.grammar.variation import cross, mutate, random_spec

SHAPES = [(1, 40), (2, 64), (1, 8, 8), (3, 32, 32), (16,)]


def random_program(rng: Random, in_shape: tuple[int, ...]) -> Spec:
    """A random program after some mutations and perhaps a crossover."""
    spec = random_spec(rng, in_shape, 10)
    for _ in range(rng.randrange(4)):
        spec = mutate(spec, rng)
    if rng.random() < 0.25:
        spec = cross(spec, random_spec(rng, in_shape, 10), rng)
    return spec


def run(source: str, in_shape: tuple[int, ...], num_classes: int = 10) -> int:
    """Build, go forward and backward at batch 2, and count the parameters."""
    torch.set_num_threads(1)
    names: dict = {"__name__": "candidate"}
    exec(compile(source, "candidate", "exec"), names)
    model = names["Net"](in_shape, num_classes)
    logits = model(torch.randn(2, *in_shape))
    assert logits.shape == (2, num_classes)
    logits.sum().backward()
    return sum(parameter.numel() for parameter in model.parameters())
