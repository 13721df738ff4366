"""Rules for other resolutions: interpolation, pixel shuffle, patches, sampling at given places."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.screen.recorder.ops_layers import IntOrInts, only_float32, spread
from evoprompt.screen.recorder.tape import Ints, Operand, Tape, rule

_nn = torch._C._nn  # type: ignore[attr-defined]


def _resize(tape: Tape, out: Tensor, x: Tensor, factors: Any, **attributes: Any) -> None:
    """Torch computes places from the factors where it is given them, else from the sizes."""
    only_float32(tape, "interpolate", x)
    if factors is not None:
        tape.expect(isinstance(factors, Sequence), "interpolate with a number for each axis")
        scales = torch.tensor([1.0, 1.0, *factors], dtype=torch.float32)
        tape.emit(out, "Resize", [x, None, scales], **attributes)
        return
    # not for the last axes alone: onnxruntime loses `axes` when it moves a Transpose through
    tape.emit(out, "Resize", [x, None, None, Ints(out.shape)], **attributes)


def _nearest(nearest_mode: str, places: str, *names: str) -> None:
    """Where one size is no multiple of the other, onnxruntime and torch round otherwise."""
    line = getattr(_nn, names[0])

    def write(
        tape: Tape, out: Tensor, x: Tensor, output_size: Any, scale_factors: Any = None
    ) -> None:
        ratios = list(zip(x.shape[2:], out.shape[2:], strict=True))
        wanted: list[float] = [to / size for size, to in ratios]
        if scale_factors is not None:
            wanted = list(scale_factors)
        if any(max(r) % min(r) or f != r[1] / r[0] for r, f in zip(ratios, wanted, strict=True)):
            value: Operand = tape.value(x)
            for axis, (size, to) in enumerate(ratios):
                given = ([to], None) if scale_factors is None else (None, [scale_factors[axis]])
                taken = line(torch.arange(float(size))[None, None], *given)
                value = tape.node("Gather", [value, taken[0, 0].long()], axis=axis + 2)
            tape.bind(out, value)
            return
        attributes = {"mode": "nearest", "nearest_mode": nearest_mode}
        attributes["coordinate_transformation_mode"] = places
        _resize(tape, out, x, scale_factors, **attributes)

    rule(*(getattr(_nn, name) for name in names))(write)


def _smooth(mode: str, *names: str) -> None:
    def write(
        tape: Tape,
        out: Tensor,
        x: Tensor,
        output_size: Any,
        align_corners: bool,
        scale_factors: Any = None,
    ) -> None:
        attributes: dict[str, Any] = {"mode": mode}
        places = "align_corners" if align_corners else "half_pixel"
        attributes["coordinate_transformation_mode"] = places
        if mode == "cubic":
            attributes["cubic_coeff_a"] = -0.75
            is_scaled = scale_factors is not None and not align_corners
            factors: list[float] = list(scale_factors or ()) if is_scaled else [1.0, 1.0]
            sizes = zip(x.shape[2:], out.shape[2:], factors, strict=True)
            is_moved = any(size == to and factor != 1 for size, to, factor in sizes)
            tape.expect(not is_moved, "bicubic interpolation to the same size by a factor")
        _resize(tape, out, x, None if align_corners else scale_factors, **attributes)

    rule(*(getattr(_nn, name) for name in names))(write)


_nearest("floor", "asymmetric", *(f"upsample_nearest{rank}d" for rank in (1, 2, 3)))
_nearest("round_prefer_ceil", "half_pixel", *(f"_upsample_nearest_exact{r}d" for r in (1, 2, 3)))
_smooth("linear", "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
_smooth("cubic", "upsample_bicubic2d")


@rule(_nn._upsample_bilinear2d_aa, _nn._upsample_bicubic2d_aa)
def antialias(tape: Tape, out: Tensor, *_: Any, **__: Any) -> None:
    """ONNX weighs the pixels otherwise."""
    tape.refuse("interpolate with antialias")


@rule(F.pixel_shuffle, torch.pixel_shuffle)
def pixel_shuffle(tape: Tape, out: Tensor, x: Tensor, upscale_factor: int) -> None:
    """Channels become positions, rows and columns of a block outermost."""
    tape.expect(x.dim() == 4, "pixel_shuffle without a batch axis")
    tape.emit(out, "DepthToSpace", [x], blocksize=int(upscale_factor), mode="CRD")


@rule(F.pixel_unshuffle, torch.pixel_unshuffle)
def pixel_unshuffle(tape: Tape, out: Tensor, x: Tensor, downscale_factor: int) -> None:
    """Positions become channels; ONNX's SpaceToDepth has another order of channels."""
    tape.expect(x.dim() == 4, "pixel_unshuffle without a batch axis")
    r = int(downscale_factor)
    _, channels, height, width = x.shape
    blocks = tape.node("Reshape", [x, Ints((0, channels, height // r, r, width // r, r))])
    tape.emit(
        out,
        "Reshape",
        [tape.node("Transpose", [blocks], perm=[0, 1, 3, 5, 2, 4]), Ints(out.shape)],
    )


@rule(F.channel_shuffle, torch.channel_shuffle, torch.native_channel_shuffle)
def channel_shuffle(tape: Tape, out: Tensor, x: Tensor, groups: int) -> None:
    """The first channels of all groups, then the second ones."""
    sizes = (0, int(groups), x.shape[1] // int(groups), -1)
    turned = tape.node("Transpose", [tape.node("Reshape", [x, Ints(sizes)])], perm=[0, 2, 1, 3])
    tape.emit(out, "Reshape", [turned, Ints(out.shape)])


@rule(Tensor.unfold)
def unfold(tape: Tape, out: Tensor, x: Tensor, dimension: int, size: int, step: int) -> None:
    """Windows of one axis: a gather of all their positions; positions inside come last."""
    axis = dimension % x.dim()
    starts = torch.arange(out.shape[axis]) * int(step)
    picked = tape.node("Gather", [x, starts[:, None] + torch.arange(int(size))], axis=axis)
    order = [place for place in range(x.dim() + 1) if place != axis + 1]
    tape.emit(out, "Transpose", [picked], perm=[*order, axis + 1])


@rule(_nn.im2col)
def im2col(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    kernel_size: IntOrInts,
    dilation: IntOrInts,
    padding: IntOrInts,
    stride: IntOrInts,
) -> None:
    """Patches as columns (`F.unfold`): rows are gathered, then columns."""
    tape.expect(x.dim() == 4, "unfold without a batch axis")
    pads = spread(padding, 2)
    value: Any = x
    if any(pads):
        value = tape.node("Pad", [x, Ints((0, 0, *pads, 0, 0, *pads))], mode="constant")
    sizes = zip(
        x.shape[2:], spread(kernel_size, 2), spread(dilation, 2), pads, spread(stride, 2),
        strict=True,
    )  # fmt: skip
    axis = 2
    for size, kernel, apart, pad, step in sizes:
        starts = torch.arange(0, size + 2 * pad - apart * (kernel - 1), step)
        places = apart * torch.arange(kernel)[:, None] + starts
        value = tape.node("Gather", [value, places], axis=axis)
        axis += 2
    turned = tape.node("Transpose", [value], perm=[0, 1, 2, 4, 3, 5])
    tape.emit(out, "Reshape", [turned, Ints((0, *out.shape[1:]))])


@rule(_nn.col2im)
def col2im(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    dilation: IntOrInts,
    padding: IntOrInts,
    stride: IntOrInts,
) -> None:
    """Columns are added up to an image (`F.fold`)."""
    tape.expect(x.dim() == 3, "fold without a batch axis")
    only_float32(tape, "fold", x)
    tape.emit(
        out,
        "Col2Im",
        [x, Ints(spread(output_size, 2)), Ints(spread(kernel_size, 2))],
        dilations=spread(dilation, 2),
        pads=spread(padding, 2) * 2,
        strides=spread(stride, 2),
    )


_GRID_MODES = ("linear", "nearest", "cubic")
_GRID_PADDING = ("zeros", "border", "reflection")


@rule(torch.grid_sampler)
def grid_sampler(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    grid: Tensor,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> None:
    """Values at given places."""
    only_float32(tape, "grid_sample", x, grid)
    tape.expect(x.dim() == 4, "grid_sample of volumes")
    tape.emit(
        out,
        "GridSample",
        [x, grid],
        mode=_GRID_MODES[interpolation_mode],
        padding_mode=_GRID_PADDING[padding_mode],
        align_corners=int(align_corners),
    )


@rule(torch.affine_grid_generator, F.affine_grid)
def affine_grid(tape: Tape, out: Tensor, *_: Any, **__: Any) -> None:
    """Onnxruntime has no kernel for it."""
    tape.refuse("affine_grid")


@rule(torch.as_strided, Tensor.as_strided)
def as_strided(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> None:
    """Places in memory: a gather within each example, if the first axis stays what it is."""
    is_whole = x.dim() > 1 and storage_offset in (None, x.storage_offset())
    is_whole = is_whole and (size[0], stride[0]) == (x.shape[0], x.stride(0))
    tape.expect(is_whole and all(step > 0 for step in x.stride()), "as_strided")
    left = torch.zeros((), dtype=torch.int64)
    for length, step in zip(size[1:], stride[1:], strict=True):
        left = left[..., None] + torch.arange(length) * step
    places = torch.zeros_like(left)
    for axis in sorted(range(1, x.dim()), key=lambda axis: -x.stride(axis)):
        along = left // x.stride(axis)
        tape.expect(int(along.max()) < x.shape[axis], "as_strided across examples")
        places += along * math.prod(x.shape[axis + 1 :])
        left = left - along * x.stride(axis)
    tape.expect(not bool(left.any()), "as_strided across examples")
    flat = tape.node("Reshape", [x, Ints((x.shape[0], math.prod(x.shape[1:])))])
    tape.emit(out, "Gather", [flat, places], axis=1)
