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
from torch.nn.functional import embedding_bag, scaled_dot_product_attention

from surrogate.features import LINE_FEATURES, NO_ROW, SLOTS, TOKENS, VARIANTS
from surrogate.positions import Positions

BATCH_POSITIONS = 1024  # of a batch, padding included; more are hardly faster
SHORT = 64  # positions; of longer texts, whose attention grows with the square, fewer make a batch
# Lengths, class position included, are padded to multiples of this: processors work on so many
# numbers at a time, and odd lengths cost attention more than the padding does.
STEP = 8


@dataclass(frozen=True)
class EncoderSettings:
    """The size of an encoder; written beside its weights."""

    width: int = 64
    heads: int = 8
    layers: int = 2
    targets: int = 0
    """Columns that pre-training predicts."""


@dataclass(frozen=True)
class Batch:
    """Texts as tensors, the class position not included."""

    rows_BLR: Tensor
    """Which rows of the tables of operators, variants and merged lines make up each position."""
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
        x_BLD = x_BLD + self._attend(self.norm_attention(x_BLD), bias_BHLL)
        return x_BLD + self.mix(self.norm_mix(x_BLD))

    def _attend(self, x_BLD: Tensor, bias_BHLL: Tensor) -> Tensor:
        B, L, D = x_BLD.shape
        qkv = self.project_in(x_BLD).view(B, L, 3, self.heads, D // self.heads)
        qkv_3BHLE = qkv.permute(2, 0, 3, 1, 4)
        if torch.is_grad_enabled():
            q, k, v = qkv_3BHLE
            seen = scaled_dot_product_attention(q, k, v, attn_mask=bias_BHLL).transpose(2, 3)
        else:
            seen = narrow_attention(qkv_3BHLE, bias_BHLL)
        return self.project_out(seen.reshape(B, D, L).transpose(1, 2))


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

    def forward(self, batch: Batch, bias_BHLL: Tensor | None = None) -> Tensor:
        """Return the vectors, (B, 2D); `bias_BHLL` is `head_bias`, if that is known."""
        if bias_BHLL is None:
            bias_BHLL = head_bias(batch, self.settings.heads)
        tables = (self.operator.weight, self.variant.weight, self.merged.weight)
        rows = batch.rows_BLR.flatten(0, 1)
        words = embedding_bag(rows, torch.cat(tables), mode="sum", padding_idx=NO_ROW)
        x_BLD = words.view(*batch.exists_BL.shape, -1) + self.sizes(batch.features_BLF)
        start = self.start.expand(len(x_BLD), 1, -1)
        x_BLD = torch.cat([start, x_BLD], dim=1)
        for layer in self.layers:
            x_BLD = layer(x_BLD, bias_BHLL)
        x_BLD = self.norm(x_BLD)
        weight_BL1 = batch.exists_BL.unsqueeze(2).to(x_BLD.dtype)
        mean_BD = (x_BLD[:, 1:] * weight_BL1).sum(1) / weight_BL1.sum(1)
        return torch.cat([x_BLD[:, 0], mean_BD], dim=1)


def narrow_attention(qkv_3BHLE: Tensor, bias_BHLL: Tensor) -> Tensor:
    """Attention of heads of a few numbers, without gradients, (B * H, E, L).

    Faster than torch's fused function, whose products are narrow: the second one is taken of the
    transposes here, (E, L) by (L, L) instead of (L, L) by (L, E).
    """
    _, B, H, L, E = qkv_3BHLE.shape
    q, k, v = qkv_3BHLE.reshape(3, B * H, L, E)
    bias = bias_BHLL.view(B * H, L, L)
    shares = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=E**-0.5).softmax(2)
    return torch.bmm(v.transpose(1, 2), shares.transpose(1, 2))


def head_bias(batch: Batch, heads: int) -> Tensor:
    """0 where a position may look, -1e9 where not; (B, H, L, L), the class position included."""
    B, L = batch.exists_BL.shape
    bias_BHLL = torch.full((B, heads, L + 1, L + 1), -1e9)
    kinds = [batch.reads_BLL, batch.reads_BLL.transpose(1, 2)] * 2
    kinds += [batch.reaches_BLL, batch.reaches_BLL.transpose(1, 2)]
    for head, seen_BLL in enumerate(kinds[:heads]):
        bias_BHLL[:, head, 1:, 1:].masked_fill_(seen_BLL, 0.0)
    bias_BHLL[:, len(kinds) :, :, 0] = 0.0
    bias_BHLL[:, len(kinds) :, :, 1:].masked_fill_(batch.exists_BL[:, None, None], 0.0)
    bias_BHLL.diagonal(dim1=2, dim2=3).zero_()
    return bias_BHLL


def collate(graphs: Sequence[Positions]) -> Batch:
    """Pad texts to one length."""
    B, L = len(graphs), padded(max(len(graph) for graph in graphs)) - 1
    rows_BLR = np.full((B, L, 2 + SLOTS), NO_ROW)
    features_BLF = np.zeros((B, L, LINE_FEATURES), np.float32)
    reads_BLL = np.zeros((B, L, L), bool)
    reaches_BLL = np.zeros((B, L, L), bool)
    exists_BL = np.zeros((B, L), bool)
    for b, graph in enumerate(graphs):
        length = len(graph)
        rows_BLR[b, :length] = graph.rows_LR
        features_BLF[b, :length] = graph.features_LF
        reads_BLL[b, :length, :length] = graph.reads_LL
        reaches_BLL[b, :length, :length] = graph.reaches_LL
        exists_BL[b, :length] = True
    arrays = (rows_BLR, features_BLF, reads_BLL, reaches_BLL, exists_BL)
    return Batch(*map(torch.from_numpy, arrays))


def padded(length: int) -> int:
    """Positions that a text of this length takes in a batch, the class position included."""
    return -(-(length + 1) // STEP) * STEP


def batches(lengths: Sequence[int], positions: int = BATCH_POSITIONS) -> list[list[int]]:
    """Indices in groups of one padded length; none of more positions than that but single ones."""
    by_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_length.setdefault(padded(length), []).append(index)
    groups: list[list[int]] = []
    for length, members in sorted(by_length.items()):
        size = max(1, positions * SHORT // (length * max(SHORT, length)))
        groups += [members[i : i + size] for i in range(0, len(members), size)]
    return groups
