"""Rules for products of matrices and vectors, einsum, diagonals and triangles."""

import string
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import as_type
from evoprompt.screen.recorder.ops_index import diagonal
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule

T = Tensor


@rule(
    *(torch.matmul, T.matmul, T.__matmul__, torch.linalg.matmul, torch.bmm, T.bmm, torch.mm, T.mm),
    *(torch.mv, T.mv, torch.dot, T.dot, torch.vdot, T.vdot),
)
def matmul(tape: Tape, out: Tensor, a: Tensor, b: Tensor) -> None:
    """Products of matrices, batched as numpy does."""
    tape.emit(out, "MatMul", [a, b])


def _add_product(*functions: Any, names: tuple[str, str]) -> None:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        *given: Any,
        beta: float = 1,
        alpha: float = 1,
        **named: Any,
    ) -> None:
        a, b = [*given, *(named.pop(name) for name in names[len(given) :])]
        tape.expect(not named, f"a product with {', '.join(named)}")
        product: Operand = tape.node("MatMul", [a, b])
        if alpha != 1:
            product = tape.node("Mul", [product, Literal(float(alpha), out.dtype)])
        if beta == 0:
            tape.bind(out, product)
            return
        addend = tape.value(x)
        if beta != 1:
            addend = tape.node("Mul", [addend, Literal(float(beta), out.dtype)])
        tape.emit(out, "Add", [addend, product])

    rule(*functions)(write)


_add_product(torch.baddbmm, T.baddbmm, names=("batch1", "batch2"))
_add_product(torch.addmm, T.addmm, names=("mat1", "mat2"))
_add_product(torch.addmv, T.addmv, names=("mat", "vec"))


@rule(torch.einsum, torch.functional.einsum)
def einsum(tape: Tape, out: Tensor, equation: Any, *operands: Any) -> None:
    """Equations of letters are the same in both."""
    tape.expect(isinstance(equation, str), "einsum with lists of axes")
    given = (
        operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    )
    tape.emit(out, "Einsum", given, equation=equation.replace(" ", ""))


@rule(torch.outer, T.outer, torch.ger, T.ger)
def outer(tape: Tape, out: Tensor, a: Tensor, b: Tensor) -> None:
    """Every element with every other."""
    column = tape.node("Unsqueeze", [as_type(tape, a, out.dtype), Ints((1,))])
    tape.emit(out, "Mul", [column, as_type(tape, b, out.dtype)])


@rule(torch.inner, T.inner)
def inner(tape: Tape, out: Tensor, a: Tensor, b: Tensor) -> None:
    """Products over both last axes."""
    tape.expect(a.dim() > 0 and b.dim() in (1, 2), "inner of more than two axes")
    turned = tape.node("Transpose", [b], perm=[1, 0]) if b.dim() == 2 else b
    tape.emit(out, "MatMul", [a, turned])


@rule(torch._VF.tensordot)  # type: ignore[attr-defined]
def tensordot(
    tape: Tape,
    out: Tensor,
    a: Tensor,
    b: Tensor,
    dims_self: Sequence[int],
    dims_other: Sequence[int],
) -> None:
    """Written as an einsum: one letter for each axis."""
    left = list(string.ascii_lowercase[: a.dim()])
    right = list(string.ascii_uppercase[: b.dim()])
    for mine, yours in zip(dims_self, dims_other, strict=True):
        right[yours] = left[mine]
    shared = {left[mine] for mine in dims_self}
    result = [letter for letter in left + right if letter not in shared]
    equation = f"{''.join(left)},{''.join(right)}->{''.join(result)}"
    tape.emit(out, "Einsum", [a, b], equation=equation)


@rule(torch.linalg.multi_dot)
def multi_dot(tape: Tape, out: Tensor, tensors: Sequence[Tensor]) -> None:
    """One product after the other."""
    value: Operand = tape.value(tensors[0])
    for tensor in tensors[1:]:
        value = tape.node("MatMul", [value, tensor])
    tape.bind(out, value)


def _triangle(upper: int, *functions: Any) -> None:
    def write(tape: Tape, out: Tensor, x: Tensor, diagonal: int = 0) -> None:
        tape.emit(out, "Trilu", [x, Literal(int(diagonal), torch.int64)], upper=upper)

    rule(*functions)(write)


_triangle(0, torch.tril, T.tril, T.tril_)
_triangle(1, torch.triu, T.triu, T.triu_)


@rule(torch.diag_embed, T.diag_embed)
def diag_embed(
    tape: Tape, out: Tensor, x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1
) -> None:
    """The last axis becomes the diagonal of a matrix."""
    is_plain = (
        offset == 0 and dim1 % out.dim() == out.dim() - 2 and dim2 % out.dim() == out.dim() - 1
    )
    tape.expect(is_plain, "diag_embed beside the diagonal or to other axes")
    on_diagonal = torch.eye(x.shape[-1], dtype=torch.bool)
    wide = tape.node("Unsqueeze", [x, Ints((-1,))])
    tape.emit(out, "Where", [on_diagonal, wide, Literal(0, x.dtype)])


@rule(torch.diag, T.diag)
def diag(tape: Tape, out: Tensor, x: Tensor, offset: int = 0) -> None:
    """A vector becomes a matrix, a matrix its diagonal."""
    if x.dim() == 1:
        diag_embed(tape, out, x, offset)
    else:
        diagonal(tape, out, x, offset)
