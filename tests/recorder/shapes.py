"""Cases: joining and cutting, reshaping, moving axes, shapes that grow with the batch."""

import math

import torch
from torch import Tensor

from tests.recorder.case import Case, fn, weighted

JOINING: list[Case] = [
    fn("cat", lambda x: torch.cat([x, x.exp()], dim=1), 3, 4),
    fn("cat of the last axis", lambda x: torch.cat((x, x[..., :1]), -1), 3, 4),
    fn("concat", lambda x: torch.concat([x, x], 1) + torch.concatenate([x, x], dim=1), 3),
    fn("cat with a constant", lambda x: torch.cat([x, torch.ones(x.size(0), 1)], 1), 3),
    fn("cat of types", lambda x: torch.cat([x, (x > 0).long()], 1), 3),
    fn("cat of one", lambda x: torch.cat([x], 1), 3),
    fn("cat of the batch", lambda x: torch.cat([x, x * 2], 0)[: x.size(0)], 3),
    fn("stack", lambda x: torch.stack([x, x.exp()], dim=1), 3, 4),
    fn("stack at the end", lambda x: torch.stack((x, x * 2, x * 3), -1), 3, 4),
    fn("stack first", lambda x: torch.stack([x, x * 2]).sum(0), 3, 4),
    fn("hstack", lambda x: torch.hstack([x, x * 2]), 3),
    fn("vstack", lambda x: torch.vstack([x, x * 2])[: x.size(0)], 3),
    fn("dstack", lambda x: torch.dstack([x, x * 2]), 3, 4),
    fn("column_stack", lambda x: torch.column_stack([x, x * 2]), 3),
    fn("split", lambda x: torch.cat(x.split(2, dim=1)[::-1], 1), 5, 4),
    fn("split by sizes", lambda x: torch.split(x, [1, 4], dim=1)[1], 5, 4),
    fn("split keywords", lambda x: x.split(split_size=2, dim=-1)[0], 5, 4),
    fn("chunk", lambda x: sum(x.chunk(2, dim=1)), 6, 4),
    fn("chunk of five in two", lambda x: torch.chunk(x, 2, 1)[1], 5, 4),
    fn("chunk of one", lambda x: x.chunk(1, -1)[0] * 2, 5),
    fn("tensor_split", lambda x: torch.tensor_split(x, 3, dim=1)[0], 5, 4),
    fn("unbind", lambda x: sum(x.unbind(1)), 3, 4),
    fn("unbind of the last axis", lambda x: torch.unbind(x, dim=-1)[1], 3, 4),
    fn("hsplit", lambda x: torch.hsplit(x, 2)[0], 6, 4),
    fn("iteration", lambda x: torch.stack([row * 2 for row in x.transpose(0, 1)], 1), 3, 4),
    fn("block of branches", lambda x: torch.cat([f(x) for f in (torch.relu, torch.tanh)], 1), 3, 4),
    fn("cartesian", lambda x: x @ torch.cartesian_prod(torch.ones(1), torch.ones(3)).t(), 2),
    weighted("parameters stacked", lambda x, a, b: x @ torch.stack([a, b], 1), 4, a=(4,), b=(4,)),
    weighted("cat of weights", lambda x, a, b: x @ torch.cat([a, b], 1), 4, a=(4, 2), b=(4, 3)),
]

