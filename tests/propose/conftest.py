from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from evoprompt.candidate import Parent, Prompt, Sampling, TaskShape, candidate_id
from evoprompt.grammar.edits import END
from evoprompt.grammar.seeds import seeds
from evoprompt.propose.templates import load_templates, render, shown

IN_SHAPE = (1, 40)


@pytest.fixture(scope="session")
def tokenizer():
    from evoprompt.propose.builtin_corpus import examples
    from evoprompt.propose.builtin_tokenizer import train_tokenizer

    return train_tokenizer(islice(examples(7, 2), 40), 40)


def save_tiny_model(
    folder: Path, tokenizer, seed: int = 0, context: int = 2048, width: int = 32
) -> Path:
    """A random Llama of the built-in model's shape, so that replies are quick and meaningless."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=1024,
                hidden_size=width,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=context,
                tie_word_embeddings=True,
                initializer_range=0.2,
            )
        )
    end = tokenizer.convert_tokens_to_ids(END)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=0, bos_token_id=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, tokenizer) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), tokenizer)


@pytest.fixture(scope="session")
def parents() -> list[Parent]:
    sources = seeds(IN_SHAPE, 10).values()
    return [Parent(candidate_id(s), s, 0.9, 5000, 100_000) for s in sources]


@pytest.fixture(scope="session")
def prompt(parents) -> Prompt:
    template, view = load_templates()["mutate"], shown(parents[1])
    assert view is not None
    return Prompt(
        text=render(template, parents=[view], task=TaskShape("mnist1d", IN_SHAPE, 10)),
        template="mutate",
        template_hash=template.hash,
        operator="mutate",
        parents=(parents[1].id,),
        parent_source=parents[1].source,
    )


@pytest.fixture
def sampling() -> Sampling:
    return Sampling(temperature=1.0, count=3, seed=5, max_tokens=24)


@pytest.fixture
def program_prompt(prompt) -> Prompt:
    return replace(prompt, reply_format="program")
