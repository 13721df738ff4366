from dataclasses import replace

import pytest

from evoprompt.candidate import TaskShape
from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.propose.prompt_room import check_room
from evoprompt.propose.templates import load_templates
from evoprompt.propose.transformers_engine import TransformersEngine
from tests.propose.conftest import save_tiny_model

TASK = TaskShape("mnist1d", (1, 40), 10)
SETTINGS = ProposerSettings(max_tokens=50)


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory, tokenizer):
    """A random model whose context holds so many tokens."""

    def opened(context):
        folder = tmp_path_factory.mktemp("model")
        model = save_tiny_model(folder, tokenizer, context=context)
        return TransformersEngine(str(model), threads=1)

    return opened


def test_a_context_too_small_for_the_seeds_is_refused_with_the_numbers(engine_of):
    with pytest.raises(ModelError, match=r"context holds 64 tokens.*up to 50. Expected room"):
        check_room(engine_of(64), load_templates(), TASK, SETTINGS)


def test_between_seeds_and_longest_parents_there_is_a_note_with_the_numbers(engine_of):
    said = {c: said_of(engine_of(c)) for c in (128, 256, 512, 768, 1024, 2048, 4096)}
    kinds = [text.split(" ")[0] for text in said.values()]
    assert kinds == sorted(kinds, key=("refused", "note", "nothing").index)
    assert {"note", "nothing"} <= set(kinds)
    for context, text in said.items():
        assert text == "nothing" or f"{context} tokens" in text


def said_of(engine):
    try:
        note = check_room(engine, load_templates(), TASK, SETTINGS)
    except ModelError as error:
        return f"refused {error}"
    return f"note {note}" if note else "nothing"


def test_a_template_of_no_weight_needs_no_room(engine_of):
    none = {name: replace(t, weight=0.0) for name, t in load_templates().items()}
    assert check_room(engine_of(64), none, TASK, SETTINGS) is None
