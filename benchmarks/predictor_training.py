"""Trains a network on labels alone, for the rows that are networks without pre-training.

In: a module that scores a batch, and a function that makes the batch of some networks; out: the
scores of the tested ones. AdamW, one cycle of the rate, one thread. Only the order of the labels is
learned.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from surrogate.ranking_loss import loss_of

RATE = 2e-3
WARMUP = 30  # steps
DECAY = 0.05
PREDICTED = 100  # networks scored at a time

Loss = Callable[[Tensor, Tensor], Tensor]
"""(scores of a batch, its labels as ranks in -1.73..1.73) to the loss."""


def margin_loss(scores_B: Tensor, ranks_B: Tensor) -> Tensor:
    """ONNX-Net's: a pair costs what its scores lack to be .1 apart in the right order."""
    difference_BB = scores_B[:, None] - scores_B[None]
    return torch.relu(0.1 - difference_BB[ranks_B[:, None] > ranks_B[None]]).mean()


def mixed_loss(scores_B: Tensor, ranks_B: Tensor) -> Tensor:
    """What our encoders are fine-tuned with."""
    return loss_of(scores_B, ranks_B, torch.zeros(len(ranks_B)))


def steps_for(labels: int) -> tuple[int, int]:
    """Steps and batch size."""
    return (500, 32) if labels >= 500 else (300, 16)


def fit_and_score(
    network: nn.Module,
    collate: Callable[[Sequence[int]], Any],
    accuracies: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    lengths: np.ndarray,
    loss: Loss,
    seed: int,
) -> np.ndarray:
    """Train on some networks and score others, of about one `length` at a time.

    The module is changed.
    """
    steps, batch_size = steps_for(len(train))
    rng = np.random.default_rng(seed)
    ranks = (rankdata(accuracies[train]) - 0.5) / len(train) * 2 - 1
    ranks_N = torch.tensor(ranks * 3**0.5, dtype=torch.float32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    network.train()
    order = np.zeros(0, int)
    for step in range(steps):
        if len(order) < min(batch_size, len(train)):
            order = rng.permutation(len(train))
        chosen, order = order[:batch_size], order[batch_size:]
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * (1 - 0.95 * step / steps)
        cost = loss(network(collate(train[chosen].tolist())), ranks_N[chosen])
        optimizer.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.eval()
    said = np.zeros(len(test))
    order = np.argsort(lengths[test])
    with torch.inference_mode():
        for first in range(0, len(test), PREDICTED):
            chosen = order[first : first + PREDICTED]
            said[chosen] = network(collate(test[chosen].tolist())).numpy()
    return said
