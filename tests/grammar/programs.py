"""What the tests of the grammar share: shapes, random programs, and two ways to run one."""

import json
from random import Random
from typing import Any

import onnx
import torch

from evoprompt.config import ScreenSettings
from evoprompt.grammar.spec import Spec
from evoprompt.grammar.variation import cross, random_spec, some_mutation
from evoprompt.screen import check, child
from evoprompt.screen.rules import Prepared, prepare

SHAPES = [(1, 40), (2, 64), (1, 8, 8), (3, 32, 32), (16,)]
LIMITS = ScreenSettings()


def random_program(rng: Random, in_shape: tuple[int, ...]) -> Spec:
    """A random program after some mutations and perhaps a crossover."""
    spec = random_spec(rng, in_shape, 10)
    for _ in range(rng.randrange(4)):
        spec = some_mutation(spec, rng)
    if rng.random() < 0.25:
        spec = cross(spec, random_spec(rng, in_shape, 10), rng) or spec
    return spec


def run(source: str, in_shape: tuple[int, ...], num_classes: int = 10) -> int:
    """Build, go forward and backward at batch 2, and count the parameters."""
    names: dict = {"__name__": "candidate"}
    exec(compile(source, "candidate", "exec"), names)
    model = names["Net"](in_shape, num_classes)
    logits = model(torch.randn(2, *in_shape))
    assert logits.shape == (2, num_classes)
    logits.sum().backward()
    return sum(parameter.numel() for parameter in model.parameters())


def screened(
    source: str, in_shape: tuple[int, ...], num_classes: int = 10
) -> tuple[dict[str, Any], onnx.ModelProto]:
    """Figures and graph of a program: the screen's rules, recorder and checker, without the jail.

    The rules must leave the program as it is.
    """
    assert prepare(source) == Prepared(source)
    job = {"task": "test", "in_shape": list(in_shape), "num_classes": num_classes}
    job |= {name: getattr(LIMITS, name) for name in ("max_nodes", "max_parameters", "max_macs")}
    head, _, graph = child.record(json.dumps(job | {"source": source}).encode()).partition(b"\n")
    assert head == b"{}", head
    answer = check.check(json.dumps(job).encode() + b"\n" + graph)
    head, _, graph = answer.partition(b"\n")
    figures = json.loads(head)
    assert "reason" not in figures, head
    return figures, onnx.load_from_string(graph)
