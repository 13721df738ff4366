"""Cases: indexing, gathering and scattering, sorting, writing in place."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.recorder.case import Case, fn, layer, weighted

_MASK = torch.tensor([True, False, True, True, False])
_PLACES = torch.tensor([2, 0, -1, 2])
_RELATIVE = torch.arange(5)[:, None] - torch.arange(5)[None, :] + 4
_ORDER = [4, 2, 0, 3, 1]


def _top(x: Tensor) -> Tensor:
    return x.topk(2, dim=1)[1]


INDEXING: list[Case] = [
    fn("x[:, 0]", lambda x: x[:, 0], 5, 4),
    fn("x[:, -1]", lambda x: x[:, -1], 5, 4),
    fn("x[..., 1]", lambda x: x[..., 1], 5, 4),
    fn("x[:, 1, 2]", lambda x: x[:, 1, 2], 5, 4),
    fn("x[:, 1:3]", lambda x: x[:, 1:3], 5, 4),
    fn("x[:, :-1]", lambda x: x[:, :-1] - x[:, 1:], 5, 4),
    fn("x[:, ::2]", lambda x: x[:, ::2, 1::2], 5, 4),
    fn("x[:, -3:-1]", lambda x: x[:, -3:-1], 5, 4),
    fn("x[:, 7:]", lambda x: torch.cat([x, x[:, 7:]], 1), 5, 4, refused="empty"),
    fn("x[:, None]", lambda x: x[:, None] - x[:, :, None], 5, 4),
    fn("x[..., None]", lambda x: x[..., None, :, None], 5, 4),
    fn("x[None]", lambda x: x[None][0], 5, 4),
    fn("x[:]", lambda x: x[:] + x[...] + x[:, :], 5, 4),
    fn("x[:, [2, 0]]", lambda x: x[:, [2, 0, 0]], 5, 4),
    fn("x[..., [2, 0]]", lambda x: x[..., [2, 0]], 5, 4),
    fn("x[:, order]", lambda x: x[:, _ORDER], 5, 4),
    fn("x[:, tensor]", lambda x: x[:, _PLACES], 5, 4),
    fn("x[:, tensor of two axes]", lambda x: x[:, _RELATIVE[:3, :2]], 9, 4),
    fn("x[:, tensor, 1:3]", lambda x: x[:, _PLACES, 1:3], 5, 4),
    fn("x[:, 1, tensor]", lambda x: x[:, 1, _PLACES], 5, 4),
    fn("x[:, tensor, 1]", lambda x: x[:, _PLACES, 1], 5, 4),
    fn("x[:, tensor, tensor]", lambda x: x[:, _PLACES, _PLACES], 5, 4),
    fn("x[:, tensor, :, tensor]", lambda x: x[:, _PLACES, :, _PLACES], 5, 4, 3),
    fn("x[:, i[:, None], j]", lambda x: x[:, _PLACES[:, None], torch.tensor([1, 0])], 5, 4),
    fn("x[:, mask]", lambda x: x[:, _MASK], 5, 4),
    fn("x[:, :, mask]", lambda x: x[:, :, _MASK], 4, 5),
    fn("x[:, list of flags]", lambda x: x[:, [True, False, True]], 3),
    fn("x[:, upper triangle]", lambda x: x[:, torch.ones(4, 4).triu(1).bool()], 4, 4),
    fn("x[:, triu_indices]", lambda x: x[:, *torch.triu_indices(4, 4, 1)], 4, 4),
    fn("x[x > 0]", lambda x: x[x > 0], 5, refused="mask"),
    fn("x[arange(B), 1]", lambda x: x[torch.arange(x.size(0)), 1], 5, 4),
    fn("x[arange(B), argmax]", lambda x: x[torch.arange(x.size(0)), x.sum(-1).argmax(1)], 5, 4),
    fn(
        "x[arange(B)[:, None], topk]",
        lambda x: x[torch.arange(x.size(0))[:, None], _top(x[..., 0])],
        5,
        4,
    ),
    fn("x[0]", lambda x: x + x[0], 5, 4),
    fn("x[-1]", lambda x: x + x[-1], 5, 4, refused="batch"),
    fn("x[:, n // 2]", lambda x: x[:, x.shape[1] // 2], 5, 4),
    fn("x[:, tensor(2)]", lambda x: x[:, torch.tensor(2)], 5, 4),
    weighted("w[relative]", lambda x, w: x + w[_RELATIVE], 5, 5, w=(9,)),
    weighted(
        "w[relative flat]",
        lambda x, w: x + w[_RELATIVE.view(-1)].view(5, 5, 2).permute(2, 0, 1),
        2,
        5,
        5,
        w=(9, 2),
    ),
    weighted("w[:n]", lambda x, w: x + w[: x.size(1)] + w[None, -5:], 5, 4, w=(9, 4)),
    weighted("w[0], w[1]", lambda x, w: x @ w[0] + x @ w[1].t(), 4, w=(2, 4, 4)),
    fn("select", lambda x: x.select(1, -1) + torch.select(x, 1, 0), 5, 4),
    fn("narrow", lambda x: x.narrow(1, 1, 3) + torch.narrow(x, dim=1, start=0, length=3), 5, 4),
    fn("index_select", lambda x: torch.index_select(x, 1, torch.tensor([3, 1])), 5, 4),
    fn("take_along_dim", lambda x: torch.take_along_dim(x, x.argsort(1), 1), 5, 4),
    fn("gather", lambda x: x.gather(1, x.argsort(dim=1)), 5, 4),
    fn("gather a smaller index", lambda x: torch.gather(x, 1, _top(x)), 5),
    fn("gather few columns", lambda x: x.gather(1, _top(x[..., 0])[..., None]), 5, 4),
    fn(
        "gather rows by expand",
        lambda x: x.gather(1, _top(x[..., 0])[..., None].expand(-1, -1, 4)),
        5,
        4,
    ),
    fn("take", lambda x: torch.take(x, torch.tensor([0, 3])), 5, refused="take"),
    fn("scatter", lambda x: torch.zeros_like(x).scatter(1, _top(x), 1.0) * x, 5),
    fn(
        "scatter_",
        lambda x: torch.zeros(x.size(0), 5).scatter_(1, x.argmax(1, keepdim=True), 2.0),
        5,
    ),
    fn("scatter tensor", lambda x: x.scatter(1, _top(x), x.topk(2)[0] * 2), 5),
    fn("scatter_add", lambda x: x.scatter_add(1, x.argsort(1), x.exp()), 5),
    fn("scatter_reduce", lambda x: x.scatter_reduce(1, x.argsort(1), x.exp(), "amax"), 5),
    fn("index_add", lambda x: x.index_add(1, torch.tensor([0, 0]), x[:, 2:4]), 5, 4),
    fn("index_fill", lambda x: x.index_fill(1, torch.tensor([0, 2]), 7.0), 5, 4),
    fn("index_copy", lambda x: x.index_copy(1, torch.tensor([0, 2]), x[:, :2]), 5, 4),
    fn("top-k", lambda x: x.topk(3)[0] + x.topk(3, dim=-1, largest=False).values, 5),
    fn("top-k places", lambda x: torch.topk(x, 2, dim=1).indices, 5, 4),
    fn("top-k unsorted", lambda x: x.topk(3, sorted=False)[0], 5, refused="sorted"),
    fn("top-k mask", lambda x: x * (x >= x.topk(2, -1)[0][..., -1:]), 5),
    fn("sort", lambda x: x.sort(dim=1)[0] + torch.sort(x, 1, descending=True)[0], 5, 4),
    fn("argsort", lambda x: x.argsort(1) - torch.argsort(x, dim=1, descending=True), 5),
    fn("msort", lambda x: torch.msort(x), 5, refused="msort"),
    fn(
        "searchsorted",
        lambda x: torch.searchsorted(torch.arange(3.0), x),
        5,
        refused="searchsorted",
    ),
    fn("bucketize", lambda x: torch.bucketize(x, torch.arange(3.0)), 5, refused="bucketize"),
]


class _Writes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        self.state += x.mean()
        return x + self.state


class _Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


def _then(change):
    """Change a copy of the input, then use it."""

    def run(x: Tensor) -> Tensor:
        y = x * 1
        change(y)
        return y + 0

    return run


def _set(index, value):
    return _then(lambda y: y.__setitem__(index, value))


def _through_view(x: Tensor) -> Tensor:
    y = x * 1
    y.view(-1).add_(1)
    return y * 2


def _base_behind_view(x: Tensor) -> Tensor:
    y = x * 1
    part = y[:, :2]
    y.mul_(3)
    return part + 1


def _chunks_in_place(x: Tensor) -> Tensor:
    y = x * 1
    left, _right = y.chunk(2, dim=1)
    left.relu_()
    return y


def _two_chunks(x: Tensor) -> Tensor:
    y = x * 1
    left, right = y.chunk(2, dim=1)
    left.relu_()
    right.tanh_()
    return y


def _part_of_constant(x: Tensor) -> Tensor:
    rows = torch.zeros(x.size(0), 2, 6)
    rows[:, 0].copy_(x)
    return rows * 2


def _part_of_input(x: Tensor) -> Tensor:
    x[:, 0].zero_()
    return x * 2


def _own_chunk(x: Tensor) -> Tensor:
    left, _right = (x * 1).chunk(2, dim=1)
    left.mul_(2)
    return left


def _alias_of_input(x: Tensor) -> Tensor:
    y = x
    y += 1
    return x * y


def _filled_rows(x: Tensor) -> Tensor:
    rows = torch.zeros(x.size(0), 5, 4)
    for index in range(5):
        rows[:, index] = x[:, index] * index
    return rows


def _filled_both(x: Tensor) -> Tensor:
    rows = x.new_zeros(x.size(0), 5, 4)
    rows[:, 1:3, :2] = x[:, :2, :2]
    rows[:, 4, 3] = x[:, 0, 0]
    return rows


def _stale_expand(x: Tensor) -> Tensor:
    y = x * 1
    z = y.t()
    y[:, 0] = 0
    return z.t()


def _kept_copy(x: Tensor) -> Tensor:
    y = x.clone()
    y.zero_()
    return x + y


IN_PLACE: list[Case] = [
    fn("add_", _then(lambda y: y.add_(1).mul_(2).sub_(0.5).div_(3)), 5),
    fn("relu_", _then(lambda y: y.relu_()), 5),
    fn("torch.relu_", _then(torch.relu_), 5),
    fn("exp_ and clamp_", _then(lambda y: y.exp_().clamp_(0, 2).sqrt_()), 5),
    fn("sigmoid_ and tanh_", _then(lambda y: (y.sigmoid_(), y.tanh_())), 5),
    fn("pow_ and neg_", _then(lambda y: y.pow_(2).neg_()), 5),
    fn("copy_", _then(lambda y: y.copy_(y.exp())), 5),
    fn("fill_", _then(lambda y: y.fill_(2.0)), 5),
    fn("zero_ of a copy", _kept_copy, 5),
    fn("addcmul_", _then(lambda y: y.addcmul_(y, y, value=0.5)), 5),
    fn("lerp_", _then(lambda y: y.lerp_(y * 2, 0.3)), 5),
    fn("clamp_min_", _then(lambda y: y.clamp_min_(0.1)), 5),
    fn("x[:, 0] = 1", _set((slice(None), 0), 1.0), 5, 4),
    fn("x[:, -1] = 1", _set((slice(None), -1), 1.0), 5, 4),
    fn("x[:, 1:3] = 0", _set((slice(None), slice(1, 3)), 0.0), 5, 4),
    fn("x[..., 0] = 2", _set((..., 0), 2), 5, 4),
    fn("x[:] = 2", _set(slice(None), 2.0), 5, 4),
    fn("x[:, 1:3, 0] = 2", _set((slice(None), slice(1, 3), 0), 2.0), 5, 4),
    fn("x[:, ::2] = 0", _set((slice(None), slice(None, None, 2)), 0.0), 5, 4),
    fn("x[:, list] = 0", _set((slice(None), [0, 3]), 0.0), 5, 4),
    fn("x[:, mask] = 0", _set((slice(None), _MASK), 0.0), 5, 4),
    fn(
        "x[:, list, list] = 0",
        _set((slice(None), [0, 1], [1, 2]), 0.0),
        *(5, 4),
        refused="several tensors",
    ),
    fn("x[0] = 0", _set(0, 0.0), 5, 4, refused="batch sizes"),
    fn("x[x > 0] = 0", _then(lambda y: y.__setitem__(y > 0, 0.5)), 5, 4),
    fn("x[x > 0] = values", _then(lambda y: y.__setitem__(y > 0, y[y > 0])), 5, refused="mask"),
    fn("x[:, 0] = its mean", _then(lambda y: y.__setitem__((slice(None), 0), y.mean(1))), 5, 4),
    fn("x[:, 0] += 1", _then(lambda y: y[:, 0].add_(1)), 5, 4),
    fn("x[:, ::2] += x", lambda x: _add_to_part(x * 1), 6, 4),
    fn("x[:, 1:] += x", lambda x: _add_shifted(x * 1), 6, 4),
    fn("rows filled one by one", _filled_rows, 5, 4),
    fn("parts of two axes filled", _filled_both, 5, 4),
    fn("a write through view()", _through_view, 5, 4),
    fn("a write under a slice", _base_behind_view, 5, 4, refused="view"),
    fn("a write into a chunk", _chunks_in_place, 6),
    fn("a write into a split", _then(lambda y: y.split([2, 4], dim=-1)[1].tanh_()), 6),
    fn("a write into select", _then(lambda y: y.select(1, -1).mul_(y.mean())), 6, 4),
    fn("a write into unbind", _then(lambda y: y.unbind(1)[2].exp_()), 6, 4),
    fn("a write through permute", _then(lambda y: y.permute(0, 3, 1, 2)[:, 1].neg_()), 3, 4, 5),
    fn("a write through transpose", _then(lambda y: y.transpose(1, 2).add_(y.mT)), 4, 4),
    fn("a write through detach", _then(lambda y: y.detach().mul_(2)), 4),
    fn("a write through flatten and a slice", _then(lambda y: y.flatten(1)[:, 1::3].zero_()), 4, 3),
    fn("a write through a list", _then(lambda y: y[:, [0, 2]].add_(1)), 4),
    fn("relu in place on a part", _then(lambda y: F.relu(y[:, 1:], inplace=True)), 4, 3),
    fn("two chunks written in turn", _two_chunks, 6, refused="view"),
    fn("a part of a constant", _part_of_constant, 6, refused="view"),
    fn("a part of the input", _part_of_input, 6, 4, refused="changes its input"),
    weighted(
        "a part of a weight", lambda x, w: x + w[0].add_(x.mean()), 4, w=(2, 4), refused="a weight"
    ),
    fn("a chunk of its own", _own_chunk, 6),
    fn("a write under a transpose", _stale_expand, 4, refused="view"),
    fn("another name of the input", _alias_of_input, 5, refused="changes its input"),
    fn("x.data", lambda x: x * x.data, 5, refused="data"),
    fn("set_", _then(lambda y: y.set_(torch.ones(2, 2))), 5, refused="view"),
    fn("unsqueeze_", lambda x: (x * 1).unsqueeze_(1).squeeze_(1), 5),
    fn("transpose_", lambda x: (x * 1).transpose_(1, 2), 5, 4),
    fn("out=", lambda x: torch.add(x, 1, out=torch.empty(x.shape)), 5, refused="add"),
    fn("resize_", _then(lambda y: y.resize_(1)), 5, refused="resize_"),
    fn("random_ in place", _then(lambda y: y.normal_()), 5, refused="random"),
    fn("fill_diagonal_", lambda x: (x * 1).fill_diagonal_(0), 5, refused="fill_diagonal_"),
    layer("a buffer that the input is written into", _Writes, 4, refused="a buffer"),
    layer("a buffer that counts the calls", _Counts, 4, refused="a buffer"),
    layer(
        "Sequential of in-place layers",
        lambda: nn.Sequential(nn.Linear(5, 5), nn.ReLU(True), nn.Hardtanh(inplace=True)),
        5,
    ),
    fn("residual in place", lambda x: _residual(x), 4, 5, 5),
    fn("relu in place under a residual", lambda x: F.relu(y := x * 2, inplace=True) + y, 5),
]


def _add_to_part(y: Tensor) -> Tensor:
    y[:, ::2] += y[:, 1::2]
    return y


def _add_shifted(y: Tensor) -> Tensor:
    y[:, 1:] += y[:, :-1].clone()
    return y


def _residual(x: Tensor) -> Tensor:
    y = F.avg_pool2d(x, 3, 1, 1)
    y += x
    return y.relu_()
