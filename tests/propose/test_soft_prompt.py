"""A soft prompt is served as if its virtual tokens stood before each prompt."""

import json

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from evoprompt.candidate import Prompt, Sampling
from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.propose.engine import open_engine
from evoprompt.propose.sampling import Draw, sample
from evoprompt.propose.soft_prompt import read_soft_prompt

WORDS = list(range(40, 56))
PROMPTS = [
    Prompt(text, "t", "", "mutate", (), "", reply_format="program")
    for text in ("L1 class Net(nn.Module):\n", "L1 class Net(nn.Module):\nL2 def\n# any\n")
]
SAMPLINGS = [Sampling(0.8, 3, 1, 0.95, 20), Sampling(1.0, 2, 2, 0.95, 20)]


@pytest.fixture(scope="module")
def engine():
    return open_engine(ProposerSettings(model="builtin", threads=1))


def words_of(model):
    """The embeddings of sixteen real tokens, as a soft prompt."""
    return model.get_input_embeddings().weight[WORDS].detach().clone()


def write(model, folder, fingerprint):
    """As peft writes it."""
    tuned = get_peft_model(model, PromptTuningConfig(num_virtual_tokens=16, task_type="CAUSAL_LM"))
    with torch.no_grad():
        tuned.prompt_encoder["default"].embedding.weight.copy_(words_of(model))
    tuned.save_pretrained(str(folder))
    (folder / "base.json").write_text(json.dumps({"fingerprint": fingerprint}))
    return folder


@pytest.fixture
def soft(engine, tmp_path):
    base = open_engine(ProposerSettings(model="builtin", threads=1))
    return write(base._model, tmp_path / "v001", engine.base.fingerprint)


def test_virtual_tokens_of_real_words_write_what_the_words_write():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, initializer_range=0.2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    prompts = [[5, 6, 7], [8, 9, 10, 11, 12]]
    given = [Draw(tokens, 1.0, 0.95, 4, i, 12) for i, tokens in enumerate(prompts)]
    spelled = [Draw(WORDS + d.tokens, 1.0, 0.95, 4, d.seed, 12) for d in given]
    written = sample(model, given, [3], soft_SE=words_of(model))
    assert written == sample(model, spelled, [3])
    assert written != sample(model, given, [3])


def test_the_engine_puts_the_soft_prompt_in_front_and_takes_it_away_again(engine, soft):
    before = engine.sample(PROMPTS, SAMPLINGS)
    engine.use("v001", soft)
    after = engine.sample(PROMPTS, SAMPLINGS)
    assert engine.version == "v001"
    assert after != before
    assert engine.prompt_size("x")[0] == len(engine.base.encode_prompt("x")) + 16
    texts = [engine.base.encode_prompt(prompt.text) for prompt in PROMPTS]
    spelled = [
        Draw(WORDS + tokens, s.temperature, s.top_p, s.count, s.seed, s.max_tokens)
        for tokens, s in zip(texts, SAMPLINGS, strict=True)
    ]
    expected = sample(engine._model, spelled, engine.base.end_tokens, engine._addresses)
    assert [[r.token_count for r in group] for group in after] == [
        [len(tokens) for tokens in group] for group in expected
    ]
    assert after[0][0].prompt_tokens == before[0][0].prompt_tokens
    engine.use("base", None)
    assert engine.sample(PROMPTS, SAMPLINGS) == before


def test_lora_weights_are_no_soft_prompt(engine, tmp_path):
    base = open_engine(ProposerSettings(model="builtin", threads=1))
    get_peft_model(base._model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(
        str(tmp_path)
    )
    assert read_soft_prompt(tmp_path, engine._model) is None


@pytest.mark.parametrize("shape", [(16, 7), (16,)])
def test_a_soft_prompt_of_another_width_is_refused(engine, soft, shape):
    save_file({"prompt_embeddings": torch.zeros(shape)}, soft / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"soft prompt of shape .* Expected"):
        engine.use("v001", soft)
    assert engine.version == "base"


def test_a_soft_prompt_that_is_not_finite_or_not_there_is_refused(engine, soft):
    weights = soft / "adapter_model.safetensors"
    save_file({"prompt_embeddings": torch.full((16, 192), float("nan"))}, weights)
    with pytest.raises(ModelError, match="finite"):
        engine.use("v001", soft)
    save_file({"other": torch.zeros(16, 192)}, weights)
    with pytest.raises(ModelError, match="prompt_embeddings"):
        engine.use("v001", soft)