RESHAPING: list[Case] = [
    fn("view", lambda x: x.view(x.size(0), -1), 3, 4),
    fn("view of shape[0]", lambda x: x.view(x.shape[0], 12), 3, 4),
    fn("view minus one", lambda x: x.view(-1, 12), 3, 4),
    fn("view of a tuple", lambda x: x.view((x.size(0), 2, 6)), 3, 4),
    fn("view like", lambda x: x.view_as(x) + x.reshape_as(x), 3, 4),
    fn("reshape B*T and back", lambda x: x.reshape(-1, 4).tanh().reshape(x.size(0), 3, 4), 3, 4),
    fn("reshape B*T", lambda x: x.reshape(x.size(0) * 3, 4).view(-1, 3, 4), 3, 4),
    fn(
        "reshape T, B",
        lambda x: x.transpose(0, 1).reshape(3, -1).view(3, -1, 4).transpose(0, 1),
        3,
        4,
    ),
    fn("flatten", lambda x: x.flatten(1) + torch.flatten(x, start_dim=1), 3, 4),
    fn("flatten middle", lambda x: x.flatten(1, 2).flatten(-2, -1), 3, 4, 5),
    fn("flatten all and back", lambda x: x.flatten().view(x.shape), 3, 4),
    fn("unflatten", lambda x: x.unflatten(1, (2, 3)) + torch.unflatten(x, 1, (2, -1)), 6),
    fn("squeeze", lambda x: x.unsqueeze(1).squeeze(1) + x.unsqueeze(-1).squeeze(-1), 3, 4),
    fn("squeeze of all", lambda x: x[:, None].squeeze() + x, 3, 4, refused="batch sizes"),
    fn("squeeze of two", lambda x: x[:, None, :, None].squeeze((1, 3)), 3, 4),
    fn("permute", lambda x: x.permute(0, 2, 1) + torch.permute(x, (0, 2, 1)), 3, 4),
    fn("permute negative", lambda x: x.permute(0, -1, 1, 2).contiguous(), 3, 4, 5),
    fn("transpose", lambda x: x.transpose(1, 2) + torch.transpose(x, -1, -2), 3, 4),
    fn("transpose of the batch", lambda x: x.transpose(0, 1).contiguous().transpose(0, 1), 3, 4),
    fn("transpose keywords", lambda x: torch.transpose(x, dim0=1, dim1=2), 3, 4),
    fn("swapaxes", lambda x: x.swapaxes(1, 2) + torch.swapdims(x, 1, 2), 3, 4),
    fn("movedim", lambda x: x.movedim(1, -1) + torch.movedim(x, (1,), (3,)), 3, 4, 5),
    fn("moveaxis of two", lambda x: torch.moveaxis(x, (1, 2), (2, 1)), 3, 4, 5),
    fn("mT", lambda x: x.mT @ x, 3, 4),
    fn("T", lambda x: (x.T * 2).T, 4),
    fn("t", lambda x: x.t().t(), 4),
    fn("T of three axes", lambda x: x.T.permute(2, 1, 0), 3, 4),
    fn("H", lambda x: x.mH, 3, 4),
    fn("expand", lambda x: x.unsqueeze(1).expand(-1, 5, -1), 4),
    fn("expand to the batch", lambda x: x + torch.ones(1, 4).expand(x.size(0), 4), 4),
    fn("expand of more axes", lambda x: x.expand(2, *x.shape).sum(0), 4),
    fn("expand_as", lambda x: x.mean(1, keepdim=True).expand_as(x), 4, 5),
    fn("broadcast_to", lambda x: torch.broadcast_to(x[:, :1], (x.size(0), 3)), 4),
    fn("broadcast_tensors", lambda x: torch.broadcast_tensors(x, x[:, :1])[1], 4),
    fn("repeat", lambda x: x.repeat(1, 2) + torch.tile(x, (1, 2)) + x.tile(2), 4),
    fn("repeat of more axes", lambda x: x.repeat(2, 1, 1).sum(0), 4),
    fn("repeat for the batch", lambda x: x + torch.arange(4.0).repeat(x.size(0), 1), 4),
    fn("repeat_interleave", lambda x: x.repeat_interleave(2, dim=1), 4, 3),
    fn("repeat_interleave function", lambda x: torch.repeat_interleave(x, 3, dim=-1), 4),
    fn(
        "repeat_interleave by a tensor",
        lambda x: x.repeat_interleave(torch.tensor([1, 2]), 1),
        2,
    ),
    fn("repeat_interleave of all", lambda x: x.repeat_interleave(2).view(-1, 8), 4),
    fn("roll", lambda x: x.roll(1, 1) + torch.roll(x, -2, dims=2), 3, 4),
    fn("roll of two", lambda x: torch.roll(x, shifts=(-1, 2), dims=(1, 2)), 3, 4),
    fn("roll by more than the size", lambda x: x.roll(7, 1) + x.roll(-9, 1) + x.roll(4, 1), 4),
    fn("roll of all", lambda x: torch.roll(x, 1), 4, refused="roll"),
    fn("roll of the batch", lambda x: x.roll(1, 0) * 0 + x, 4, refused="batch sizes"),
    fn("flip", lambda x: x.flip(1) + torch.flip(x, [1, 2]) + x.flip(-1), 3, 4),
    fn("fliplr", lambda x: torch.fliplr(x), 3, 4),
    fn("flipud of a weightless batch", lambda x: torch.flipud(x) * 0 + x, 3),
    fn("rot90", lambda x: torch.rot90(x, 1, (2, 3)), 2, 3, 4),
    fn("diagonal", lambda x: x.diagonal(dim1=1, dim2=2), 4, 4),
    fn("diagonal offset", lambda x: torch.diagonal(x, 1, 1, 2), 4, 5),
    fn("as_strided", lambda x: x.as_strided((x.size(0), 3, 2), (4, 1, 1)), 4),
    fn(
        "as_strided across examples",
        lambda x: x.as_strided((2, 2), (1, 1)),
        4,
        refused="as_strided",
    ),
    fn("view as another type", lambda x: x.view(torch.int32), 4, refused="type"),
    fn("contiguous", lambda x: x.transpose(1, 2).contiguous().view(x.size(0), -1), 3, 4),
    fn("channels_last", lambda x: x.contiguous(memory_format=torch.channels_last) * 2, 3, 4, 4),
    fn("atleast_3d", lambda x: torch.atleast_3d(x), 4),
    fn("ravel", lambda x: x.ravel().reshape(x.size()), 4),
    fn("unsqueeze many", lambda x: x.unsqueeze(0).unsqueeze(2).squeeze(0), 4),
    fn("mesh of tokens", lambda x: x.permute(0, 2, 3, 1).reshape(x.size(0), -1, 3), 3, 4, 5),
    fn("window partition", lambda x: _windows(x), 4, 4, 3),
    fn("swap of batch and time", lambda x: x.permute(1, 0, 2).flip(0).permute(1, 0, 2), 5, 3),
]


