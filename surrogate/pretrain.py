"""Teaches encoders without labels: from the text of a graph to its sizes and zero-cost proxies.

In: texts, and beside them columns that need no training (proxies; a missing one is NaN); out: a
`Base`: frozen encoders and the projection of their vectors that the regression uses. Every column
becomes normal scores; each proxy is asked for once more with what sizes explain taken out, so that
the encoders learn what sizes do not say. One thread.
Axes: B texts of a batch, T targets.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.stats import norm, rankdata
from torch.nn.functional import smooth_l1_loss

from surrogate.base import Base, make_base, projection_of
from surrogate.graph_features import GRAPH_FEATURES, features_of
from surrogate.model import Encoder, EncoderSettings, collate
from surrogate.positions import Positions
from surrogate.reading import reading
from surrogate.unfolded import unfolded

BATCH_SIZE = 32
LEARNING_RATE = 2e-3
WARMUP = 100  # steps
HELD_OUT = 0.05
ENCODERS = 2
LONGEST = 200  # positions of a text; few are longer, and they cost most of the time
PROXY_WEIGHT = 2.0  # all proxies together against all sizes
FEWEST_DISTINCT = 5  # values of a column worth predicting
RIDGE = 1e-3


def pretrain(
    texts: Sequence[str],
    proxies: Mapping[str, np.ndarray] | None,
    minutes: float,
    seed: int = 0,
    report: Callable[[str], None] = print,
    settings: EncoderSettings | None = None,
    encoders: int = ENCODERS,
    with_paths: bool = True,
) -> Base:
    """Return frozen encoders, each trained for its share of the minutes.

    Minutes are those of the processor, so that a busy machine makes no worse encoders.

    Args:
        texts: Graphs as `encode` writes them.
        proxies: Columns beside them that need no training.
        minutes: Of the processor, for all encoders together.
        seed: Decides weights at the start and the order of the texts.
        report: Told what was done.
        settings: The size of an encoder; its targets follow from the columns.
        encoders: How many.
        with_paths: Whether what paths hold is asked for too; the regression sees it anyway.
    """
    readings = [reading(text) for text in texts]
    short = [i for i, each in enumerate(readings) if len(each.positions) <= LONGEST]
    if len(short) < len(texts):
        report(f"{len(texts) - len(short)} texts of more than {LONGEST} positions are left out")
    graphs = [readings[i].positions for i in short]
    features = features_of([readings[i] for i in short], unfolded([readings[i] for i in short]))
    columns = {name: np.asarray(column)[short] for name, column in (proxies or {}).items()}
    targets_NT, weight_T = targets_of(
        features if with_paths else features[:, :GRAPH_FEATURES], columns
    )
    found = []
    for number in range(encoders):
        rng = np.random.default_rng([seed, number])
        torch.manual_seed(int(rng.integers(2**31)))
        chosen = EncoderSettings() if settings is None else settings
        chosen = EncoderSettings(chosen.width, chosen.heads, chosen.layers, targets_NT.shape[1])
        encoder = Encoder(chosen)
        said = _train(encoder, graphs, targets_NT, weight_T, 60 * minutes / encoders, rng)
        report(f"encoder {number + 1} of {encoders}: {said}")
        found.append(encoder.eval().requires_grad_(False))
    return make_base(tuple(found), projection_of(found, graphs, features))


def targets_of(
    sizes: np.ndarray, proxies: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores of every column, and how much each one counts, mean one."""
    asked = [scores(c) for c in sizes.T if len(np.unique(c)) >= FEWEST_DISTINCT]
    columns = list(asked)
    for column in proxies.values():
        usual = scores(np.asarray(column, float))
        columns += [usual, scores(_unexplained(usual, np.stack(asked, 1)))]
    weights = np.ones(len(columns))
    if proxies:
        weights[len(asked) :] = PROXY_WEIGHT * len(asked) / (2 * len(proxies))
    return np.stack(columns, 1), weights / weights.mean()


def scores(column: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks; NaN stays NaN."""
    known = np.isfinite(column)
    found = np.full(len(column), np.nan)
    found[known] = norm.ppf((rankdata(column[known]) - 0.5) / max(1, known.sum()))
    return found


def _unexplained(column: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """What a ridge regression on the sizes and their squares leaves."""
    known = np.isfinite(column)
    terms = np.hstack([sizes, sizes**2, np.ones((len(sizes), 1))])[known]
    gram = terms.T @ terms + RIDGE * len(terms) * np.eye(terms.shape[1])
    rest = np.full(len(column), np.nan)
    rest[known] = column[known] - terms @ np.linalg.solve(gram, terms.T @ column[known])
    return rest


def _train(
    encoder: Encoder,
    graphs: Sequence[Positions],
    targets_NT: np.ndarray,
    weight_T: np.ndarray,
    seconds: float,
    rng: np.random.Generator,
) -> str:
    """Train for so long; says how much of each held-out column is explained."""
    known_NT = torch.tensor(np.isfinite(targets_NT), dtype=torch.float32)
    wanted_NT = torch.tensor(np.nan_to_num(targets_NT), dtype=torch.float32)
    weight_NT = known_NT * torch.tensor(weight_T, dtype=torch.float32)
    order = rng.permutation(len(graphs))
    held, kept = np.split(order, [max(1, int(HELD_OUT * len(graphs)))])
    lengths = np.array([len(graph) for graph in graphs])
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=LEARNING_RATE, weight_decay=0.01, fused=True
    )
    start, step, epoch, share = time.process_time(), 0, 0, 0.0
    while share < 1:
        for chosen in batches(kept, lengths, rng):
            share = (time.process_time() - start) / seconds
            if share >= 1:
                break
            rate = LEARNING_RATE * min(1.0, (step + 1) / WARMUP) * max(0.02, 1 - share)
            for group in optimizer.param_groups:
                group["lr"] = rate
            predicted_BT = encoder.predict(encoder(collate([graphs[i] for i in chosen])))
            error_BT = smooth_l1_loss(predicted_BT, wanted_NT[chosen], reduction="none")
            loss = (error_BT * weight_NT[chosen]).sum() / known_NT[chosen].sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()
            step += 1
        epoch += 1
    return f"{epoch} epochs, {step} steps, " + _explained(encoder, graphs, targets_NT, held)


def batches(kept: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of similar lengths, in random order."""
    noisy = lengths[kept] * rng.uniform(0.85, 1.15, len(kept))
    order = kept[np.argsort(noisy)]
    groups = [order[i : i + BATCH_SIZE] for i in range(0, len(order), BATCH_SIZE)]
    return [groups[i] for i in rng.permutation(len(groups))]


@torch.inference_mode()
def _explained(
    encoder: Encoder, graphs: Sequence[Positions], targets_NT: np.ndarray, held: np.ndarray
) -> str:
    """Median share of a target's variance that is explained on held-out texts."""
    encoder.eval()
    predicted = []
    for first in range(0, len(held), BATCH_SIZE):
        batch = collate([graphs[i] for i in held[first : first + BATCH_SIZE]])
        predicted.append(encoder.predict(encoder(batch)).numpy())
    encoder.train()
    rest_T = np.nanvar(np.concatenate(predicted) - targets_NT[held], axis=0)
    share_T = 1 - rest_T / np.maximum(np.nanvar(targets_NT[held], axis=0), 1e-9)
    low, middle = np.quantile(share_T, [0.1, 0.5])
    return f"of held-out targets it explains {middle:.0%} (median; a tenth below {low:.0%})"
