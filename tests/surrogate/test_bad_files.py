"""Files that are not one usable network: each is refused by name."""

import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from surrogate.encode import GraphError, read
from surrogate.errors import BatchError
from tests.surrogate.nets import export, make, small_model


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {"reference": export(*make("reference"))}


def _external() -> onnx.ModelProto:
    model = small_model(inputs=[("input", ["n", 1, 4]), ("b", [3])])
    tensor = TensorProto(name="w", dims=[3, 4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="elsewhere.bin")
    model.graph.initializer.append(tensor)
    return model


def _custom_domain() -> onnx.ModelProto:
    node = helper.make_node("Magic", ["input"], ["logits"], domain="com.example")
    return small_model(nodes=[node], inputs=[("input", ["n", 4])])


def _control_flow() -> onnx.ModelProto:
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["input"], ["o"])], "b", [], [out])
    nodes = [
        helper.make_node("Constant", [], ["c"], value_int=1),
        helper.make_node("Cast", ["c"], ["cond"], to=TensorProto.BOOL),
        helper.make_node("If", ["cond"], ["logits"], then_branch=branch, else_branch=branch),
    ]
    return small_model(nodes=nodes, inputs=[("input", ["n", 4])])


def _cycle() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Add", ["input", "logits"], ["a"]),
        helper.make_node("Relu", ["a"], ["logits"]),
    ]
    return small_model(nodes=nodes, inputs=[("input", ["n", 4])])


BAD_MODELS = {
    "external data": (_external, "lies in another file"),
    "custom domain": (_custom_domain, "operator Magic of the custom domain 'com.example'"),
    "control flow": (_control_flow, "control flow (If)"),
    "cycle": (_cycle, "not a valid ONNX graph"),
    "two outputs": (lambda: small_model(outputs=["logits", "flat"]), "2 outputs"),
    "two inputs": (
        lambda: small_model(inputs=[("input", ["n", 1, 4]), ("w", ["n", 4]), ("b", [3])]),
        "2 data inputs",
    ),
    "dynamic shape": (
        lambda: small_model(inputs=[("input", ["n", 1, "t"]), ("w", [3, 4]), ("b", [3])]),
        "has the shape ?x1x?",
    ),
    "operator set": (lambda: small_model(opset=99), "operator set 99"),
    "shapes that do not fit": (
        lambda: small_model(inputs=[("input", ["n", 1, 5]), ("w", [3, 4]), ("b", [3])]),
        "Gemm",
    ),
    "data-dependent shape": (
        lambda: small_model(
            nodes=[
                helper.make_node("NonZero", ["input"], ["places"]),
                helper.make_node("Cast", ["places"], ["logits"], to=TensorProto.FLOAT),
            ],
            inputs=[("input", ["n", 4])],
        ),
        "depends on the data",
    ),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_file_that_is_not_one_network_is_named(case: str) -> None:
    make_model, message = BAD_MODELS[case]
    with pytest.raises(GraphError) as caught:
        read(make_model().SerializeToString())
    assert message in str(caught.value)
    assert "Expected" in str(caught.value)


def test_not_onnx_truncated_missing_and_too_large_files_are_named(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.onnx"
    for content in (b"", b"hello, world", b"\x80\x04pickle", files["reference"][:300]):
        broken.write_bytes(content)
        with pytest.raises(GraphError, match=r"broken\.onnx: not "):
            read(broken)
    with pytest.raises(GraphError, match="no such file"):
        read(tmp_path / "missing.onnx")
    monkeypatch.setattr("surrogate.onnxfile.SIZE_LIMIT", 1000)
    with pytest.raises(GraphError, match="at most"):
        read(files["reference"])


def test_a_file_of_2_gb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)  # a hole: no byte is written
    start = time.process_time()
    with pytest.raises(GraphError, match=r"large\.onnx: 2048 MiB\. Expected at most 256 MiB"):
        read(path)
    assert time.process_time() - start < 0.1


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="not readable"):
        read(tmp_path)


def test_external_data_that_is_missing_is_named(tmp_path: Path) -> None:
    """As the dynamo exporter leaves a model whose `.data` file was not copied along."""
    path = tmp_path / "net.onnx"
    onnx.save(_external(), path)
    with pytest.raises(GraphError, match="the data of 'w' lies in another file"):
        read(path)


@pytest.mark.parametrize("case", ["cycle", "two inputs", "dynamic shape", "custom domain"])
def test_messages_are_one_line_that_says_what_to_do(case: str) -> None:
    with pytest.raises(GraphError) as caught:
        read(BAD_MODELS[case][0]())
    message = str(caught.value)
    assert "\n" not in message
    assert message.count("Expected") == 1
    assert message.endswith(".")


def test_what_depends_on_the_batch_has_an_error_of_its_own() -> None:
    def model(op: str, shape: list[int]) -> onnx.ModelProto:
        nodes = [helper.make_node(op, ["input", ".shape"], ["logits"])]
        found = small_model(nodes=nodes, inputs=[("input", ["n", 4])])
        values = helper.make_tensor(".shape", TensorProto.INT64, [len(shape)], shape)
        found.graph.initializer.append(values)
        return found

    with pytest.raises(BatchError, match="batch"):
        read(model("Reshape", [2, 4]))
    with pytest.raises(BatchError, match="batch"):
        read(model("Gather", [0]))
    for name in ("two outputs", "dynamic shape", "operator set", "data-dependent shape"):
        with pytest.raises(GraphError) as caught:
            read(BAD_MODELS[name][0]())
        assert not isinstance(caught.value, BatchError), name