def _windows(x: Tensor) -> Tensor:
    batch, height, width, channels = x.shape
    x = x.view(batch, height // 2, 2, width // 2, 2, channels)
    windows = x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 4, channels)
    windows = windows - windows.mean(1, keepdim=True)
    per_image = windows.view(batch, height // 2, width // 2, 2, 2, channels)
    return per_image.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)


def _positions(x: Tensor) -> Tensor:
    steps = torch.arange(x.size(1)).unsqueeze(1)
    rates = torch.exp(torch.arange(0, x.size(2), 2) * (-math.log(10000.0) / x.size(2)))
    table = torch.zeros(x.size(1), x.size(2))
    table[:, 0::2] = torch.sin(steps * rates)
    table[:, 1::2] = torch.cos(steps * rates)
    return x + table.unsqueeze(0)


def _grid(x: Tensor) -> Tensor:
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, x.size(2)), torch.linspace(-1, 1, x.size(3)), indexing="ij"
    )
    places = torch.stack([rows, columns]).unsqueeze(0).expand(x.size(0), -1, -1, -1)
    return torch.cat([x, places], dim=1)


def _rotary(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    angles = torch.outer(torch.arange(x.size(1)), 1.0 / 100 ** (torch.arange(half) / half))
    cosine, sine = angles.cos(), angles.sin()
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], -1)


