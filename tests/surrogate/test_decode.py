"""Nothing is lost: the graph that a text is read back into has the hash and figures of its own."""

from random import Random

import pytest
import torch

from evoprompt.grammar.spec import render
from evoprompt.screen.recorder import record
from surrogate.decode import decode
from surrogate.encode import Graph, GraphError, read
from surrogate.errors import SurrogateError
from tests.grammar.programs import SHAPES, random_program
from tests.recorder.battery import BATTERY
from tests.recorder.case import example, seeded
from tests.surrogate.nets import NETS, export, make
from tests.surrogate.random_graphs import build
from tests.surrogate.random_plans import draw
from tests.surrogate.test_hash import branches

GRAPHS = 1000


def check(graph: Graph, what: object) -> None:
    again = decode(graph.text)
    assert again.text == graph.text, what
    assert again.hash == graph.hash, what
    figures = ("parameters", "macs", "depth", "activation_bytes", "node_count", "task")
    for figure in figures:
        assert getattr(again, figure) == getattr(graph, figure), (what, figure)


@pytest.mark.parametrize("share", range(5))
def test_random_graphs_come_back(share: int) -> None:
    for seed in range(share, GRAPHS, 5):
        check(read(build(draw(Random(seed)))), seed)


@pytest.mark.filterwarnings("ignore")
def test_every_module_of_the_recorders_battery_comes_back() -> None:
    """Shared, cut, joined and computed weights; several outputs; whole numbers; constants."""
    count = 0
    for case in BATTERY:
        if case.refused:
            continue
        net = seeded(case)
        model = record(net, lambda batch, case=case: (example(case, batch),)).model
        try:
            graph = read(model)
        except GraphError:
            continue  # no network: the battery has calls that mix examples, too
        check(graph, case.name)
        count += 1
    assert count > 700


def test_programs_of_the_grammar_come_back() -> None:
    rng = Random(0)
    for number in range(60):
        in_shape = SHAPES[number % len(SHAPES)]
        names: dict = {"__name__": "candidate"}
        exec(render(random_program(rng, in_shape)), names)
        net = names["Net"](in_shape, 10).eval()
        net(torch.zeros(2, *in_shape))  # materialises lazy layers
        model = record(net, lambda batch, s=in_shape: (torch.randn(batch, *s),)).model
        check(read(model), number)


@pytest.mark.parametrize("name", NETS)
def test_files_of_torchs_exporter_come_back(name: str) -> None:
    check(read(export(*make(name))), name)
    check(read(export(*make(name), weights_inside=True)), name)


@pytest.mark.parametrize("layers", [[[0, 1], [0, 1]], [[0, 1], [1, 0]], [[0, 1, 2], [2, 0, 1]]])
def test_weights_shared_crosswise_come_back(layers: list[list[int]]) -> None:
    check(read(branches(layers, "Sum")), layers)


def test_the_task_stands_in_the_header_and_nowhere_else() -> None:
    data = export(*make("reference"))
    plain, named = read(data), read(data, task="mnist1d")
    assert named.text == plain.text.replace("NET 1x40>10", "NET 1x40>10 task=mnist1d", 1)
    assert named.hash == plain.hash
    check(named, "task")
    for name in ("two words", "a\nline", "", "x" * 65):
        if name:
            with pytest.raises(GraphError, match="the name of the task"):
                read(data, task=name)


BAD = {
    "nothing": "",
    "no header": "Relu @4",
    "no operators": "NET 4",
    "a task of two words": "NET 4>4 task=a b\nRelu IN @4",
    "no shape": "NET 4>4\nRelu IN",
    "a negative offset": "NET 4>4\nRelu ^-1 @4",
    "no lines back": "NET 4>4\nRelu ^0 @4",
    "a line before the first": "NET 4>4\nRelu IN @4\nAdd ^1 ^3 @4",
    "a repeat without end": "NET 4>4\nRelu IN @4\nx3{\nRelu @4",
    "an end without repeat": "NET 4>4\nRelu IN @4\n}",
    "no repetitions": "NET 4>4\nRelu IN @4\nx0{\nRelu @4\n}",
    "a billion lines": "NET 4>4\nRelu IN @4\nx99999{\nx99999{\nRelu @4\n}\n}",
    "a number of 5,000 digits": f"NET 4>4\nRelu IN @4\nx{'9' * 5000}{{\nRelu @4\n}}",
    "blocks in blocks in blocks": "NET 4>4\nRelu IN @4\n"
    + "x2{\n" * 5000
    + "Relu @4"
    + "\n}" * 5000,
    "lists in lists in lists": "NET 4>4\nRelu a:=" + "[" * 10_000 + " IN @4",
    "a shape of letters": "NET 4>4\nRelu IN @axb",
    "a shape of 10^60 numbers": "NET 4>4\nRelu IN @" + "x".join(["1000000"] * 10),
    "a layer without channels": "NET 4>4\nLinear IN @4",
    "a kernel of letters": "NET 1x8>4x8\nConv kx 1>4 IN @4x8",
    "a layer norm without axis": "NET 4>4\nLayerNorm IN @4",
    "an attribute twice": "NET 4>4\nElu alpha=2 alpha=2 IN @4",
    "operands that a layer has not": "NET 4>4\nRelu IN @4\nLinear 4>4 ^1 ^1 @4",
    "a share of no weight": "NET 4>4\nRelu IN @4\nLinear 4>4 =1.1 @4",
    "a weight of no shape": "NET 4>4\nAdd IN Wxx @4",
    "parts of nothing": "NET 4>4\nAdd IN W4:12345678/=9.9.9 @4",
    "a constant that is none": "NET 4>4\nAdd IN #hello @4",
    "more digits than six": "NET 4>4\nAdd IN #0.1234567 @4",
    "an output that is not there": "NET 4>4\nRelu IN @4\nRelu ^1.3 @4",
    "a line that nothing reads": "NET 4>4\nRelu IN @4\nExp IN @4",
    "another shape at the end": "NET 4>4\nRelu IN @5",
    "two spaces": "NET 4>4\nRelu  IN @4",
    "an empty line": "NET 4>4\nRelu IN @4\n\nRelu @4",
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_text_is_refused(case: str) -> None:
    with pytest.raises(SurrogateError, match=r"not a graph text\. Expected") as caught:
        decode(BAD[case])
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_spoiled_texts_are_read_or_refused() -> None:
    rng = Random(0)
    texts = [read(export(*make(name))).text for name in NETS]
    texts += [read(build(draw(Random(seed)))).text for seed in range(6)]
    letters = "0123456789x^=#W{}>@.:- \nBIN/+[]"
    refused = 0
    for number in range(2000):
        text = texts[number % len(texts)]
        for _ in range(rng.choice([1, 1, 2, 5])):
            place = rng.randrange(len(text))
            cut = rng.choice([0, 0, 1, 1, 8])
            text = (
                text[:place] + rng.choice(letters) * rng.choice([0, 1, 1, 3]) + text[place + cut :]
            )
        try:
            decode(text)
        except SurrogateError:
            refused += 1
    assert 1000 < refused < 2000
