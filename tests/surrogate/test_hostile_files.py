"""Bytes that were built or broken to break the reader: it says `GraphError` and nothing else."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from surrogate.encode import GraphError, read
from tests.surrogate.nets import export, make
from tests.surrogate.random_graphs import build
from tests.surrogate.random_plans import draw

LARGEST = 2**63 - 1


def graph_of(
    nodes: list[onnx.NodeProto],
    shape: tuple[object, ...] = ("batch", 4),
    weights: dict[str, tuple[int, ...]] | None = None,
    constants: dict[str, object] | None = None,
    opset: int = 21,
) -> bytes:
    doors = [("input", shape), *(weights or {}).items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(s)) for name, s in doors],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", None])],
        [numpy_helper.from_array(np.array(v), name) for name, v in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return model.SerializeToString()


def node(op: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)  # type: ignore[arg-type]


def outcome(data: bytes) -> str:
    """Text and hash of what can be read; a `GraphError` is an answer too."""
    try:
        graph = read(data)
    except GraphError as error:
        return str(error)
    return graph.text + graph.hash


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    files = [export(*make(name)) for name in ("reference", "attention", "recurrent")]
    return files + [build(draw(Random(seed))).SerializeToString() for seed in range(3)]


def spoiled(data: bytes, rng: Random) -> bytes:
    """Some bytes changed, cut out, doubled or the end cut off."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        place, length = rng.randrange(len(content)), rng.randrange(1, 40)
        match rng.randrange(5):
            case 0:
                content[place] = rng.randrange(256)
            case 1:
                content[place] ^= 1 << rng.randrange(8)
            case 2:
                del content[place : place + length]
            case 3:
                content[place:place] = content[place : place + length]
            case _ if rng.random() < 0.2:
                del content[place:]
        content = content or bytearray(b"\0")
    return bytes(content)


def test_spoiled_files_are_read_or_refused(originals: list[bytes]) -> None:
    rng = Random(0)
    for number in range(600):
        outcome(spoiled(originals[number % len(originals)], rng))


def test_spoiled_numbers_are_read_or_refused(originals: list[bytes]) -> None:
    """Every attribute, size and constant may be anything; the file stays well-formed."""
    rng = Random(1)
    values = (0, -1, 1, 2, 7, 2**31, -(2**31), 2**62, LARGEST, -LARGEST - 1)
    for number in range(500):
        model = onnx.load_from_string(originals[number % len(originals)])
        for _ in range(rng.choice([1, 1, 3])):
            change_number(model, rng, values)
        outcome(model.SerializeToString())


def change_number(model: onnx.ModelProto, rng: Random, values: tuple[int, ...]) -> None:
    owner = rng.choice(model.graph.node)
    match rng.randrange(5):
        case 0 | 1 if owner.attribute:
            attribute = rng.choice(owner.attribute)
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(values)
            elif attribute.type == onnx.AttributeProto.FLOAT:
                attribute.f = rng.choice([float("nan"), float("inf"), -1.0, 0.0])
            else:
                attribute.i = rng.choice(values)
        case 2:
            dims = rng.choice(model.graph.input).type.tensor_type.shape.dim
            if dims:
                rng.choice(dims).dim_value = rng.choice(values)
        case 3 if owner.input:
            owner.input[rng.randrange(len(owner.input))] = rng.choice(rng.choice(all_names(model)))
        case _:
            owner.op_type = rng.choice(["Add", "Conv", "Slice", "GRU", "Concat", "Gather", "Loop"])


def all_names(model: onnx.ModelProto) -> list[list[str]]:
    return [list(n.output) for n in model.graph.node] + [["input"], [""], ["nothing"]]


