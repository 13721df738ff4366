"""How likely a model finds replies: a prompt and its replies share a row, so it is read once.

In: prompts and replies as token ids, and a soft prompt if there is one. Out: the log-probability of
each reply, with gradient. A row is `[padding | soft prompt | prompt | reply 1 | reply 2 | ...]`; a
block mask lets each reply see the prompts and itself, with positions that go on from the prompt.
Models with other than full attention get one reply per row. Not promised: bits equal to separate
rows; sums run in another order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Axes: B rows, T tokens of a row, S the same tokens as keys, R tokens behind the prompt, N replies,
# P tokens of the soft prompt, E features of a token.
PACKING_TYPES = ("llama", "qwen2", "qwen3")  # full attention that takes a mask of four dimensions
PROMPT, PADDING = 0, -1  # what a token is; 1.. are the replies of its row


@dataclass(frozen=True)
class Row:
    """A prompt with some of its replies, as token ids."""

    prompt: tuple[int, ...]
    replies: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Packed:
    """Rows as tensors."""

    token_BT: Tensor
    position_BT: Tensor
    block_BT: Tensor
    prompt_length: int
    """Columns of the prompt; replies begin there."""


def can_pack(config: object) -> bool:
    """Whether several replies may share a row with this model."""
    layer_types = getattr(config, "layer_types", None) or ["full_attention"]
    is_known = getattr(config, "model_type", "") in PACKING_TYPES
    return is_known and set(layer_types) == {"full_attention"}


def split(rows: Sequence[Row]) -> list[Row]:
    """The same replies, one per row, in the same order."""
    return [Row(row.prompt, (reply,)) for row in rows for reply in row.replies]


def pack(rows: Sequence[Row]) -> Packed:
    """Pad prompts on the left and replies on the right, so that all replies begin in one column."""
    prompt_length = max(len(row.prompt) for row in rows)
    reply_length = max(sum(map(len, row.replies)) for row in rows)
    tokens, positions, blocks = [], [], []
    for row in rows:
        start = len(row.prompt)
        left = prompt_length - start
        right = reply_length - sum(map(len, row.replies))
        written = [token for reply in row.replies for token in reply]
        places = [start + i for reply in row.replies for i in range(len(reply))]
        numbers = [n for n, reply in enumerate(row.replies, 1) for _ in reply]
        tokens.append([0] * left + [*row.prompt] + written + [0] * right)
        positions.append([0] * left + [*range(start)] + places + [0] * right)
        blocks.append([PADDING] * left + [PROMPT] * start + numbers + [PADDING] * right)
    return Packed(
        torch.tensor(tokens), torch.tensor(positions), torch.tensor(blocks), prompt_length
    )


def block_mask(block_BT: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, 1, T, S) added to the attention: 0 where a token is seen, else the smallest number."""
    length = block_BT.shape[1]
    query_BT1, key_B1S = block_BT[:, :, None], block_BT[:, None, :]
    is_earlier_TS = torch.ones(length, length, dtype=torch.bool).tril()
    is_seen = ((key_B1S == PROMPT) | (key_B1S == query_BT1)) & is_earlier_TS
    hidden = torch.full(is_seen.shape, torch.finfo(dtype).min, dtype=dtype)
    return hidden.masked_fill(is_seen, 0.0)[:, None]


def reply_log_probabilities(
    model: torch.nn.Module, rows: Sequence[Row], soft_PE: Tensor | None = None
) -> Tensor:
    """(N,) log-probability of each reply, in the order of rows and replies.

    Args:
        model: A causal language model; with a soft prompt it must take `inputs_embeds`.
        rows: Prompts with their replies.
        soft_PE: A soft prompt that stands before every prompt.
    """
    config = model.config  # pyright: ignore[reportAttributeAccessIssue]
    packs = can_pack(config)
    if not packs:
        rows = split(rows)
    if soft_PE is not None:
        rows = [Row((0,) * len(soft_PE) + row.prompt, row.replies) for row in rows]
    packed = pack(rows)
    parameter = next(model.parameters())
    device = parameter.device
    if packs:
        mask = block_mask(packed.block_BT, parameter.dtype)
    else:
        mask = (packed.block_BT != PADDING).long()
    reply_length = packed.token_BT.shape[1] - packed.prompt_length
    if soft_PE is None:
        inputs = {"input_ids": packed.token_BT.to(device)}
    else:
        inputs = {"inputs_embeds": _with_soft_prompt(model, packed, soft_PE)}
    logits_BRV = model(
        **inputs,
        position_ids=packed.position_BT.to(device),
        attention_mask=mask.to(device),
        use_cache=False,
        logits_to_keep=reply_length + 1,
    ).logits
    return _gathered(logits_BRV.float(), packed, rows)


def _with_soft_prompt(model: torch.nn.Module, packed: Packed, soft_PE: Tensor) -> Tensor:
    """(B, T, E) the tokens' embeddings, with the soft prompt's where its places are."""
    embedding = model.get_input_embeddings()  # pyright: ignore[reportCallIssue]
    token_BTE = embedding(packed.token_BT.to(soft_PE.device))
    is_soft_BT = (packed.block_BT == PROMPT) & (packed.position_BT < len(soft_PE))
    place_BT = packed.position_BT.clamp(max=len(soft_PE) - 1).to(soft_PE.device)
    soft_BTE = soft_PE[place_BT].to(token_BTE.dtype)
    return torch.where(is_soft_BT[:, :, None].to(soft_PE.device), soft_BTE, token_BTE)


def _gathered(logits_BRV: Tensor, packed: Packed, rows: Sequence[Row]) -> Tensor:
    """Sum over each reply's tokens; a reply's first token is foretold by the prompt's last one."""
    device = logits_BRV.device
    number_BR = packed.block_BT[:, packed.prompt_length :]
    token_BR = packed.token_BT[:, packed.prompt_length :]
    before_BR = packed.block_BT[:, packed.prompt_length - 1 : -1]
    column_BR = torch.arange(number_BR.shape[1])[None].expand_as(number_BR)
    source_BR = torch.where(number_BR == before_BR, column_BR, 0)
    counts = [len(row.replies) for row in rows]
    offsets_B1 = torch.tensor([sum(counts[:i]) for i in range(len(counts))])[:, None]
    is_reply_BR = number_BR != PADDING
    row_BR = torch.arange(len(rows))[:, None].expand_as(number_BR)
    rows_M, sources_M = row_BR[is_reply_BR].to(device), source_BR[is_reply_BR].to(device)
    logits_MV = logits_BRV[rows_M, sources_M]
    labels_M = token_BR[is_reply_BR].to(device)
    log_M = -torch.nn.functional.cross_entropy(logits_MV, labels_M, reduction="none")
    reply_M = (offsets_B1 + number_BR - 1)[is_reply_BR].to(device)
    return torch.zeros(sum(counts), device=device).index_add(0, reply_M, log_M)
