"""A base model with an adapter that can be trained: LoRA, or a soft prompt.

In: the base's folder and the kind of adapter, or the folder of an adapter to go on from. Out: a
`TunedModel` that says how likely it finds replies, and that can be written.
Both kinds are peft's own formats. A soft prompt is put in front of the prompts here and by the
engine, because peft's own forward takes neither positions nor masks of several dimensions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, PromptTuningConfig, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.utils import logging as hub_logging

from evoprompt.config import LearnSettings
from evoprompt.errors import ModelError
from evoprompt.learn.adapter_files import WEIGHTS, write_adapter
from evoprompt.learn.likelihood import Row, reply_log_probabilities

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VIRTUAL_TOKENS = 16  # EvoPrompting (arXiv 2302.14838), section 3.2


class TunedModel:
    """A base with one trainable adapter; everything else is frozen and without dropout."""

    def __init__(self, peft: PeftModel, is_fresh: bool) -> None:
        self._peft = peft
        self._is_soft = peft.active_peft_config.is_prompt_learning
        self._is_fresh = is_fresh
        self._peft.eval()

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained."""
        return [p for p in self._peft.parameters() if p.requires_grad]

    def reference(self, rows: Sequence[Row]) -> Tensor:
        """(N,) log-probabilities before any training; only to be asked before the first step.

        That is the base's, or the adapter's that is trained further. A fresh LoRA changes nothing
        yet; a fresh soft prompt does, so the base is asked without it.
        """
        with torch.no_grad():
            if self._is_soft and self._is_fresh:
                return reply_log_probabilities(self._peft.get_base_model(), rows)
            return self.log_probabilities(rows)

    def log_probabilities(self, rows: Sequence[Row]) -> Tensor:
        """(N,) log-probability of each reply, in the order of rows and replies."""
        if not self._is_soft:
            return reply_log_probabilities(self._peft, rows)
        soft_PE = _soft_prompt(self._peft)
        return reply_log_probabilities(self._peft.get_base_model(), rows, soft_PE)

    def state(self) -> dict[str, Tensor]:
        """A copy of the adapter's weights."""
        found = get_peft_model_state_dict(self._peft)
        return {name: tensor.detach().clone() for name, tensor in found.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to earlier weights."""
        set_peft_model_state_dict(self._peft, state)

    def write(self, fingerprint: str, folder: Path) -> str:
        """Write the adapter; returns the SHA-256 of its weights; raises StorageError."""
        return write_adapter(self._peft, fingerprint, folder)


def fresh(base: Path, settings: LearnSettings, seed: int) -> TunedModel:
    """The base with a new adapter of the kind that the method trains."""
    model = load_base(base)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if settings.method != "soft_prompt":
            lora = get_peft_model(model, _lora(model, settings.rank))
            return TunedModel(_peft(lora), is_fresh=True)
        config = PromptTuningConfig(num_virtual_tokens=VIRTUAL_TOKENS, task_type="CAUSAL_LM")
        tuned = _peft(get_peft_model(model, config))
        _begin_with_words(model, tuned)
    return TunedModel(tuned, is_fresh=True)


def gone_on_from(base: Path, start: Path, settings: LearnSettings) -> TunedModel:
    """The base with an earlier adapter, to be trained further.

    Raises:
        ModelError: It does not load, or is not of the kind that the method trains.
    """
    try:
        config = PeftConfig.from_pretrained(str(start))
        weights = load_file(start / WEIGHTS)
        config.inference_mode = False
        tuned = _peft(get_peft_model(load_base(base), config))
        set_peft_model_state_dict(tuned, weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"{start}: the adapter does not load ({first}). Expected one that was tuned from this "
            "base. Take another one, or start without --proposer.adapter."
        ) from error
    is_soft = config.is_prompt_learning
    if is_soft != (settings.method == "soft_prompt"):
        held, wanted = ("a soft prompt", "LoRA weights")[:: 1 if is_soft else -1]
        raise ModelError(
            f"{start}: {held}, which the method {settings.method} does not train. Expected "
            f"{wanted}. Change --learn.method, or start without --proposer.adapter."
        )
    return TunedModel(tuned, is_fresh=False)


def load_base(folder: Path) -> Any:
    """The base model of a checked folder: float32 on the CPU, bfloat16 on a GPU."""
    is_gpu = torch.cuda.is_available()
    hub_logging.disable_progress_bar()  # whoever tunes shows their own progress
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16 if is_gpu else torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    return model.to(torch.device("cuda" if is_gpu else "cpu"))


def _lora(model: torch.nn.Module, rank: int) -> LoraConfig:
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    targets = [name for name in TARGETS if name in names]
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=targets or "all-linear",
        task_type="CAUSAL_LM",
    )


def _begin_with_words(model: Any, tuned: PeftModel) -> None:
    """Let the soft prompt begin as embeddings of random tokens (Lester, arXiv 2104.08691)."""
    words_VE = model.get_input_embeddings().weight
    with torch.no_grad():
        _soft_prompt(tuned).copy_(words_VE[torch.randint(len(words_VE), (VIRTUAL_TOKENS,))])


def _soft_prompt(tuned: PeftModel) -> Tensor:
    """(P, E) the embeddings of the virtual tokens, as they are trained."""
    encoder: Any = tuned.prompt_encoder[str(tuned.active_adapter)]
    return encoder.embedding.weight


def _peft(model: Any) -> PeftModel:
    if not isinstance(model, PeftModel):
        raise TypeError(f"peft returned {type(model).__name__}")
    return model
