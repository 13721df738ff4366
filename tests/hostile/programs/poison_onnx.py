"""Replaces the graph library: serialising gives another graph."""
# ruff: noqa

EXPECT = "contained"

import onnx


def forged(self, *a, **k):
    return b"\x08\x0a"


try:
    onnx.ModelProto.SerializeToString = forged
except (AttributeError, TypeError):
    pass
onnx.checker.check_model = lambda *a, **k: None
onnx.helper.make_node = None
