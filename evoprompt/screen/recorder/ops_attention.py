"""Rules for attention that torch does in one call."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.tape import Literal, Tape, rule


@rule(F.scaled_dot_product_attention)
def attention(
    tape: Tape,
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> None:
    """Both factors carry the root of the scale, as torch's exporter writes it."""
    tape.expect(dropout_p == 0, "random numbers in forward (attention with dropout)")
    tape.expect(not enable_gqa, "attention with enable_gqa")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    tape.expect(factor > 0, "attention with a negative scale")
    root = Literal(math.sqrt(factor), query.dtype)
    order = list(range(key.dim()))
    order[-2:] = order[-2:][::-1]
    turned = tape.node("Mul", [tape.node("Transpose", [key], perm=order), root])
    weights = tape.node("MatMul", [tape.node("Mul", [query, root]), turned])
    if is_causal:
        shape = (query.shape[-2], key.shape[-2])
        attn_mask = torch.ones(shape, dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        zero, low = (Literal(number, query.dtype) for number in (0.0, -math.inf))
        weights = tape.node("Add", [weights, tape.node("Where", [attn_mask, zero, low])])
    elif attn_mask is not None:
        weights = tape.node("Add", [weights, attn_mask])
    shares = tape.node("Softmax", [weights], axis=-1)
    tape.emit(out, "MatMul", [shares, value])
