"""The encoder: a small transformer that reads the text of a graph and returns one vector.

One position per line, light lines told with their neighbour (`positions`). Two heads see what a
position reads, two who reads it, one all that lies before it, one all behind it, the others
everything: structure comes from the references in the text itself. The vector is the state of a
class position beside the mean over the others.
Axes: B texts, L positions (class position first), H heads, D width, F features, S slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from surrogate.features import LINE_FEATURES, TOKENS, VARIANTS
from surrogate.positions import SLOTS, Positions

BATCH_POSITIONS = 512  # of a batch, padding included; more do not fit the cache of one core


@dataclass(frozen=True)
class EncoderSettings:
    """The size of an encoder; written beside its weights."""

    width: int = 64
    heads: int = 8
    layers: int = 3
    targets: int = 0
    """Columns that pre-training predicts."""


@dataclass(frozen=True)
class Batch:
    """Texts as tensors, the class position not included."""

    tokens_BL: Tensor
    variants_BL: Tensor
    merged_BLS: Tensor
    features_BLF: Tensor
    reads_BLL: Tensor
    """True where the row's position reads the column's."""
    reaches_BLL: Tensor
    """The same over any number of references."""
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

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor) -> Tensor:
        """Return the next state of every position."""
        B, L, D = x_BLD.shape
        qkv = self.project_in(self.norm_attention(x_BLD))
        q, k, v = qkv.view(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(q, k, v, attn_mask=bias_BHLL)
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
        self.merged = nn.Embedding(1 + SLOTS * TOKENS, width, padding_idx=0)
        self.sizes = nn.Sequential(
            nn.Linear(LINE_FEATURES, width), nn.GELU(), nn.Linear(width, width)
        )
        self.start = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(Layer(width, settings.heads) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.predict = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, settings.targets)
        )
        for table in (self.operator, self.variant, self.merged):
            nn.init.normal_(table.weight, std=0.2)
        with torch.no_grad():
            self.merged.weight[0] = 0.0

    def forward(self, batch: Batch) -> Tensor:
        """Return the vectors, (B, 2D)."""
        slots_S = torch.arange(SLOTS) * TOKENS
        merged_BLS = (batch.merged_BLS + slots_S) * (batch.merged_BLS > 0)
        x_BLD = (
            self.operator(batch.tokens_BL)
            + self.variant(batch.variants_BL)
            + self.merged(merged_BLS).sum(2)
            + self.sizes(batch.features_BLF)
        )
        start = self.start.expand(len(x_BLD), 1, -1)
        x_BLD = torch.cat([start, x_BLD], dim=1)
        bias_BHLL = head_bias(batch, self.settings.heads, x_BLD.dtype)
        for layer in self.layers:
            x_BLD = layer(x_BLD, bias_BHLL)
        x_BLD = self.norm(x_BLD)
        weight_BL1 = batch.exists_BL.unsqueeze(2).to(x_BLD.dtype)
        mean_BD = (x_BLD[:, 1:] * weight_BL1).sum(1) / weight_BL1.sum(1)
        return torch.cat([x_BLD[:, 0], mean_BD], dim=1)


def head_bias(batch: Batch, heads: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """0 where a position may look, -1e9 where not; (B, H, L, L), the class position included."""
    B, L = batch.exists_BL.shape
    may_BHLL = torch.zeros(B, heads, L + 1, L + 1, dtype=torch.bool)
    kinds = [batch.reads_BLL, batch.reads_BLL.transpose(1, 2)] * 2
    kinds += [batch.reaches_BLL, batch.reaches_BLL.transpose(1, 2)]
    for head, seen_BLL in enumerate(kinds[:heads]):
        may_BHLL[:, head, 1:, 1:] = seen_BLL
    may_BHLL[:, len(kinds) :, :, 0] = True
    may_BHLL[:, len(kinds) :, :, 1:] = batch.exists_BL[:, None, None]
    may_BHLL |= torch.eye(L + 1, dtype=torch.bool)
    return torch.zeros(may_BHLL.shape, dtype=dtype).masked_fill_(~may_BHLL, -1e9)


def collate(graphs: Sequence[Positions]) -> Batch:
    """Pad texts to one length."""
    B, L = len(graphs), max(len(graph) for graph in graphs)
    tokens_BL = np.zeros((B, L), np.int64)
    variants_BL = np.zeros((B, L), np.int64)
    merged_BLS = np.zeros((B, L, SLOTS), np.int64)
    features_BLF = np.zeros((B, L, LINE_FEATURES), np.float32)
    reads_BLL = np.zeros((B, L, L), bool)
    reaches_BLL = np.zeros((B, L, L), bool)
    exists_BL = np.zeros((B, L), bool)
    for b, graph in enumerate(graphs):
        length = len(graph)
        tokens_BL[b, :length] = graph.tokens_L
        variants_BL[b, :length] = graph.variants_L
        merged_BLS[b, :length] = graph.merged_LS
        features_BLF[b, :length] = graph.features_LF
        reads_BLL[b, :length, :length] = graph.reads_LL
        reaches_BLL[b, :length, :length] = graph.reaches_LL
        exists_BL[b, :length] = True
    arrays = (tokens_BL, variants_BL, merged_BLS, features_BLF, reads_BLL, reaches_BLL, exists_BL)
    return Batch(*map(torch.from_numpy, arrays))


def batches(lengths: Sequence[int], positions: int = BATCH_POSITIONS) -> list[list[int]]:
    """Indices in groups of similar lengths, none of more positions than that but single ones."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if not groups or (len(groups[-1]) + 1) * lengths[index] > positions:
            groups.append([])
        groups[-1].append(index)
    return groups
