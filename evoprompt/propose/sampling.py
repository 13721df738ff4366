"""Batched sampling from a causal language model: the prefix once per prompt, finished rows dropped.

In: prompts as token ids, each with temperature, nucleus, count and seed. Out: each reply's tokens.
Every row draws its uniform numbers beforehand from its prompt's own generator, so nothing global is
read or moved and a row's draws do not depend on its neighbours.
Not promised: equal bits in batches of another composition; padding changes last digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from evoprompt.propose.addresses import NOWHERE, AddressMask, AddressTokens, Places
from evoprompt.propose.roomy_cache import roomy_cache

# Axes: P prompts, T tokens, B rows (samples still being written), V vocabulary, K best tokens,
# S tokens of a soft prompt, E features of a token.
BEST = 1024  # tokens considered at each step, the whole vocabulary of the built-in model
DROP_SHARE = (
    0.75  # rows are dropped once no more than this share is alive; each drop copies the cache
)


@dataclass(frozen=True)
class Draw:
    """One prompt and how its replies are drawn."""

    tokens: list[int]
    temperature: float
    top_p: float
    count: int
    seed: int
    max_tokens: int
    places: Places = NOWHERE
    """For the address rule: the lines that replies may name."""


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    draws: Sequence[Draw],
    end_tokens: Sequence[int],
    addresses: AddressTokens | None = None,
    soft_SE: Tensor | None = None,
) -> list[list[list[int]]]:
    """The tokens of `count` replies to each draw, with the end token where one was written.

    `soft_SE`: embeddings of virtual tokens that stand before every prompt.
    """
    rows = _Rows(draws, torch.tensor(list(end_tokens)), addresses)
    mask_BT, position_B, logits_BV, cache = _prefix(model, draws, rows.prompt_B, soft_SE)
    device = model.device
    while True:
        token_B, keep = rows.add(logits_BV.cpu())
        if not len(keep):
            return rows.replies(draws)
        if len(keep) < len(mask_BT):
            on_device = keep.to(device)
            cache.reorder_cache(on_device)  # pyright: ignore[reportArgumentType]
            mask_BT, position_B = mask_BT[on_device], position_B[on_device]
        position_B = position_B + 1
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], dim=1)
        logits_BV = model(
            input_ids=token_B.to(device)[:, None],
            attention_mask=mask_BT,
            position_ids=position_B[:, None],
            past_key_values=cache,
        ).logits[:, -1]


def _prefix(
    model: PreTrainedModel, draws: Sequence[Draw], prompt_B: Tensor, soft_SE: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, DynamicCache]:
    """One forward over the prompts, padded on the left, then one row per sample."""
    virtual = 0 if soft_SE is None else len(soft_SE)
    length = virtual + max(len(draw.tokens) for draw in draws)
    padding = [length - virtual - len(draw.tokens) for draw in draws]
    token_PT = torch.tensor(
        [[0] * (n + virtual) + d.tokens for n, d in zip(padding, draws, strict=True)]
    )
    mask_PT = torch.tensor([[0] * n + [1] * (length - n) for n in padding])
    position_PT = (mask_PT.cumsum(1) - 1).clamp(min=0)
    device = model.device
    cache = roomy_cache(model.config)
    inputs = {"input_ids": token_PT.to(device)}
    if soft_SE is not None:
        token_PTE = model.get_input_embeddings()(token_PT.to(device))
        for row, first in enumerate(padding):
            token_PTE[row, first : first + virtual] = soft_SE
        inputs = {"inputs_embeds": token_PTE}
    logits_PV = model(
        **inputs,
        attention_mask=mask_PT.to(device),
        position_ids=position_PT.to(device),
        past_key_values=cache,
        logits_to_keep=1,
    ).logits[:, -1]
    rows = prompt_B.to(device)
    cache.reorder_cache(rows)  # pyright: ignore[reportArgumentType]
    mask_BT = mask_PT.to(device)[rows]
    return mask_BT, position_PT.to(device)[rows, -1], logits_PV[rows], cache


class _Rows:
    """The replies being written, and which of them are still in the batch."""

    def __init__(
        self, draws: Sequence[Draw], end_tokens: Tensor, addresses: AddressTokens | None
    ) -> None:
        counts = torch.tensor([draw.count for draw in draws])
        self.prompt_B = torch.arange(len(draws)).repeat_interleave(counts)
        self._end_tokens = end_tokens
        self._uniforms = _uniforms(draws)
        self._written: list[list[int]] = [[] for _ in self.prompt_B]
        self._reply_B = torch.arange(len(self.prompt_B))  # where in `_written` a row belongs
        self._is_done_B = torch.zeros(len(self.prompt_B), dtype=torch.bool)

        def per_row(values: list) -> Tensor:
            return torch.tensor(values)[self.prompt_B]

        self._temperature_B = per_row([float(draw.temperature) for draw in draws])
        self._top_p_B = per_row([float(draw.top_p) for draw in draws])
        self._limit_B = per_row([draw.max_tokens for draw in draws])
        places_B = [draws[prompt].places for prompt in self.prompt_B.tolist()]
        self._mask = AddressMask(addresses, places_B) if addresses else None
        self._step = 0

    def add(self, logits_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Draw one token for each row; returns the tokens and places of the rows that go on."""
        if self._mask:
            logits_BV = logits_BV.masked_fill(self._mask.forbidden(), float("-inf"))
        uniform_B = self._uniforms[self._reply_B, self._step]
        token_B = _drawn(logits_BV, self._temperature_B, self._top_p_B, uniform_B)
        self._step += 1
        drawn = zip(self._reply_B.tolist(), token_B.tolist(), self._is_done_B.tolist(), strict=True)
        for reply, token, is_done in drawn:
            if not is_done:
                self._written[reply].append(token)
        if self._mask:
            self._mask.add(token_B)
        ended_B = torch.isin(token_B, self._end_tokens) | (self._limit_B <= self._step)
        self._is_done_B = self._is_done_B | ended_B
        return self._dropped(token_B)

    def _dropped(self, token_B: Tensor) -> tuple[Tensor, Tensor]:
        keep = (~self._is_done_B).nonzero()[:, 0]
        if len(keep) > DROP_SHARE * len(token_B):
            return token_B, torch.arange(len(token_B))
        for name in ("_reply_B", "_is_done_B", "_temperature_B", "_top_p_B", "_limit_B"):
            setattr(self, name, getattr(self, name)[keep])
        if self._mask:
            self._mask.keep(keep)
        return token_B[keep], keep

    def replies(self, draws: Sequence[Draw]) -> list[list[list[int]]]:
        """The written tokens, grouped by prompt."""
        written = iter(self._written)
        return [[next(written) for _ in range(draw.count)] for draw in draws]


