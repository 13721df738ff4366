"""Eighteen well-known architectures: the grammar writes them, the screen takes them, and their
graphs have what their names promise.
"""

from collections import Counter
from random import Random

import pytest

from evoprompt.grammar.references import ON_POSITIONS, references
from evoprompt.grammar.shapes import repair, totals
from evoprompt.grammar.spec import Spec, parse, render, walk
from evoprompt.grammar.variation import mutate
from tests.grammar.programs import run, screened

SHAPES = [(1, 40), (1, 8, 8), (3, 32, 32), (16,), (1, 3000)]
NAMES = sorted(references((1, 40), 10))
NODES: dict[str, dict[str, int]] = {
    "lenet": {"Conv": 2, "AveragePool": 2, "Tanh": 4, "Gemm": 3, "Add": 0},
    "resnet": {"Add": 3, "Conv": 7, "BatchNormalization": 7, "Relu": 7},
    "resnet_v2": {"Add": 3, "Conv": 7, "BatchNormalization": 7, "Relu": 7},
    "densenet": {"Concat": 5, "Add": 0, "AveragePool": 1, "Conv": 7},
    "unet": {"Concat": 2, "MaxPool": 2, "ConvTranspose": 2},
    "mobilenet_v2": {"Add": 2, "Conv": 11},
    "se_resnet": {"Add": 2, "Sigmoid": 2, "Mul": 2, "ReduceMean": 2},
    "resnext": {"Add": 3, "Conv": 10},
    "inception": {"MaxPool": 3, "Conv": 13},
    "wavenet": {"Add": 4, "Sigmoid": 4, "Mul": 4},
    "hyena": {"Add": 4, "Sigmoid": 2, "LayerNormalization": 4, "Gelu": 2},
    "bi_gru": {"GRU": 2},
    "convnext": {"Gelu": 4, "Conv": 18},
    "vit": {"Softmax": 2, "LayerNormalization": 5, "Gelu": 2},
    "swin": {"Softmax": 2, "Slice": 1, "Pad": 2, "Gelu": 2},
    "linear_transformer": {"Softmax": 4, "Gelu": 2},
    "fnet": {"MatMul": 2, "Add": 4, "LayerNormalization": 4, "Softmax": 0},
    "mlp_mixer": {"MatMul": 4, "Gelu": 4, "LayerNormalization": 3, "Softmax": 0},
}


@pytest.mark.parametrize("in_shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_reference_is_expressed_and_passes_the_screen(name, in_shape):
    spec = references(in_shape, 10)[name]
    source = render(spec)
    assert parse(source, in_shape, 10) == spec
    assert len(spec.body) > 1
    figures, _ = screened(source, in_shape)
    assert figures["parameters"] == totals(spec).parameters == run(source, in_shape)
    assert figures["macs"] == pytest.approx(totals(spec).macs, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_has_the_structure_of_its_name(name):
    _, model = screened(render(references((1, 40), 10)[name]), (1, 40))
    found = Counter(node.op_type for node in model.graph.node)
    assert {kind: found[kind] for kind in NODES[name]} == NODES[name]


def attributes(name: str, operator: str, attribute: str) -> list[list[int] | int]:
    """The values of an attribute in the nodes of a kind, in the order of the graph."""
    _, model = screened(render(references((1, 40), 10)[name]), (1, 40))
    return [
        list(value.ints) or value.i
        for node in model.graph.node
        if node.op_type == operator
        for value in node.attribute
        if value.name == attribute
    ]


def test_what_the_counts_do_not_tell():
    assert attributes("wavenet", "Conv", "dilations")[1::2] == [[1], [2], [4], [8]]
    assert attributes("resnext", "Conv", "group").count(4) == 3
    groups = Counter(map(str, attributes("mobilenet_v2", "Conv", "group")))
    assert groups == {"1": 8, "32": 1, "48": 2}
    assert attributes("hyena", "Conv", "kernel_shape").count([31]) == 2
    assert attributes("convnext", "Conv", "kernel_shape").count([7]) == 4
    assert len(set(map(str, attributes("inception", "Conv", "kernel_shape")))) == 3


def test_nothing_of_a_reference_is_lost_to_a_signal_of_forty_positions():
    for make in ON_POSITIONS:
        spec = Spec((1, 40), 10, *make())
        assert repair(spec) == spec, make.__name__


def test_every_reference_is_described_and_another_network():
    found = references((1, 40), 10)
    assert len(found) >= 10
    assert set(found) == set(NODES)
    assert all(
        "19" in (make.__doc__ or "") or "20" in (make.__doc__ or "") for make in ON_POSITIONS
    )
    kinds = {tuple(layer.kind for layer in walk(spec.body)) for spec in found.values()}
    assert len(kinds) == len(found)


def test_references_can_be_parents():
    for name, spec in references((1, 40), 10).items():
        child = mutate(spec, Random(name), "wiring") or mutate(spec, Random(name), "depth")
        assert child is not None, name
        assert run(render(child), (1, 40)) == totals(child).parameters
