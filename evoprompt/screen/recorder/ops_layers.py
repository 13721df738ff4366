"""Rules for layers with weights and for pooling: convolution, linear, norms, embedding."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.tape import Function, Ints, Literal, Rule, Tape, rule

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


def _batched(tape: Tape, x: Tensor, out: Tensor, rank: int, name: str) -> None:
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
        _batched(tape, x, out, rank, f"conv{rank}d")
        only_float32(tape, "convolution", x, weight)
        kernel, dilations = list(weight.shape[2:]), spread(dilation, rank)
        tape.emit(
            out,
            "Conv",
            [x, weight] if bias is None else [x, weight, bias],
            kernel_shape=kernel,
            strides=spread(stride, rank),
            dilations=dilations,
            pads=_pads(padding, kernel, dilations),
            group=int(groups),
        )

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
        _batched(tape, x, out, rank, f"conv_transpose{rank}d")
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
    tape.expect(weight.dim() == 2, "linear with a vector as weight")
    product = tape.node("MatMul", [x, transposed(tape, weight)])
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
    """The sum over i and j of left_i weight_kij right_j, for rows."""
    tape.expect(left.dim() == 2 and right.dim() == 2, "bilinear of more than two axes")
    product = tape.node("Einsum", [left, weight, right], equation="bi,kij,bj->bk")
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
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> None:
    """Running statistics only: those of the batch would mix its examples."""
    if training or mean is None or variance is None:
        tape.refuse("batch_norm with the statistics of the batch (track_running_stats=False)")
    only_float32(tape, "batch_norm", x)
    count = x.shape[1]
    weight = _ones(count, x) if weight is None else weight
    bias = torch.zeros(count) if bias is None else bias
    tape.emit(out, "BatchNormalization", [x, weight, bias, mean, variance], epsilon=float(eps))


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
    mean: Tensor | None = None,
    variance: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> None:
    """Over the positions of each channel; with running statistics it is a batch norm."""
    if not use_input_stats:
        batch_norm(tape, out, x, mean, variance, weight, bias, eps=eps)
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


def _max_pool(rank: int) -> Rule:
    def write(
        tape: Tape,
        out: Any,
        x: Tensor,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        dilation: IntOrInts = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        tape.expect(not return_indices and isinstance(out, Tensor), "max_pool with indices")
        _batched(tape, x, out, rank, f"max_pool{rank}d")
        only_float32(tape, "max_pool", x)
        kernel = spread(kernel_size, rank)
        tape.emit(
            out,
            "MaxPool",
            [x],
            kernel_shape=kernel,
            strides=spread(stride, rank) if stride not in (None, (), []) else kernel,
            pads=spread(padding, rank) * 2,
            dilations=spread(dilation, rank),
            ceil_mode=int(ceil_mode),
        )

    return write


def _average_pool(rank: int) -> Rule:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        tape.expect(divisor_override is None, "avg_pool with divisor_override")
        _batched(tape, x, out, rank, f"avg_pool{rank}d")
        only_float32(tape, "avg_pool", x)
        kernel = spread(kernel_size, rank)
        tape.emit(
            out,
            "AveragePool",
            [x],
            kernel_shape=kernel,
            strides=spread(stride, rank) if stride not in (None, (), []) else kernel,
            pads=spread(padding, rank) * 2,
            ceil_mode=int(ceil_mode),
            count_include_pad=int(count_include_pad),
        )

    return write


def _adaptive_pool(rank: int, average: bool) -> Rule:
    def write(
        tape: Tape, out: Any, x: Tensor, output_size: Any, return_indices: bool = False
    ) -> None:
        tape.expect(not return_indices and isinstance(out, Tensor), "max_pool with indices")
        _batched(tape, x, out, rank, f"adaptive_pool{rank}d")
        only_float32(tape, "adaptive_pool", x)
        sizes, wanted = list(x.shape[2:]), list(out.shape[2:])
        if all(size == 1 for size in wanted):
            tape.emit(out, "GlobalAveragePool" if average else "GlobalMaxPool", [x])
            return
        if any(size % want for size, want in zip(sizes, wanted, strict=True)):
            tape.refuse(f"adaptive pooling from {sizes} to {wanted}, which do not divide")
        kernel = [size // want for size, want in zip(sizes, wanted, strict=True)]
        op = "AveragePool" if average else "MaxPool"
        tape.emit(out, op, [x], kernel_shape=kernel, strides=kernel, pads=[0] * (2 * rank))

    return write


def _named(name: str) -> list[Function]:
    found = [getattr(module, name, None) for module in (F, torch)]
    return [function for function in found if function is not None]


for _rank in (1, 2, 3):
    for _prefix in ("max_pool", "_max_pool"):
        rule(*_named(f"{_prefix}{_rank}d"))(_max_pool(_rank))
    rule(*_named(f"avg_pool{_rank}d"))(_average_pool(_rank))
    rule(*_named(f"adaptive_avg_pool{_rank}d"))(_adaptive_pool(_rank, True))
    for _prefix in ("adaptive_max_pool", "_adaptive_max_pool"):
        rule(*_named(f"{_prefix}{_rank}d"))(_adaptive_pool(_rank, False))
