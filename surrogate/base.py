"""What a predictor knows before any label: frozen encoders and how the regression uses them.

In: texts; out: one vector per text: the encoders' vectors and what they predict of sizes and
proxies, side by side, scaled to total variance one and rotated to their principal components.
Vectors are kept: a search asks for the same texts again and again.
Axes: N texts, P principal components.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from surrogate.graph_features import FEATURES
from surrogate.model import BATCH_POSITIONS, Encoder, EncoderSettings, batches, collate, head_bias
from surrogate.positions import Positions
from surrogate.reading import reading

PROJECTED = 64  # principal components that are kept


class VectorSource(Protocol):
    """Where the vectors of texts come from: our encoders, or one of Hugging Face."""

    @property
    def digest(self) -> str:
        """Names the weights."""
        ...

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, (N, P), of total variance about one."""
        ...

    @property
    def feature_mean(self) -> np.ndarray:
        """Mean of each graph feature over the corpus."""
        ...

    @property
    def feature_spread(self) -> np.ndarray:
        """Standard deviation of each graph feature over the corpus."""
        ...


@dataclass(frozen=True)
class Base:
    """Frozen encoders and the projection of their vectors."""

    encoders: tuple[Encoder, ...]
    projection: dict[str, np.ndarray]
    """`mean` and `basis` of the vectors; `centre` and `spread` of the corpus' graph features."""
    digest: str
    batch_positions: int = BATCH_POSITIONS
    known: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def feature_mean(self) -> np.ndarray:
        """Mean of each graph feature over the corpus."""
        return self.projection["centre"]

    @property
    def feature_spread(self) -> np.ndarray:
        """Standard deviation of each graph feature over the corpus."""
        return self.projection["spread"]

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Projected vectors of texts, (N, P)."""

        def raw(fresh: Sequence[str]) -> np.ndarray:
            graphs = [reading(text).positions for text in fresh]
            return raw_vectors(self.encoders, graphs, self.batch_positions)

        return projected(texts, self.known, self.projection, raw)

    def tensors(self) -> dict[str, np.ndarray]:
        """Everything as named arrays."""
        projection = {f"projection.{k}": v for k, v in self.projection.items()}
        return tensors_of(self.encoders, "encoder") | projection


def tensors_of(encoders: Sequence[Encoder], kind: str) -> dict[str, np.ndarray]:
    """The weights of encoders as named arrays, `kind` and a number before each name."""
    return {
        f"{kind}{number}.{name}": value.numpy()
        for number, encoder in enumerate(encoders)
        for name, value in encoder.state_dict().items()
    }


def encoders_of(
    tensors: Mapping[str, np.ndarray], settings: Sequence[dict], kind: str
) -> tuple[Encoder, ...]:
    """The way back, frozen; TypeError, RuntimeError or ValueError where they do not fit."""
    encoders = []
    for number, each in enumerate(settings):
        encoder = Encoder(EncoderSettings(**each))
        weights = _named(tensors, f"{kind}{number}.")
        encoder.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
        encoders.append(encoder.eval().requires_grad_(False))
    return tuple(encoders)


def _named(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def projected(
    texts: Sequence[str],
    known: dict[str, np.ndarray],
    projection: Mapping[str, np.ndarray],
    raw: Callable[[Sequence[str]], np.ndarray],
) -> np.ndarray:
    """Projected vectors, (N, P); those that are not known yet are made by `raw` and kept."""
    fresh = [text for text in dict.fromkeys(texts) if text not in known]
    if fresh:
        for text, row in zip(fresh, raw(fresh) - projection["mean"], strict=True):
            known[text] = row @ projection["basis"]  # all at once the last bits would differ
    return np.stack([known[text] for text in texts])


@torch.inference_mode()
def raw_vectors(
    encoders: Sequence[Encoder], graphs: Sequence[Positions], positions: int = BATCH_POSITIONS
) -> np.ndarray:
    """Each encoder's vector and what it predicts, side by side, batched by length."""
    found: list[np.ndarray | None] = [None] * len(graphs)
    for chosen in batches([len(graph) for graph in graphs], positions):
        batch = collate([graphs[i] for i in chosen])
        parts, biases = [], {}
        for encoder in encoders:
            heads = encoder.settings.heads
            if heads not in biases:
                biases[heads] = head_bias(batch, heads)
            vectors = encoder(batch, biases[heads])
            parts += [vectors, encoder.predict(vectors)]
        rows = torch.cat(parts, dim=1).double().numpy()
        for index, row in zip(chosen, rows, strict=True):
            found[index] = row
    return np.stack([row for row in found if row is not None])


def projection_of(
    encoders: Sequence[Encoder], graphs: Sequence[Positions], features: np.ndarray
) -> dict[str, np.ndarray]:
    """Principal components of the corpus' vectors, scaled to total variance one.

    Vectors and predictions count the same, however many columns they have.
    """
    raw = raw_vectors(encoders, graphs)
    widths = [w for e in encoders for w in (2 * e.settings.width, e.settings.targets)]
    weights = np.concatenate([np.full(width, width**-0.5) for width in widths])
    scale = weights / (raw.std(0) + 1e-6)
    values, basis = np.linalg.eigh(np.cov(((raw - raw.mean(0)) * scale).T))
    kept = np.argsort(values)[::-1][:PROJECTED]
    return {
        "mean": raw.mean(0),
        "basis": scale[:, None] * basis[:, kept] / np.sqrt(values[kept].sum()),
        "centre": features.mean(0),
        "spread": features.std(0),
    }


def make_base(
    encoders: tuple[Encoder, ...],
    projection: dict[str, np.ndarray],
    batch_positions: int = BATCH_POSITIONS,
) -> Base:
    """Freeze encoders and name them by their content."""
    base = Base(encoders, projection, "")
    tensors = sorted(base.tensors().items())
    content = b"".join(np.ascontiguousarray(tensor).tobytes() for _, tensor in tensors)
    return Base(encoders, projection, hashlib.sha256(content).hexdigest(), batch_positions)


def base_from(
    tensors: dict[str, np.ndarray], settings: Sequence[dict], batch_positions: int = BATCH_POSITIONS
) -> Base:
    """Build encoders from named arrays; KeyError, TypeError, RuntimeError or ValueError if not."""
    encoders = encoders_of(tensors, settings, "encoder")
    projection = _named(tensors, "projection.")
    if not encoders or set(projection) != {"mean", "basis", "centre", "spread"}:
        raise KeyError("projection")
    if len(projection["spread"]) != FEATURES:
        raise ValueError(f"{len(projection['spread'])} graph features instead of {FEATURES}")
    return make_base(encoders, projection, batch_positions)
