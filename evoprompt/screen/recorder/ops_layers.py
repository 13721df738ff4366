"""Rules for layers with weights: convolution, linear, norms, embedding."""

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.tape import Ints, Literal, Rule, Tape, rule

IntOrInts = int | Sequence[int]


def spread(value: IntOrInts, rank: int) -> list[int]:
    """One number for each of `rank` axes."""
    if isinstance(value, int):
        return [int(value)] * rank
    numbers = [int(number) for number in value]
    return numbers * rank if len(numbers) == 1 else numbers


def only_float32(tape: Tape, name: str, *tensors: Tensor | None) -> None:
    """Refuse other types: onnxruntime has these kernels for float32 only."""
    for tensor in tensors:
        if tensor is not None and tensor.dtype != torch.float32:
            tape.refuse(f"{name} of {str(tensor.dtype).removeprefix('torch.')}")


def batched(tape: Tape, x: Tensor, rank: int, name: str) -> None:
    """Refuse a single example."""
    tape.expect(x.dim() == rank + 2, f"{name} without a batch axis")


def _pads(padding: IntOrInts | str, kernel: list[int], dilation: list[int]) -> list[int]:
    """Padding at the begins, then at the ends, of every axis (as torch's `same` divides it)."""
    if padding == "valid":
        return [0] * (2 * len(kernel))
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [total // 2 for total in totals] + [total - total // 2 for total in totals]
    assert not isinstance(padding, str)
    return spread(padding, len(kernel)) * 2


@functools.lru_cache(maxsize=4096)
def _conv_attributes(
    kernel: torch.Size, stride: Any, padding: Any, dilation: Any, groups: int
) -> dict[str, Any]:
    """The attributes of a convolution; nets repeat the same few a hundred times."""
    rank = len(kernel)
    dilations = spread(dilation, rank)
    return {
        "kernel_shape": tuple(kernel),
        "strides": tuple(spread(stride, rank)),
        "dilations": tuple(dilations),
        "pads": tuple(_pads(padding, list(kernel), dilations)),
        "group": int(groups),
    }


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _conv(rank: int) -> Rule:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: IntOrInts = 1,
        padding: IntOrInts | str = 0,
        dilation: IntOrInts = 1,
        groups: int = 1,
    ) -> None:
        batched(tape, x, rank, f"conv{rank}d")
        only_float32(tape, "convolution", x, weight)
        settings = (_fixed(stride), _fixed(padding), _fixed(dilation), groups)
        operands = [x, weight] if bias is None else [x, weight, bias]
        tape.emit(out, "Conv", operands, **_conv_attributes(weight.shape[2:], *settings))

    return write


def _conv_transpose(rank: int) -> Rule:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: IntOrInts = 1,
        padding: IntOrInts = 0,
        output_padding: IntOrInts = 0,
        groups: int = 1,
        dilation: IntOrInts = 1,
    ) -> None:
        batched(tape, x, rank, f"conv_transpose{rank}d")
        only_float32(tape, "convolution", x, weight)
        tape.emit(
            out,
            "ConvTranspose",
            [x, weight] if bias is None else [x, weight, bias],
            kernel_shape=list(weight.shape[2:]),
            strides=spread(stride, rank),
            dilations=spread(dilation, rank),
            pads=spread(padding, rank) * 2,
            output_padding=spread(output_padding, rank),
            group=int(groups),
        )

    return write


rule(F.conv1d, torch.conv1d)(_conv(1))
rule(F.conv2d, torch.conv2d)(_conv(2))
rule(F.conv3d, torch.conv3d)(_conv(3))
rule(F.conv_transpose1d, torch.conv_transpose1d)(_conv_transpose(1))
rule(F.conv_transpose2d, torch.conv_transpose2d)(_conv_transpose(2))
rule(F.conv_transpose3d, torch.conv_transpose3d)(_conv_transpose(3))


