"""A soft prompt on disk: embeddings of virtual tokens that stand before every prompt.

In: the folder of a checked adapter. Out: the embeddings, or None where the adapter is LoRA. It is
peft's format (prompt tuning) and is read without peft, whose own forward takes no positions.
Not promised: that a model with learned absolute positions makes sense of it.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from evoprompt.errors import ModelError
from evoprompt.propose.model_files import ADAPTER_WEIGHTS

# Axes: P virtual tokens, E features of a token.
KIND = "PROMPT_TUNING"
TENSOR = "prompt_embeddings"


def read_soft_prompt(adapter: Path, model: PreTrainedModel) -> Tensor | None:
    """(P, E) the embeddings, in the model's precision and on its device; None for LoRA.

    Raises:
        ModelError: unreadable, or of another width than the model's.
    """
    try:
        if json.loads((adapter / "adapter_config.json").read_text())["peft_type"] != KIND:
            return None
        soft_PE = load_file(adapter / ADAPTER_WEIGHTS)[TENSOR]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{adapter}: the adapter does not load ({error}). Expected adapter_config.json with a "
            f"peft_type, and for a soft prompt the tensor {TENSOR}. Tune again, or take an older "
            "version."
        ) from error
    width = model.config.get_text_config().hidden_size
    if soft_PE.dim() != 2 or soft_PE.shape[1] != width or not torch.isfinite(soft_PE).all():
        raise ModelError(
            f"{adapter}: a soft prompt of shape {tuple(soft_PE.shape)}. Expected finite numbers, "
            f"{width} for each virtual token. Tune again, or take an older version."
        )
    return soft_PE.to(device=model.device, dtype=model.dtype)
