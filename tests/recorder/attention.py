"""Cases: attention and embeddings."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.recorder.case import Case, around, fn, layer, weighted


def _attention(**named: Any) -> Callable[[], nn.Module]:
    return lambda: nn.MultiheadAttention(8, 2, batch_first=True, **named)


_CAUSAL = torch.ones(6, 6, dtype=torch.bool).triu(1)
_PADDED = torch.tensor([False] * 4 + [True] * 2)


def _masked(mask: Tensor, name: str = "attn_mask") -> Callable[..., Tensor]:
    return lambda net, x: net(x, x, x, need_weights=False, **{name: mask})[0]


def _encoder(layers: int = 1, **named: Any) -> Callable[[], nn.Module]:
    named = {"batch_first": True, **named}
    single = nn.TransformerEncoderLayer(8, 2, 16, **named)
    return lambda: single if layers == 1 else nn.TransformerEncoder(single, layers)


ATTENTION: list[Case] = [
    around("MultiheadAttention", _attention(), lambda n, x: n(x, x, x)[0], 6, 8),
    around("MultiheadAttention weights", _attention(), lambda n, x: n(x, x, x)[1], 6, 8),
    around(
        "MultiheadAttention weights of each head",
        _attention(),
        lambda n, x: n(x, x, x, average_attn_weights=False)[1],
        *(6, 8),
    ),
    around(
        "MultiheadAttention without weights",
        _attention(),
        lambda n, x: n(x, x, x, need_weights=False)[0],
        *(6, 8),
    ),
    around(
        "MultiheadAttention steps first",
        lambda: nn.MultiheadAttention(8, 2),
        lambda n, x: n(x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1))[0].transpose(0, 1),
        *(6, 8),
    ),
    around("MultiheadAttention causal", _attention(), _masked(_CAUSAL), 6, 8),
    around("MultiheadAttention float mask", _attention(), _masked(_CAUSAL * -2.0), 6, 8),
    around(
        "MultiheadAttention is_causal",
        _attention(),
        lambda n, x: n(x, x, x, attn_mask=_CAUSAL, is_causal=True, need_weights=False)[0],
        *(6, 8),
    ),
    around(
        "MultiheadAttention padding mask",
        _attention(),
        lambda n, x: n(x, x, x, key_padding_mask=_PADDED.expand(x.size(0), 6))[0],
        *(6, 8),
    ),
    around(
        "MultiheadAttention mask from the input",
        _attention(),
        lambda n, x: n(x, x, x, key_padding_mask=x[..., 0] > 9.0, need_weights=False)[0],
        *(6, 8),
    ),
    around(
        "MultiheadAttention without bias", _attention(bias=False), lambda n, x: n(x, x, x)[0], 6, 8
    ),
    around(
        "MultiheadAttention bias_kv", _attention(add_bias_kv=True), lambda n, x: n(x, x, x)[0], 6, 8
    ),
    around(
        "MultiheadAttention zero attention",
        _attention(add_zero_attn=True),
        lambda n, x: n(x, x, x)[0],
        *(6, 8),
    ),
    around(
        "MultiheadAttention other widths",
        _attention(kdim=3, vdim=5),
        lambda n, x: n(x, x[..., :3], x[..., :5])[0],
        *(6, 8),
    ),
    around(
        "MultiheadAttention across",
        _attention(),
        lambda n, x: n(x[:, :2], x, x, need_weights=False)[0],
        *(6, 8),
    ),
    around("MultiheadAttention dropout", _attention(dropout=0.3), lambda n, x: n(x, x, x)[0], 6, 8),
    layer("TransformerEncoderLayer", _encoder(), 6, 8),
    layer("TransformerEncoderLayer norm first", _encoder(norm_first=True), 6, 8),
    layer("TransformerEncoderLayer gelu", _encoder(activation="gelu", bias=False), 6, 8),
    layer("TransformerEncoder", _encoder(2), 6, 8),
    layer("TransformerEncoder steps first", _encoder(2, batch_first=False), 6, 8),
    around("TransformerEncoder masked", _encoder(2), lambda n, x: n(x, mask=_CAUSAL), 6, 8),
    around(
        "TransformerEncoder padded",
        _encoder(2),
        lambda n, x: n(x, src_key_padding_mask=_PADDED.expand(x.size(0), 6))[:, :4],
        *(6, 8),
        refused="nested_tensor",
    ),
    around(
        "TransformerEncoder causal",
        _encoder(2, norm_first=True),
        lambda n, x: n(x, mask=nn.Transformer.generate_square_subsequent_mask(6), is_causal=True),
        *(6, 8),
    ),
    around(
        "TransformerDecoderLayer",
        lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
        lambda n, x: n(x[:, :3], x),
        *(6, 8),
    ),
    around(
        "TransformerDecoder",
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 2),
        lambda n, x: n(x, x.flip(1), tgt_mask=_CAUSAL),
        *(6, 8),
    ),
    around(
        "Transformer",
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda n, x: n(x, x[:, :4]),
        *(6, 8),
    ),
    fn("attention", lambda x: F.scaled_dot_product_attention(x, x, x), 2, 6, 4),
    fn("attention of three axes", lambda x: F.scaled_dot_product_attention(x, x, x * 2), 6, 4),
    fn(
        "attention causal",
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        2,
        6,
        4,
    ),
    fn("attention scaled", lambda x: F.scaled_dot_product_attention(x, x, x, scale=0.3), 2, 6, 4),
    fn(
        "attention negative scale",
        lambda x: F.scaled_dot_product_attention(x, x, x, scale=-1.0),
        2,
        6,
        4,
        refused="scale",
    ),
    fn(
        "attention bool mask",
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=~_CAUSAL),
        *(2, 6, 4),
    ),
    fn(
        "attention float mask",
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=_CAUSAL * -3.0),
        *(2, 6, 4),
    ),
    fn(
        "attention across, causal",
        lambda x: F.scaled_dot_product_attention(x[:, :, :3], x, x, is_causal=True),
        *(2, 6, 4),
    ),
    fn(
        "attention of grouped queries",
        lambda x: F.scaled_dot_product_attention(x, x[:, :2], x[:, 2:], enable_gqa=True),
        *(4, 6, 4),
    ),
    fn(
        "attention with dropout",
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
        *(2, 6, 4),
        refused="random",
    ),
    fn(
        "attention, a row all masked",
        lambda x: F.scaled_dot_product_attention(
            x, x, x, attn_mask=torch.tensor([[False] * 6] + [[True] * 6] * 5)
        ),
        *(2, 6, 4),
    ),
    weighted(
        "attention bias as a weight",
        lambda x, b: F.scaled_dot_product_attention(x, x, x, attn_mask=b),
        *(2, 6, 4),
        b=(2, 6, 6),
    ),
    weighted(
        "attention by hand",
        lambda x, q, k: torch.softmax((x @ q) @ (x @ k).transpose(-2, -1) / 8**0.5, -1) @ x,
        *(6, 8),
        q=(8, 8),
        k=(8, 8),
    ),
    weighted(
        "heads by hand",
        lambda x, w: _heads(x, w),
        *(6, 8),
        w=(24, 8),
    ),
    fn(
        "linear attention",
        lambda x: F.elu(x) @ ((F.elu(x) + 1).transpose(1, 2) @ x) / x.sum(1, keepdim=True).exp(),
        *(6, 4),
    ),
    weighted(
        "pooling by attention",
        lambda x, q: (torch.softmax(x @ q, dim=1).unsqueeze(-1) * x).sum(1),
        *(6, 4),
        q=(4,),
    ),
    weighted(
        "class token and positions",
        lambda x, c, p: (torch.cat([c.expand(x.shape[0], -1, -1), x], 1) + p)[:, 0],
        *(6, 4),
        c=(1, 1, 4),
        p=(1, 7, 4),
    ),
]


def _heads(x: Tensor, w: Tensor) -> Tensor:
    batch, steps, width = x.shape
    qkv = F.linear(x, w).reshape(batch, steps, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
    q, k, v = qkv[0], qkv[1], qkv[2]
    shares = (q @ k.transpose(-2, -1) * (width // 2) ** -0.5).softmax(dim=-1)
    return (shares @ v).transpose(1, 2).reshape(batch, steps, width)


def _index(x: Tensor) -> Tensor:
    return (x * 3).long().clamp(0, 6)


EMBEDDING: list[Case] = [
    around("Embedding", lambda: nn.Embedding(7, 4), lambda n, x: n(_index(x)), 5),
    around(
        "Embedding with padding",
        lambda: nn.Embedding(7, 4, padding_idx=0),
        lambda n, x: n(_index(x)),
        *(5,),
    ),
    around(
        "Embedding with max_norm",
        lambda: nn.Embedding(7, 4, max_norm=0.5),
        lambda n, x: n(_index(x)),
        *(5,),
        refused="max_norm",
    ),
    around(
        "Embedding of positions",
        lambda: nn.Embedding(9, 4),
        lambda n, x: x + n(torch.arange(x.size(1))),
        *(5, 4),
    ),
    around("Embedding of two axes", lambda: nn.Embedding(7, 4), lambda n, x: n(_index(x)), 3, 5),
    around(
        "EmbeddingBag",
        lambda: nn.EmbeddingBag(7, 4, mode="sum"),
        lambda n, x: n(_index(x)),
        *(5,),
        refused="embedding_bag",
    ),
    fn("one_hot", lambda x: F.one_hot(_index(x), 7), 5),
    fn("one_hot of the class", lambda x: F.one_hot(x.argmax(-1), num_classes=5).float() * x, 5),
    fn("one_hot without a count", lambda x: F.one_hot(_index(x)), 5, refused="one_hot"),
    weighted("rows of a weight", lambda x, w: w[_index(x)], 5, w=(7, 4)),
    weighted("embedding functional", lambda x, w: F.embedding(_index(x), w), 5, w=(7, 4)),
]
