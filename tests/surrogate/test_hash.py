"""The hash of a graph: the same for one network in every disguise, another for every other one."""

from itertools import permutations
from random import Random

import onnx
import pytest
from onnx import TensorProto, helper

from surrogate.encode import read
from tests.surrogate.random_graphs import build, disguise
from tests.surrogate.random_plans import change, draw

GRAPHS = 1000
CHANGES = ("attribute", "width", "edge", "sharing")


@pytest.mark.parametrize("share", range(10))
def test_a_network_keeps_its_hash_and_text_in_disguise_and_another_has_another(share: int) -> None:
    tried = 0
    for seed in range(share, GRAPHS, 10):
        rng = Random(seed)
        plan = draw(rng)
        model = build(plan)
        graph = read(model)
        same = read(disguise(model, rng))
        assert same.hash == graph.hash, f"seed {seed}"
        assert same.text == graph.text, f"seed {seed}"
        for what in (CHANGES[seed % 4], CHANGES[(seed + 1) % 4]):
            other = change(plan, what, rng)
            if other is not None:
                tried += 1
                assert read(build(other)).hash != graph.hash, f"seed {seed}, {what}"
    assert tried > 120


Layers = list[list[int]]


def branches(layers: Layers, op: str) -> onnx.ModelProto:
    """Equal branches that are summed; branch b uses the weight `layers[l][b]` in layer l."""
    nodes, sums = [], []
    for branch in range(len(layers[0])):
        value = "input"
        for layer, weights in enumerate(layers):
            name = f"b{branch}.{layer}"
            nodes.append(helper.make_node("MatMul", [value, f"w{weights[branch]}"], [name]))
            nodes.append(helper.make_node("Relu", [name], [f"{name}.r"]))
            value = f"{name}.r"
        sums.append(value)
    nodes.append(helper.make_node(op, sums, ["sum"]))
    nodes.append(helper.make_node("Relu", ["sum"], ["logits"]))
    names = sorted({weight for weights in layers for weight in weights})
    doors = [("input", ["batch", 4]), *((f"w{name}", [4, 4]) for name in names)]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in doors],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def form(layers: Layers) -> tuple:
    """The same for two sets of branches just if they are one network: all orders are tried."""
    forms = []
    for order in permutations(range(len(layers[0]))):
        numbers: dict[int, int] = {}
        places = [weights[branch] for branch in order for weights in layers]
        forms.append(tuple(numbers.setdefault(weight, len(numbers)) for weight in places))
    return min(forms)


def test_equal_branches_that_share_weights_crosswise_are_told_apart_exactly() -> None:
    rng = Random(0)
    hashes: dict[tuple, str] = {}
    for _ in range(150):
        width, depth = rng.choice([(2, 2), (2, 3), (3, 2), (3, 3), (4, 2)])
        layers = [rng.sample(range(width + 1), width) for _ in range(depth)]
        graph = read(branches(layers, "Sum"))
        shuffled = rng.sample(range(width), width)
        again = read(branches([[weights[b] for b in shuffled] for weights in layers], "Sum"))
        assert (again.hash, again.text) == (graph.hash, graph.text), layers
        assert hashes.setdefault((width, depth, form(layers)), graph.hash) == graph.hash, layers
    assert len(set(hashes.values())) == len(hashes) > 20


@pytest.mark.parametrize("op", ["Add", "Mul", "Max"])
def test_two_layers_shared_straight_and_crosswise_are_two_networks(op: str) -> None:
    straight, crosswise = read(branches([[0, 1], [0, 1]], op)), read(branches([[0, 1], [1, 0]], op))
    assert straight.hash != crosswise.hash
    assert straight.text != crosswise.text
    assert read(branches([[1, 0], [0, 1]], op)).text == crosswise.text


def test_many_twins_one_after_the_other_are_ordered_in_no_time() -> None:
    """Each level doubles the number of orders; none of them matters."""
    nodes, doors = [], [("input", ["batch", 4])]
    value = "input"
    for level in range(60):
        for side in "ab":
            doors.append((f"w{level}{side}", [4, 4]))
            operands = [value, f"w{level}{side}"]
            nodes.append(helper.make_node("MatMul", operands, [f"{level}{side}"]))
        value = f"s{level}" if level < 59 else "logits"
        nodes.append(helper.make_node("Add", [f"{level}a", f"{level}b"], [value]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in doors],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    expected = read(model)
    rng = Random(0)
    for _ in range(3):
        same = read(disguise(model, rng))
        assert (same.hash, same.text) == (expected.hash, expected.text)


def test_reading_leaves_the_model_as_it_is() -> None:
    model = build(draw(Random(1)))
    before = model.SerializeToString(deterministic=True)
    assert read(model).hash == read(before).hash
    assert model.SerializeToString(deterministic=True) == before
    assert isinstance(model, onnx.ModelProto)
