"""These tests run in the environment of `make test-vllm`; elsewhere they skip."""

import importlib.util

import pytest

from tests.propose.conftest import (  # noqa: F401 - fixtures
    parents,
    prompt,
    save_tiny_model,
    tokenizer,
)

HAS_VLLM = importlib.util.find_spec("vllm") is not None


def pytest_collection_modifyitems(items):
    if not HAS_VLLM:
        for item in items:
            if "tests/vllm" in str(item.path):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: make test-vllm"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, tokenizer):  # noqa: F811
    """The smallest heads that vLLM computes on the CPU have 32 features."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), tokenizer, width=64)
