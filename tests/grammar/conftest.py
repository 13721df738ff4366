"""Torch as the screen's processes set it, for every test of this folder."""

import warnings
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def _as_the_screen_does() -> Iterator[None]:
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX form
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this flag speaks of other machines' GPUs
        before = torch.backends.mkldnn.set_flags(_enabled=False)  # compiles for every new shape
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.backends.mkldnn.set_flags(*before)
    torch.backends.mha.set_fastpath_enabled(was_fast)
