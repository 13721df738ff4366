"""The rows of the predictor's benchmark that are this project's predictor.

scratch         the encoder trained on the labels alone, as the plain transformer is
shipped         the built-in predictor, whose encoders saw the grammar's networks only
frozen          encoders taught by the unlabelled cells: their texts and the table's proxy columns
ours            the same, copies of the encoders fine-tuned on the labels where that pays
ours+proxies    `frozen` with the proxy columns of every cell as further inputs
Cells that share a class with a test cell teach nothing.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import nb201
import numpy as np
import torch
from predictor_space import Space
from predictor_store import Answer
from predictor_training import fit_and_score, mixed_loss
from scipy.stats import norm
from torch import Tensor, nn

from surrogate.model import Batch, Encoder, EncoderSettings, collate
from surrogate.pretrain import pretrain
from surrogate.reading import reading
from surrogate.score import Surrogate

ENCODERS = 4
"""Taught by the unlabelled cells; a search has two, and of two layers, for speed."""
LAYERS = 3


class Ranker(nn.Module):
    """The encoder with one score on top."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(EncoderSettings(layers=LAYERS, targets=1))

    def forward(self, batch: Batch) -> Tensor:
        """Scores of texts."""
        return self.encoder.predict(self.encoder(batch)).squeeze(-1)


def scratch(space: Space, train: np.ndarray, test: np.ndarray, seed: int) -> Answer:
    """The encoder without pre-training."""
    torch.manual_seed(seed)
    graphs = {int(i): reading(space.texts[i]).positions for i in (*train, *test)}

    def batch(indices: Sequence[int]) -> Batch:
        return collate([graphs[i] for i in indices])

    lengths = np.zeros(len(space.texts), int)
    lengths[list(graphs)] = [len(graph) for graph in graphs.values()]
    labels = space.accuracies
    return Answer(fit_and_score(Ranker(), batch, labels, train, test, lengths, mixed_loss, seed))


def predictor_row(
    space: Space,
    train: np.ndarray,
    test: np.ndarray,
    folder: Path | None,
    extra: np.ndarray | None = None,
    is_fine_tuned: bool = False,
) -> Answer:
    """What the predictor of a folder says after it has learned from the labels."""
    texts = [space.texts[i] for i in test]
    learned, asked = (None, None) if extra is None else (extra[train], extra[test])
    fitted = opened(folder).fit(
        [space.texts[i] for i in train], space.accuracies[train].tolist(), extra=learned
    )
    if is_fine_tuned:
        fitted = fitted.fine_tuned()
    said = fitted.predict(texts, level=0.9, extra=asked)
    return Answer(said.mean, said.low, said.high)


@lru_cache(maxsize=4)
def opened(folder: Path | None) -> Surrogate:
    """A predictor without labels; it keeps the vectors of the texts it has seen."""
    return Surrogate.load(folder)


def proxy_inputs(space: Space, pool: np.ndarray) -> np.ndarray:
    """The proxy columns as normal scores of their place among cells that are not tested."""
    columns = []
    for values in space.proxies.T:
        known = np.sort(values[pool])
        place = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
        columns.append(norm.ppf(np.clip(place / 2, 0.5, len(known) - 0.5) / len(known)))
    return np.stack(columns, 1)


def teach(
    space: Space,
    pool: np.ndarray,
    minutes: float,
    folder: Path,
    seed: int,
    names: Sequence[str] = nb201.PROXIES,
    encoders: int = ENCODERS,
    with_paths: bool = False,
) -> None:
    """Pre-train on the distinct texts of the pool, no label seen, and save it as a predictor.

    `names` are those of the space's proxy columns; a text of several cells gets their mean.
    """
    rows: dict[str, list[int]] = {}
    for index in pool:
        rows.setdefault(space.texts[index], []).append(int(index))
    columns = np.stack([space.proxies[of_text].mean(0) for of_text in rows.values()])
    proxies = dict(zip(names, columns.T, strict=True))
    base = pretrain(
        list(rows),
        proxies or None,
        minutes,
        seed,
        settings=EncoderSettings(layers=LAYERS),
        encoders=encoders,
        with_paths=with_paths,
    )
    Surrogate(base).save(folder)
