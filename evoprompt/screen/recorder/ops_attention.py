"""Rules for attention that torch does in one call."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule


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
    groups = query.shape[-3] // key.shape[-3] if enable_gqa else 1
    keys, values = (_for_groups(tape, x, groups) if enable_gqa else x for x in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    tape.expect(factor > 0, "attention with a negative scale")
    root = Literal(math.sqrt(factor), query.dtype)
    order = list(range(key.dim()))
    order[-2:] = order[-2:][::-1]
    turned = tape.node("Mul", [tape.node("Transpose", [keys], perm=order), root])
    weights = tape.node("MatMul", [tape.node("Mul", [query, root]), turned])
    if is_causal:
        shape = (query.shape[-2], key.shape[-2])
        attn_mask = torch.ones(shape, dtype=torch.bool).tril()
    if attn_mask is None:
        shares = tape.node("Softmax", [weights], axis=-1)
    else:
        shares = _masked_softmax(tape, weights, attn_mask, query.dtype)
    tape.emit(out, "MatMul", [shares, values])


def _for_groups(tape: Tape, x: Tensor, groups: int) -> Operand:
    """Every head again for each query of its group."""
    wide = tape.node("Unsqueeze", [x, Ints((-3,))])
    *outer, heads, steps, width = x.shape
    repeated = tape.node("Expand", [wide, Ints((*outer, heads, groups, steps, width))])
    return tape.node("Reshape", [repeated, Ints((*outer, heads * groups, steps, width))])


def _masked_softmax(tape: Tape, weights: Operand, mask: Tensor, dtype: torch.dtype) -> Operand:
    """Shares under a mask; where a row is masked as a whole, torch gives nought and not NaN."""
    zero, low = (Literal(number, dtype) for number in (0.0, -math.inf))
    if mask.dtype == torch.bool:
        added: Operand = tape.node("Where", [mask, zero, low])
        is_whole = not tape.is_known(mask) and bool(mask.any(-1).all())
    else:
        added = tape.value(mask)
        is_whole = not tape.is_known(mask) and bool((mask > -math.inf).any(-1).all())
    masked = tape.node("Add", [weights, added])
    shares = tape.node("Softmax", [masked], axis=-1)
    if is_whole:
        return shares
    highest = tape.node("ReduceMax", [masked, Ints((-1,))], keepdims=1)
    return tape.node("Where", [tape.node("Equal", [highest, low]), zero, shares])
