"""Batches for the built-in model: one parent and several branches in a row.

In: examples of the corpus. Out: padded tokens with positions, roles and an attention mask. A branch
sees the parent and itself, not its neighbours, so that a parent is read once for all its edits.
Not promised: every branch; one that would make its row longer than `ROW_LIMIT` is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evoprompt.propose.builtin_corpus import Example, examples
from evoprompt.propose.builtin_optimizer import HAS_BFLOAT16

# Axes: B rows, T tokens of a row, S the same tokens as keys, N labels, V vocabulary.
ROW_LIMIT = 1000  # tokens of a row; longer branches are left out
BRANCHES = 10
POOL = 48  # examples that are sorted by length before they are batched
PARENT, PROMPT, REPLY = 1, 0, 2  # what a token is for the loss
Row = tuple[list[int], list[int], list[int], list[int]]
"""Tokens, positions, roles and branches (0 the parent, 1.. its branches)."""


@dataclass(frozen=True)
class Batch:
    """Rows of equal length, padded on the right."""

    tokens_BT: Tensor
    positions_BT: Tensor
    mask_B1TS: Tensor
    role_BT: Tensor
    """PARENT, PROMPT or REPLY."""
    branch_BT: Tensor
    """0 the parent, 1.. its branches, -1 padding."""


def _rows(corpus: Iterator[Example], tokenizer: PreTrainedTokenizerFast) -> list[Row]:
    """(tokens, positions, roles, branches) of one pool of examples, shortest first.

    An exercise is a branch like the edits.
    """
    pool = list(islice(corpus, POOL))
    parents = tokenizer([e.parent_view for e in pool])["input_ids"]
    texts = [[*((b.prompt_end, b.reply) for b in e.branches), *e.exercises] for e in pool]
    ends, answers = zip(*(pair for pairs in texts for pair in pairs), strict=True)
    prompts = tokenizer(list(ends), add_special_tokens=False)["input_ids"]
    replies = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    pairs = iter(zip(prompts, replies, strict=True))
    rows = []
    for example, own, parent in zip(pool, texts, parents, strict=True):
        start = len(parent)
        tokens, positions = list(parent), list(range(start))
        # The language of a parent is learned too, but not of one that nobody should write.
        roles, ids = [PARENT if example.is_of_grammar else PROMPT] * start, [0] * start
        for number, (prompt, reply) in enumerate(islice(pairs, len(own)), 1):
            length = len(prompt) + len(reply)
            if len(tokens) + length > ROW_LIMIT:
                continue
            tokens += prompt + reply
            positions += range(start, start + length)
            roles += [PROMPT] * len(prompt) + [REPLY] * len(reply)
            ids += [number] * length
        rows.append((tokens, positions, roles, ids))
    return sorted(rows, key=lambda row: len(row[0]))


def batch_of(rows: list[Row]) -> Batch:
    """Rows side by side; a branch sees the parent and itself."""
    length = max(len(row[0]) for row in rows)

    def padded(place: int, filler: int) -> Tensor:
        return torch.tensor([row[place] + [filler] * (length - len(row[place])) for row in rows])

    branch_BT = padded(3, -1)
    shared = (branch_BT[:, None, :] == 0) | (branch_BT[:, None, :] == branch_BT[:, :, None])
    causal_TS = torch.ones(length, length, dtype=torch.bool).tril()
    mask_B1TS = (shared & causal_TS)[:, None]
    return Batch(padded(0, 0), padded(1, 0), mask_B1TS, padded(2, PROMPT), branch_BT)


def batches(seed: int, tokenizer: PreTrainedTokenizerFast, batch_tokens: int) -> Iterator[Batch]:
    """Batches of about `batch_tokens` tokens, without end."""
    rng, corpus = Random(seed), examples(seed, BRANCHES)
    while True:
        groups: list[list[Row]] = [[]]
        for row in _rows(corpus, tokenizer):
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > batch_tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from map(batch_of, groups)


def label_losses(model: LlamaForCausalLM, batch: Batch, wanted_BT: Tensor) -> Tensor:
    """(N,) minus the log chance of each token that is wanted, given those before it.

    `wanted_BT` is one shorter than the rows: their first tokens are never labels.
    """
    device = model.device
    with torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=HAS_BFLOAT16 or device.type == "cuda"
    ):
        hidden_BTE = model.model(
            input_ids=batch.tokens_BT.to(device),
            position_ids=batch.positions_BT.to(device),
            attention_mask=batch.mask_B1TS.to(device),
        ).last_hidden_state[:, :-1]
        logits_NV = model.lm_head(hidden_BTE[wanted_BT.to(device)])
    labels_N = batch.tokens_BT[:, 1:][wanted_BT].to(device)
    return F.cross_entropy(logits_NV.float(), labels_N, reduction="none")
