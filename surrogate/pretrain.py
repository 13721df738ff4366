"""Teaches an encoder without labels: from the text of a graph to sizes, depth, memory and counts.

In: texts, and if there are any, further columns per text that need no training either (zero-cost
proxies); out: an encoder and the projection of its vectors that the regression uses. One thread.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.stats import norm, rankdata
from torch.nn.functional import smooth_l1_loss

from surrogate.features import graph_features
from surrogate.model import Encoder, EncoderSettings, collate, embed
from surrogate.parse import parse

BATCH_SIZE = 32
LEARNING_RATE = 2e-3
WARMUP = 100  # steps
HELD_OUT = 0.05
PROJECTED = 32  # principal components of the vectors
PROXY_WEIGHT = 2.0  # proxies teach more than sizes: facts.md, "The predictor"


def pretrain(
    texts: Sequence[str],
    proxies: np.ndarray | None,
    minutes: float,
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> tuple[Encoder, dict[str, np.ndarray]]:
    """Return an encoder and how to use its vectors: `mean`, `basis`, the features' `spread`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    graphs = [parse(text) for text in texts]
    features = np.stack([graph_features(graph) for graph in graphs])
    sizes = features[:, [len(np.unique(column)) > 4 for column in features.T]]
    columns = sizes if proxies is None else np.hstack([sizes, proxies])
    weights = np.ones(columns.shape[1])
    if proxies is not None:
        weights[sizes.shape[1] :] = PROXY_WEIGHT * sizes.shape[1] / proxies.shape[1] / 2
    targets = torch.tensor(np.stack([_normal(c) for c in columns.T], 1), dtype=torch.float32)
    weight_T = torch.tensor(weights / weights.mean(), dtype=torch.float32)
    order = rng.permutation(len(graphs))
    held, kept = np.split(order, [max(1, int(HELD_OUT * len(graphs)))])
    lengths = np.array([len(graph.lines) for graph in graphs])
    encoder = Encoder(EncoderSettings(targets=targets.shape[1]))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    start, step, epoch = time.monotonic(), 0, 0
    while time.monotonic() - start < 60 * minutes:
        for chosen in _batches(kept, lengths, rng):
            share = (time.monotonic() - start) / (60 * minutes)
            rate = LEARNING_RATE * min(1.0, (step + 1) / WARMUP) * max(0.02, 1 - share)
            for group in optimizer.param_groups:
                group["lr"] = rate
            predicted = encoder.predict(encoder(collate([graphs[i] for i in chosen])))
            error_BT = smooth_l1_loss(predicted, targets[chosen], reduction="none")
            loss = (error_BT * weight_T).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()
            step += 1
            if share >= 1:
                break
        epoch += 1
    report(f"{epoch} epochs, {step} steps, " + _explained(encoder, graphs, targets, held, sizes))
    found = projection(embed(encoder.eval(), [texts[int(i)] for i in kept]))
    return encoder, {**found, "spread": features.std(0)}


def _normal(column: np.ndarray) -> np.ndarray:
    """A column as normal scores of its ranks."""
    return norm.ppf((rankdata(column) - 0.5) / len(column))


def _batches(kept: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of similar lengths, in random order."""
    noisy = lengths[kept] * rng.uniform(0.85, 1.15, len(kept))
    order = kept[np.argsort(noisy)]
    batches = [order[i : i + BATCH_SIZE] for i in range(0, len(order), BATCH_SIZE)]
    return [batches[i] for i in rng.permutation(len(batches))]


@torch.inference_mode()
def _explained(
    encoder: Encoder, graphs: list, targets: torch.Tensor, held: np.ndarray, sizes: np.ndarray
) -> str:
    """Explained variance on held-out graphs: mean over the sizes, then each proxy."""
    predicted = encoder.predict(encoder(collate([graphs[i] for i in held])))
    truth = targets[held]
    share = 1 - (predicted - truth).var(0) / truth.var(0).clamp_min(1e-6)
    proxies = " ".join(f"{value:.2f}" for value in share[sizes.shape[1] :])
    return f"explained: sizes {share[: sizes.shape[1]].mean():.2f}, proxies {proxies or '-'}"


def projection(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Principal components of the vectors, scaled so that their total variance is one per graph."""
    mean = vectors.mean(0)
    scale = vectors.std(0) + 1e-6
    _, values, basis = np.linalg.svd((vectors - mean) / scale, full_matrices=False)
    kept = basis[:PROJECTED]
    signs = np.sign(kept[np.arange(len(kept)), np.abs(kept).argmax(1)])
    total = np.sqrt((values[:PROJECTED] ** 2).sum() / len(vectors))
    return {"mean": mean, "basis": (kept * signs[:, None] / scale / total).T}