MADE_IN_FORWARD: list[Case] = [
    fn("new_zeros", lambda x: torch.cat([x.new_zeros(x.size(0), 1), x], 1), 4),
    fn("zeros of the batch", lambda x: torch.zeros(x.size(0), 4) + x, 4),
    fn(
        "zeros of the batch, joined",
        lambda x: torch.cat([torch.zeros(x.shape[0], 2, 4), x], 1),
        3,
        4,
    ),
    fn("ones_like", lambda x: torch.ones_like(x) - x + torch.zeros_like(x), 4),
    fn("full", lambda x: torch.full((x.size(0), 4), 0.3) * x + torch.full_like(x, 2.0), 4),
    fn("full of integers", lambda x: x + torch.full((x.size(0), 1), 3), 4),
    fn("empty filled", lambda x: torch.empty(x.size(0), 4).fill_(2.0) * x, 4),
    fn("arange of the axis", lambda x: x + torch.arange(x.shape[1]), 4),
    fn("arange times", lambda x: x * torch.arange(0, 1, 0.25).to(x), 4),
    fn("arange of the batch", lambda x: x + torch.arange(x.size(0))[:, None], 4),
    fn(
        "linspace over the batch",
        lambda x: x * torch.linspace(0, 1, x.size(0))[:, None],
        4,
        refused="batch",
    ),
    fn("arange of floats", lambda x: x + torch.arange(4, dtype=torch.float32, device=x.device), 4),
    fn("linspace", lambda x: x * torch.linspace(0, 1, x.size(-1)), 4),
    fn("positions made in forward", _positions, 5, 4),
    fn("grid made in forward", _grid, 2, 4, 5),
    fn("rotary", _rotary, 5, 4),
    fn("eye", lambda x: x @ torch.eye(4) + torch.eye(4)[0], 4),
    fn("tril mask", lambda x: x.masked_fill(torch.ones(4, 4).tril() == 0, -9.0).softmax(-1), 4, 4),
    fn(
        "triu mask of infinity",
        lambda x: (x + torch.full((4, 4), -math.inf).triu(1)).softmax(-1),
        4,
        4,
    ),
    fn("constant tensor", lambda x: x * torch.tensor([1.0, 2.0, 3.0, 4.0]), 4),
    fn("scalar tensor", lambda x: x * torch.tensor(2.5) + torch.tensor(1), 4),
    fn(
        "size arithmetic",
        lambda x: x.view(x.size(0), x.size(1) // 2, 2).mean(2) / x.size(1) ** 0.5,
        6,
    ),
    fn("the size of the batch as a number", lambda x: x / x.size(0), 4, refused="batch"),
    fn("numel", lambda x: x * (x[0].numel() / 4.0), 4),
    fn("len", lambda x: x.view(len(x), -1), 3, 4),
    fn("shape of the batch", lambda x: torch.ones(x.shape[:1]).unsqueeze(1) * x, 4),
    fn("new_full", lambda x: x + x.new_full((4,), 2.0) + x.new_ones(x.shape), 4),
    fn("tensor of the width", lambda x: x / torch.sqrt(torch.tensor(x.size(-1))), 4),
    fn("tensor.new_tensor", lambda x: x + x.new_tensor([1, 2, 3, 4]), 4),
    fn("one_hot positions", lambda x: x + torch.nn.functional.one_hot(torch.arange(4), 4)[1], 4),
    fn("windows", lambda x: x * torch.hann_window(4), 4),
    fn("mask by length", lambda x: x * (torch.arange(4) < 3), 4),
    fn(
        "fixed Fourier features",
        lambda x: torch.cat([x.sin(), (x * 2 ** torch.arange(4)).cos()], 1),
        4,
    ),
    fn("ignored branch", lambda x: x if x.shape[1] > 2 else x * 2, 4),
]
