from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from evoprompt.candidate import Parent, Prompt, Sampling, candidate_id
from evoprompt.grammar.edits import END, numbered
from evoprompt.grammar.seeds import seeds

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
    source = parents[1].source
    return Prompt(
        text=f"{numbered(source)}# 1x40 acc 90 size 4k -> any\n# edit\n",
        template="mutate",
        template_hash="0",
        operator="mutate",
        parents=(parents[1].id,),
        parent_source=source,
    )


@pytest.fixture
def sampling() -> Sampling:
    return Sampling(temperature=1.0, count=3, seed=5, max_tokens=24)


@pytest.fixture
def program_prompt(prompt) -> Prompt:
    return replace(prompt, reply_format="program")
