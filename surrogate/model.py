"""The encoder: a small transformer that reads the text of a graph and returns one vector.

One position per line. A quarter of the heads sees only what a line reads, a quarter only what reads
it, the rest everything: structure comes from the references in the text itself. The vector is the
state of a class position beside the mean over the lines.
Axes: B texts, L positions (class position first), H heads, D width, F line features, T targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from surrogate.features import LINE_FEATURES, TOKENS, VARIANTS, line_features, token
from surrogate.parse import Parsed, parse

POSITION_LIMIT = 512  # lines; a longer text keeps its first and last ones


@dataclass(frozen=True)
class EncoderSettings:
    """The size of an encoder; written beside its weights."""

    width: int = 128
    heads: int = 8
    layers: int = 3
    targets: int = 0
    """Columns that pre-training predicts."""


@dataclass(frozen=True)
class Batch:
    """Texts as tensors."""

    tokens_BL: Tensor
    variants_BL: Tensor
    features_BLF: Tensor
    reads_BLL: Tensor
    """True where the row's line reads the column's, or is the same."""
    exists_BL: Tensor


class Layer(nn.Module):
    """One transformer layer, normalised first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)
        self.norm_mix = nn.LayerNorm(width)
        self.mix = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x_BLD: Tensor, mask_BHLL: Tensor) -> Tensor:
        """Return the next state of every position."""
        B, L, D = x_BLD.shape
        qkv = self.project_in(self.norm_attention(x_BLD))
        q, k, v = qkv.view(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(q, k, v, attn_mask=mask_BHLL)
        x_BLD = x_BLD + self.project_out(seen.transpose(1, 2).reshape(B, L, D))
        return x_BLD + self.mix(self.norm_mix(x_BLD))


class Encoder(nn.Module):
    """Texts to vectors; `predict` is used by pre-training only."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.operator = nn.Embedding(TOKENS, width)
        self.variant = nn.Embedding(VARIANTS, width)
        self.sizes = nn.Sequential(
            nn.Linear(LINE_FEATURES, width), nn.GELU(), nn.Linear(width, width)
        )
        self.start = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(Layer(width, settings.heads) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.predict = nn.Sequential(
            nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, settings.targets)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return the vectors, (B, 2D)."""
        x_BLD = (
            self.operator(batch.tokens_BL)
            + self.variant(batch.variants_BL)
            + self.sizes(batch.features_BLF)
        )
        start = self.start.expand(len(x_BLD), 1, -1)
        x_BLD = torch.cat([start, x_BLD], dim=1)
        mask_BHLL = head_masks(batch, self.settings.heads)
        for layer in self.layers:
            x_BLD = layer(x_BLD, mask_BHLL)
        x_BLD = self.norm(x_BLD)
        weight_BL1 = batch.exists_BL.unsqueeze(2).to(x_BLD.dtype)
        mean_BD = (x_BLD[:, 1:] * weight_BL1).sum(1) / weight_BL1.sum(1)
        return torch.cat([x_BLD[:, 0], mean_BD], dim=1)


def head_masks(batch: Batch, heads: int) -> Tensor:
    """Which position may look at which, per head, the class position included; (B, H, L, L)."""
    B, L = batch.exists_BL.shape
    exists_BL = torch.cat([torch.ones(B, 1, dtype=torch.bool), batch.exists_BL], dim=1)
    free_BLL = exists_BL.unsqueeze(1).expand(B, L + 1, L + 1)
    reads_BLL = torch.zeros(B, L + 1, L + 1, dtype=torch.bool)
    reads_BLL[:, 1:, 1:] = batch.reads_BLL
    reads_BLL |= torch.eye(L + 1, dtype=torch.bool)
    quarter = heads // 4
    kinds = [reads_BLL] * quarter + [reads_BLL.transpose(1, 2)] * quarter
    return torch.stack(kinds + [free_BLL] * (heads - 2 * quarter), dim=1)


def collate(graphs: Sequence[Parsed]) -> Batch:
    """Pad parsed texts to one length."""
    kept = [_kept(graph) for graph in graphs]
    B, L = len(kept), max(len(places) for places in kept)
    tokens_BL = np.zeros((B, L), np.int64)
    variants_BL = np.zeros((B, L), np.int64)
    features_BLF = np.zeros((B, L, LINE_FEATURES), np.float32)
    reads_BLL = np.zeros((B, L, L), bool)
    exists_BL = np.zeros((B, L), bool)
    for b, (graph, places) in enumerate(zip(graphs, kept, strict=True)):
        row = {place: index for index, place in enumerate(places)}
        for place, index in row.items():
            line = graph.lines[place]
            tokens_BL[b, index], variants_BL[b, index] = token(line.words)
            features_BLF[b, index] = line_features(line)
            reads_BLL[b, index, [row[s] for s in line.sources if s in row]] = True
        exists_BL[b, : len(places)] = True
    arrays = (tokens_BL, variants_BL, features_BLF, reads_BLL, exists_BL)
    return Batch(*(torch.from_numpy(array) for array in arrays))


def _kept(graph: Parsed) -> list[int]:
    """The positions that the encoder reads of a very long text."""
    count = len(graph.lines)
    if count <= POSITION_LIMIT:
        return list(range(count))
    half = POSITION_LIMIT // 2
    return [*range(half), *range(count - half, count)]


@torch.inference_mode()
def embed(encoder: Encoder, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
    """The vectors of texts, (len(texts), 2D) float64, batched by length."""
    graphs = [parse(text) for text in texts]
    order = sorted(range(len(graphs)), key=lambda i: len(graphs[i].lines))
    vectors = np.zeros((len(graphs), 2 * encoder.settings.width))
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        vectors[chosen] = encoder(collate([graphs[i] for i in chosen])).double().numpy()
    return vectors
