"""What counts as a weight, what as a constant, and what a graph's activations take."""

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from surrogate.encode import read
from tests.surrogate.nets import export, small_model


def test_activations_are_the_most_that_live_at_once() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow, self.head = (
                nn.Linear(40, 80),
                nn.Linear(80, 40),
                nn.Linear(40, 2),
            )

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return self.head(x + self.narrow(torch.relu(self.wide(x))))

    # The input waits for the sum while 80 numbers become 80 others: 40 + 80 + 80.
    assert read(export(Skip())).activation_bytes == 4 * (40 + 80 + 80)


def weight_graph(*nodes: onnx.NodeProto, **constants: list[int]) -> onnx.ModelProto:
    """Linear with a weight `w` of (4, 4) that `nodes` turn into `v` first."""
    model = small_model(
        nodes=[*nodes, helper.make_node("MatMul", ["input", "v"], ["logits"])],
        inputs=[("input", ["n", 4]), ("w", [4, 4])],
    )
    for name, values in constants.items():
        tensor = helper.make_tensor(f".{name}", TensorProto.INT64, [len(values)], values)
        model.graph.initializer.append(tensor)
    return model


def test_a_weight_is_whole_while_every_element_is_used_once() -> None:
    def rows(*order: int) -> str:
        gather = helper.make_node("Gather", ["w", ".order"], ["v"], axis=0)
        return read(weight_graph(gather, order=list(order))).text

    transpose = helper.make_node("Transpose", ["w"], ["v"])
    plain = read(weight_graph(transpose)).text
    assert plain.endswith("Linear 4>4 nobias IN @4")
    assert read(weight_graph(transpose)).hash == read(weight_graph(transpose)).hash
    assert rows(2, 0, 3, 1) == plain
    twice = read(weight_graph(helper.make_node("Gather", ["w", ".o"], ["v"]), o=[0, 0, 1, 1]))
    whole = read(weight_graph(helper.make_node("Gather", ["w", ".o"], ["v"]), o=[3, 2, 1, 0]))
    assert twice.hash != whole.hash


def test_an_identity_of_a_weight_is_a_weight_of_its_own() -> None:
    """Torch's exporter joins tensors of equal values so; a module's own sharing needs no node."""
    pair = [
        helper.make_node("Identity", ["w"], ["copy"]),
        helper.make_node("MatMul", ["input", "w"], ["x"]),
        helper.make_node("MatMul", ["x", "copy"], ["logits"]),
    ]
    inputs = [("input", ["n", 4]), ("w", [4, 4])]
    assert read(small_model(nodes=pair, inputs=inputs)).parameters == 32
    pair[2].input[1] = "w"
    assert read(small_model(nodes=pair[1:], inputs=inputs)).parameters == 16


def test_constants_are_no_parameters_beside_weights_that_are_inputs() -> None:
    model = small_model()
    model.graph.node[1].input[2] = ".shift"
    del model.graph.input[2]
    shift = helper.make_tensor(".shift", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    model.graph.initializer.append(shift)
    graph = read(model)
    assert graph.parameters == 12
    assert "#" in graph.text


def test_the_sum_of_two_weights_has_no_order() -> None:
    def text(first: str, second: str) -> tuple[str, str]:
        nodes = [
            helper.make_node("Add", [first, second], ["sum"]),
            helper.make_node("MatMul", ["input", "sum"], ["x"]),
            helper.make_node("Add", [second, first], ["again"]),
            helper.make_node("MatMul", ["x", "again"], ["y"]),
            helper.make_node("MatMul", ["y", "w"], ["logits"]),
        ]
        inputs = [("input", ["n", 4]), ("w", [4, 4]), ("u", [4, 4])]
        graph = read(small_model(nodes=nodes, inputs=inputs))
        return graph.hash, graph.text

    assert text("w", "u") == text("u", "w")
    assert "=1.1" in text("w", "u")[1]