def _uniforms(draws: Sequence[Draw]) -> Tensor:
    """(replies, longest reply): every draw of every row, from its prompt's own generator."""
    longest = max(draw.max_tokens for draw in draws)
    parts = []
    for draw in draws:
        generator = torch.Generator().manual_seed(draw.seed)
        drawn = torch.rand(draw.count, draw.max_tokens, generator=generator)
        parts.append(torch.nn.functional.pad(drawn, (0, longest - draw.max_tokens)))
    return torch.cat(parts)


def _drawn(logits_BV: Tensor, temperature_B: Tensor, top_p_B: Tensor, uniform_B: Tensor) -> Tensor:
    """One token per row: the inverse of the nucleus' cumulative distribution at `uniform_B`."""
    scaled_BV = logits_BV.float() / temperature_B[:, None]
    best_BK, token_BK = scaled_BV.topk(min(BEST, scaled_BV.shape[1]))
    share_BK = torch.softmax(best_BK, dim=1)
    before_BK = share_BK.cumsum(1) - share_BK
    share_BK = share_BK * (before_BK < top_p_B[:, None])
    cumulative_BK = share_BK.cumsum(1)
    wanted_B1 = uniform_B[:, None] * cumulative_BK[:, -1:]
    place_B1 = torch.searchsorted(cumulative_BK, wanted_B1, right=True)
    last_B1 = (share_BK > 0).sum(1, keepdim=True) - 1
    return token_BK.gather(1, torch.minimum(place_B1, last_B1))[:, 0]
