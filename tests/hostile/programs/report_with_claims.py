"""Sends a good graph with a header that claims other figures for it."""
# ruff: noqa

EXPECT = "good_graph"

import os
from onnx import TensorProto, helper


def linear(nodes=(), inputs=(), initializers=()):
    """A plain network, 4 inputs to 3 classes, with something more in it."""
    values = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 4])]
    values.append(helper.make_tensor_value_info("f.weight", TensorProto.FLOAT, [3, 4]))
    last = helper.make_node("Gemm", ["input", "f.weight"], ["logits"], transB=1)
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    nodes = [*nodes, last]
    graph = helper.make_graph(nodes, "net", [*values, *inputs], [out], list(initializers))
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def send(data):
    """Answer with these bytes instead of a recorded graph."""
    view = memoryview(b"D{}\n" + data)
    while view:
        view = view[os.write(3, view) :]
    os._exit(0)


import json

claim = {"parameters": 1, "macs": 1, "depth": 1, "graph": "0" * 64, "text": "forged"}
data = b"D" + json.dumps(claim).encode() + b"\n" + linear().SerializeToString()
os.write(3, data)
os._exit(0)