@rule(F.linear)
def linear(tape: Tape, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    """One Gemm for rows, else a product with the transposed weight."""
    if x.dim() == 2 and weight.dim() == 2 and x.dtype == torch.float32:
        operands = [x, weight] if bias is None else [x, weight, bias]
        tape.emit(out, "Gemm", operands, transB=1)
        return
    turned = transposed(tape, weight) if weight.dim() == 2 else weight
    product = tape.node("MatMul", [x, turned])
    tape.bind(out, product if bias is None else tape.node("Add", [product, bias]))


def transposed(tape: Tape, weight: Tensor) -> str:
    """The transposed matrix, made once."""
    name = tape.value(weight)
    known = tape.memo.get(("transposed", name))
    if known is None:
        known = tape.memo["transposed", name] = tape.node("Transpose", [weight], perm=[1, 0])
    return known


@rule(F.bilinear)
def bilinear(
    tape: Tape, out: Tensor, left: Tensor, right: Tensor, weight: Tensor, bias: Tensor | None = None
) -> None:
    """The sum over i and j of left_i weight_kij right_j."""
    equation = "bi,kij,bj->bk" if left.dim() == 2 else "...i,kij,...j->...k"
    product = tape.node("Einsum", [left, weight, right], equation=equation)
    tape.bind(out, product if bias is None else tape.node("Add", [product, bias]))


@rule(F.embedding)
def embedding(
    tape: Tape,
    out: Tensor,
    index: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> None:
    """Rows of the table."""
    tape.expect(max_norm is None, "embedding with max_norm")
    tape.emit(out, "Gather", [weight, index], axis=0)


def _ones(count: int, like: Tensor) -> Tensor:
    return torch.ones(count, dtype=like.dtype)


@rule(F.batch_norm, torch.batch_norm)
def batch_norm(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> None:
    """Running statistics only: those of the batch would mix its examples.

    A batch of one (a weight that is standardised, as in BiT) is an instance norm.
    """
    only_float32(tape, "batch_norm", x)
    count = x.shape[1]
    weight = _ones(count, x) if weight is None else weight
    bias = torch.zeros(count) if bias is None else bias
    if training or running_mean is None or running_var is None:
        is_one = x.shape[0] == 1 and x.dim() > 2 and running_mean is None
        tape.expect(is_one, "batch_norm with the statistics of the batch")
        tape.emit(out, "InstanceNormalization", [x, weight, bias], epsilon=float(eps))
        return
    operands = [x, weight, bias, running_mean, running_var]
    tape.emit(out, "BatchNormalization", operands, epsilon=float(eps))


@rule(F.layer_norm, torch.layer_norm)
def layer_norm(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = False,
) -> None:
    """Over the last axes."""
    only_float32(tape, "layer_norm", x)
    weight = torch.ones(tuple(normalized_shape)) if weight is None else weight
    operands = [x, weight] if bias is None else [x, weight, bias]
    axis = -len(tuple(normalized_shape))
    tape.emit(out, "LayerNormalization", operands, axis=axis, epsilon=float(eps))


@rule(F.group_norm, torch.group_norm)
def group_norm(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> None:
    """As torch's exporter writes it: onnx infers no shape behind its own GroupNormalization."""
    only_float32(tape, "group_norm", x)
    groups = int(num_groups)
    grouped = tape.node("Reshape", [x, Ints((0, groups, -1))])
    neutral = [_ones(groups, x), torch.zeros(groups)]
    normal = tape.node("InstanceNormalization", [grouped, *neutral], epsilon=float(eps))
    value = tape.node("Reshape", [normal, Ints(x.shape)])
    axes = Ints(range(1, x.dim() - 1))
    for op, own in (("Mul", weight), ("Add", bias)):
        if own is not None:
            own = tape.node("Unsqueeze", [own, axes]) if axes else own
            value = tape.node(op, [value, own])
    tape.bind(out, value)


@rule(F.instance_norm, torch.instance_norm)
def instance_norm(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> None:
    """Over the positions of each channel; with running statistics it is a batch norm."""
    if not use_input_stats:
        batch_norm(tape, out, x, running_mean, running_var, weight, bias, eps=eps)
        return
    only_float32(tape, "instance_norm", x)
    weight = _ones(x.shape[1], x) if weight is None else weight
    bias = torch.zeros(x.shape[1]) if bias is None else bias
    tape.emit(out, "InstanceNormalization", [x, weight, bias], epsilon=float(eps))


@rule(F.rms_norm, torch.rms_norm)
def rms_norm(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> None:
    """Divide by the root of the mean square (Zhang & Sennrich 2019, equation 4)."""
    only_float32(tape, "rms_norm", x)
    epsilon = torch.finfo(x.dtype).eps if eps is None else float(eps)
    axes = Ints(range(-len(tuple(normalized_shape)), 0))
    mean = tape.node("ReduceMean", [tape.node("Mul", [x, x]), axes], keepdims=1)
    root = tape.node("Sqrt", [tape.node("Add", [mean, Literal(epsilon, x.dtype)])])
    normal = tape.node("Div", [x, root])
    tape.bind(out, normal if weight is None else tape.node("Mul", [normal, weight]))


@rule(torch._weight_norm)  # type: ignore[attr-defined]
def weight_norm(tape: Tape, out: Tensor, v: Tensor, g: Tensor, dim: int = 0) -> None:
    """A direction and a length for each row (Salimans & Kingma 2016, equation 2)."""
    axes = Ints(axis for axis in range(v.dim()) if axis != dim)  # -1: one length for all
    tape.expect(dim >= -1, "weight_norm with a negative axis")
    length = tape.node("ReduceL2", [v, axes], keepdims=int(dim >= 0))
    tape.emit(out, "Mul", [v, tape.node("Div", [g, length])])