REFUSED: dict[str, Callable[[], bytes]] = {
    "garbage": lambda: Random(0).randbytes(5000),
    "an input of 2^62 numbers": lambda: graph_of(
        [node("Flatten", "input", "logits")], ("batch", 2**31, 2**31)
    ),
    "a weight of negative size": lambda: graph_of(
        [node("Add", "input w", "logits")], weights={"w": (-4,)}
    ),
    "sizes whose product overflows": lambda: graph_of(
        [node("Flatten", "input", "logits")], ("batch", 2**40, 2**40)
    ),
    "copies whose size overflows": lambda: graph_of(
        [node("Tile", "input times", "logits")], constants={"times": [1, 2**62 + 1]}
    ),
    "padding that overflows": lambda: graph_of(
        [node("Pad", "input pads", "logits")],
        constants={"pads": [0, LARGEST, 0, LARGEST], "zero": np.float32(0)},
    ),
    "a convolution whose padding overflows": lambda: graph_of(
        [node("Conv", "input w", "c", pads=[LARGEST, LARGEST]), node("Flatten", "c", "logits")],
        ("batch", 1, 8),
        {"w": (1, 1, 3)},
    ),
    "a dilation of 2^62": lambda: graph_of(
        [node("Conv", "input w", "c", dilations=[2**62]), node("Flatten", "c", "logits")],
        ("batch", 1, 8),
        {"w": (1, 1, 5)},
    ),
    "an equation of a million letters": lambda: graph_of(
        [node("Einsum", "input input", "logits", equation="ab," * 300_000)]
    ),
    "a tensor of 100,000 axes": lambda: graph_of(
        [node("Reshape", "input shape", "wide"), node("Flatten", "wide", "logits")],
        constants={"shape": [-1] + [1] * 100_000},
    ),
    "graphs in graphs in graphs": lambda: nested(200),
    "20,001 nodes": lambda: chain("Relu", 20_001),
    "the output is a constant as large as the batch": lambda: graph_of(
        [
            node("Shape", "input", "size"),
            node("ConstantOfShape", "size", "logits"),
        ]
    ),
    "the first examples of the batch": lambda: graph_of(
        [node("Slice", "input zero three zero", "logits")], constants={"zero": [0], "three": [3]}
    ),
    "the last example of the batch": lambda: graph_of(
        [node("Slice", "input start end zero", "logits")],
        constants={"start": [-1], "end": [LARGEST], "zero": [0]},
    ),
    "half of the batch": lambda: graph_of(
        [
            node("Shape", "input", "size", start=0, end=1),
            node("Div", "size two", "half"),
            node("Slice", "input zero half zero", "logits"),
        ],
        constants={"zero": [0], "two": [2]},
    ),
    "an attribute that lies in another file": lambda: external(),
}


def nested(depth: int) -> bytes:
    """Relu with an attribute with a graph with a Relu with an attribute, and so on."""
    content = b""
    for _ in range(depth):
        attribute = field(5, field(1, b"body") + field(6, content)) if content else b""
        content = field(1, field(4, b"Relu") + attribute)
    plain = graph_of([node("Relu", "input", "logits")])
    return plain + field(7, content)  # a second graph is merged into the first


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def chain(op: str, length: int) -> bytes:
    names = ["input", *(f"v{i}" for i in range(length - 1)), "logits"]
    return graph_of([node(op, a, b) for a, b in pairwise(names)])


def external() -> bytes:
    constant = node("Constant", "", "c", value=numpy_helper.from_array(np.ones(4, np.float32)))
    constant.attribute[0].t.ClearField("raw_data")
    constant.attribute[0].t.data_location = TensorProto.EXTERNAL
    constant.attribute[0].t.external_data.add(key="location", value="/etc/passwd")
    return graph_of([constant, node("Add", "input c", "logits")])


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_real_network_is_refused(case: str) -> None:
    with pytest.raises(GraphError, match="Expected"):
        read(REFUSED[case]())


LARGE = {
    "a range of 10^12 numbers": [
        node("Range", "zero many one", "r"),
        node("ReduceMax", "r", "m", keepdims=0),
        node("Mul", "input m", "logits"),
    ],
    "one number 10^12 times": [
        node("Expand", "one shape", "e"),
        node("ReduceMax", "e", "m", keepdims=0),
        node("Mul", "input m", "logits"),
    ],
    "zeros of 10^12 places": [
        node("ConstantOfShape", "shape", "e"),
        node("ReduceMax", "e", "m", keepdims=0),
        node("Mul", "input m", "logits"),
    ],
    "an outer sum": [
        node("ConstantOfShape", "wide", "a"),
        node("ConstantOfShape", "tall", "b"),
        node("Add", "a b", "e"),
        node("ReduceMax", "e", "m", keepdims=0),
        node("Mul", "input m", "logits"),
    ],
}


@pytest.mark.parametrize("case", LARGE)
def test_large_constants_are_never_made(case: str) -> None:
    numbers = {"zero": np.float32(0), "one": np.float32(1), "many": np.float32(1e12)}
    shapes = {"shape": [10**6, 10**6], "wide": [1, 60_000], "tall": [60_000, 1]}
    text = outcome(graph_of(LARGE[case], constants={**numbers, **shapes}))
    assert "MemoryError" not in text


def test_a_network_of_10_to_the_11_parameters_is_counted_not_made() -> None:
    nodes = [node("Gemm", "input w", "logits")]
    graph = read(graph_of(nodes, ("batch", 10**6), {"w": (10**6, 10**5)}))
    assert graph.parameters == graph.macs == 10**11


def test_numbers_that_are_none_are_written_as_such() -> None:
    for value in (float("nan"), float("inf")):
        graph = read(graph_of([node("Elu", "input", "logits", alpha=value)]))
        assert f"alpha={value}" in graph.text
        assert graph.hash == read(graph_of([node("Elu", "input", "logits", alpha=value)])).hash


def test_the_longest_chain_is_read() -> None:
    graph = read(chain("Relu", 20_000))
    assert graph.node_count == 20_000
    assert graph.lines[2:] == ("x19999{", "Relu @4", "}")
    assert len(repr(graph)) < 10_000_000
