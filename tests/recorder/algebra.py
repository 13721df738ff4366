"""Cases: products of matrices, einsum, reductions, running sums, element by element."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.recorder.case import Case, fn, weighted

_EINSUM = {
    "bi,bj->bij": (4,),
    "bij,bkj->bik": (3, 4),
    "bij,bjk->bik": (4, 4),
    "bii->bi": (4, 4),
    "bii->b": (4, 4),
    "bij->bji": (3, 4),
    "bij->b": (3, 4),
    "bhid,bhjd->bhij": (2, 3, 4),
    "b h i d, b h j d -> b h i j": (2, 3, 4),
    "...d,...d->...": (3, 4),
    "b...d,b...e->b...de": (3, 4),
    "bnc,bnc->bn": (3, 4),
    "bij,bij": (3, 4),
    "bnC,bmC->bnm": (3, 4),
}

PRODUCTS: list[Case] = [
    *(
        fn(
            f"einsum {equation}",
            lambda x, e=equation: torch.einsum(e, *([x, x * 2][: e.count(",") + 1])),
            *shape,
        )
        for equation, shape in _EINSUM.items()
    ),
    weighted(
        "einsum with a weight", lambda x, w: torch.einsum("bnd,de->bne", x, w), 3, 4, w=(4, 5)
    ),
    weighted("einsum heads", lambda x, w: torch.einsum("bnd,hde->bhne", x, w), 3, 4, w=(2, 4, 5)),
    weighted(
        "einsum of three",
        lambda x, w, v: torch.einsum("bi,ij,jk->bk", x, w, v),
        *(4,),
        w=(4, 3),
        v=(3, 5),
    ),
    weighted("einsum of a list", lambda x, w: torch.einsum("bi,ij->bj", [x, w]), 4, w=(4, 3)),
    weighted(
        "einsum of two weights", lambda x, w: x @ torch.einsum("ij,kj->ik", w, w), 4, w=(4, 3)
    ),
    weighted(
        "einsum as axes", lambda x, w: torch.einsum(x, [0, 1], w, [1, 2], [0, 2]), 4, w=(4, 3)
    ),
    fn("matmul", lambda x: torch.matmul(x, x.transpose(1, 2)), 3, 4),
    fn("bmm", lambda x: torch.bmm(x, x.mT), 3, 4),
    weighted("mm", lambda x, w: torch.mm(x, w), 4, w=(4, 3)),
    weighted("Tensor.mm", lambda x, w: x.mm(w), 4, w=(4, 3)),
    weighted("addmm", lambda x, w, b: torch.addmm(b, x, w, beta=0.5, alpha=2), 4, w=(4, 3), b=(3,)),
    fn("baddbmm", lambda x: torch.baddbmm(x, x, x, beta=0.5, alpha=0.1), 4, 4),
    weighted("addmv", lambda x, w, b: x + torch.addmv(b, w, b), 4, w=(4, 4), b=(4,)),
    weighted("outer", lambda x, v: x @ torch.outer(v, v), 4, v=(4,)),
    weighted("inner", lambda x, v: torch.inner(x, v), 3, 4, v=(4,)),
    weighted("mv", lambda x, v: torch.mv(x, v), 4, v=(4,)),
    weighted("dot", lambda x, v: x * torch.dot(v, v), 4, v=(4,)),
    weighted("tensordot", lambda x, w: torch.tensordot(x, w, dims=1), 3, 4, w=(4, 5)),
    weighted(
        "tensordot of axes", lambda x, w: torch.tensordot(x, w, ([1, 2], [1, 0])), 3, 4, w=(4, 3, 5)
    ),
    weighted("kron", lambda x, w: x @ torch.kron(w, w), 4, w=(2, 2), refused="kron"),
    fn("cdist", lambda x: torch.cdist(x, x + 1), 3, 4),
    fn("cosine_similarity", lambda x: F.cosine_similarity(x, x.flip(-1), dim=-1), 3, 4),
    fn("pairwise_distance", lambda x: F.pairwise_distance(x, x.flip(-1)), 4),
    weighted(
        "chain_matmul", lambda x, u, v: torch.linalg.multi_dot([x, u, v]), 4, u=(4, 2), v=(2, 3)
    ),
    weighted("linalg.matmul", lambda x, w: torch.linalg.matmul(x, w), 4, w=(4, 3)),
    weighted("inverse", lambda x, w: x @ torch.linalg.inv(w), 4, w=(4, 4), refused="inv"),
    fn("trace", lambda x: x.diagonal(dim1=1, dim2=2).sum(-1), 4, 4),
    fn("diag_embed", lambda x: torch.diag_embed(x), 4),
    weighted("diag", lambda x, w: x @ torch.diag(w), 4, w=(4,)),
    fn("tril", lambda x: torch.tril(x) + x.triu(1) * 2, 4, 4),
    fn("cross", lambda x: torch.cross(x, x.flip(1), dim=-1), 4, 3, refused="cross"),
]

REDUCTIONS: list[Case] = [
    fn("sum of all but the batch", lambda x: x.sum((1, 2)), 3, 4),
    fn("sum keeps", lambda x: x.sum(dim=1, keepdim=True) + torch.sum(x, -1, True), 3, 4),
    fn("sum of all", lambda x: x * 0 + x.sum(), 3, 4),
    fn("mean", lambda x: x.mean([-1, -2]), 3, 4, 5),
    fn("mean axis", lambda x: x.mean(axis=1), 3, 4),
    fn("amax", lambda x: x.amax(1) + x.amin((1,), keepdim=False), 3, 4),
    fn("amax of two axes", lambda x: torch.amax(x, (1, 2)), 3, 4),
    fn("aminmax", lambda x: torch.aminmax(x, dim=1)[0], 3, 4),
    fn("max with places", lambda x: x.max(1)[0] + x.max(dim=1).indices, 3, 4),
    fn("max keeps", lambda x: x - x.max(-1, keepdim=True)[0], 3, 4),
    fn("min values", lambda x: torch.min(x, dim=2).values, 3, 4),
    fn("max of all", lambda x: x / x.abs().max(), 3, 4),
    fn("max of two", lambda x: torch.max(x, x.flip(1)) + torch.min(x, -x), 3, 4),
    fn("argmax", lambda x: x.argmax(1), 3, 4),
    fn("argmin keeps", lambda x: torch.argmin(x, dim=-1, keepdim=True), 3, 4),
    fn("argmax of all", lambda x: x.argmax() + x * 0, 3, 4, refused="argmax"),
    fn("prod", lambda x: x.prod(1) + torch.prod(x, dim=1, keepdim=False), 3, 4),
    fn("std", lambda x: x.std(1), 3, 4),
    fn("std biased", lambda x: x.std(dim=1, unbiased=False) + torch.std(x, 1, False), 3, 4),
    fn("std correction", lambda x: torch.std(x, dim=(1, 2), correction=0), 3, 4),
    fn("var", lambda x: x.var(-1, keepdim=True) + x.var((1, 2), keepdim=True), 3, 4),
    fn(
        "var_mean",
        lambda x: torch.var_mean(x, dim=1, correction=0)[0] + torch.std_mean(x, 1)[1],
        3,
        4,
    ),
    fn("norm", lambda x: x.norm(dim=-1) + torch.norm(x, dim=-1, keepdim=False), 3, 4),
    fn("norm p=1", lambda x: x.norm(p=1, dim=1), 3, 4),
    fn("norm p=inf", lambda x: x.norm(p=math.inf, dim=1), 3, 4),
    fn("norm p=3", lambda x: x.norm(3, dim=1, keepdim=True), 3, 4),
    fn("norm of all", lambda x: x / x.norm(), 3, 4),
    fn("frobenius", lambda x: torch.norm(x, p="fro", dim=(1, 2)), 3, 4),
    fn("vector_norm", lambda x: torch.linalg.vector_norm(x, ord=2, dim=-1), 3, 4),
    fn("linalg.norm", lambda x: torch.linalg.norm(x, dim=1), 3, 4),
    fn("logsumexp", lambda x: x.logsumexp(1) + torch.logsumexp(x, dim=1), 3, 4),
    fn("any", lambda x: (x > 1).any(dim=1), 3, 4),
    fn("all", lambda x: torch.all(x > -1, dim=1, keepdim=True), 3, 4),
    fn("median", lambda x: x.median(dim=1)[0], 3, 4, refused="median"),
    fn("mode", lambda x: x.mode(dim=1)[0], 3, 4, refused="mode"),
    fn("quantile", lambda x: x.quantile(0.5, dim=1), 3, 4, refused="quantile"),
    fn("kthvalue", lambda x: x.kthvalue(2, dim=1)[0], 3, 4, refused="kthvalue"),
    fn("unique", lambda x: torch.unique(x), 3, 4, refused="unique"),
    fn("nonzero", lambda x: torch.nonzero(x > 0), 3, 4, refused="nonzero"),
    fn("count_nonzero", lambda x: torch.count_nonzero(x > 0, dim=1), 3, 4),
    fn("cumsum", lambda x: x.cumsum(1) + torch.cumsum(x, dim=-1), 3, 4),
    fn("cumsum of flags", lambda x: torch.cumsum(x > 0, dim=1), 3, 4),
    fn("cumprod", lambda x: x.cumprod(1), 3, 4, refused="cumprod"),
    fn("cummax", lambda x: x.cummax(1)[0], 3, 4, refused="cummax"),
    fn("cummin", lambda x: torch.cummin(x, 1).values, 3, 4, refused="cummin"),
    fn("logcumsumexp", lambda x: torch.logcumsumexp(x, 1), 3, 4, refused="logcumsumexp"),
    fn("diff", lambda x: torch.diff(x, dim=1), 5, 4),
    fn("nansum", lambda x: x.nansum(1), 3, 4, refused="nansum"),
    fn("cov", lambda x: torch.cov(x.sum((0, 1)).expand(2, 4)), 3, 4, refused="cov"),
]


def _positive(x: Tensor) -> Tensor:
    return x.abs() + 0.1


_UNARY = (
    *(
        [
            "abs",
            "neg",
            "exp",
            "exp2",
            "expm1",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "atan",
            "sigmoid",
            "floor",
            "ceil",
            "round",
        ]
    ),
    *(
        [
            "trunc",
            "frac",
            "sign",
            "sgn",
            "erf",
            "erfc",
            "sinc",
            "square",
            "relu",
            "isnan",
            "isinf",
            "isfinite",
            "signbit",
            "positive",
        ]
    ),
    *(["logical_not", "deg2rad", "rad2deg", "nan_to_num", "i0", "special.expit", "special.erf"]),
)
_POSITIVE = [
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "lgamma",
    "digamma",
]
_UNIT = ["asin", "acos", "atanh", "logit"]
_REFUSED_UNARY = {"i0", "lgamma", "digamma", "signbit"}


def _function(name: str) -> Callable[..., Tensor]:
    home = torch.special if name.startswith("special.") else torch
    return getattr(home, name.removeprefix("special."))


def _unary(name: str, prepare: Callable[[Tensor], Tensor]) -> Case:
    """A function of one tensor, in the range where it is defined."""
    function = _function(name)
    refused = name if name in _REFUSED_UNARY else ""
    return fn(name, lambda x: function(prepare(x)), 5, refused=refused)


ELEMENTWISE: list[Case] = [
    *(_unary(name, lambda x: x * 2) for name in _UNARY),
    *(_unary(name, _positive) for name in _POSITIVE),
    *(_unary(name, lambda x: x.sigmoid() * 0.9 + 0.05) for name in _UNIT),
    fn("acosh", lambda x: torch.acosh(1 + x.exp()), 5),
    fn("erfinv", lambda x: torch.erfinv(x.tanh()), 5, refused="erfinv"),
    fn("arithmetic", lambda x: (x + 1) * 2 - x / 3 + (1 - x) * (2 / _positive(x)), 5),
    fn("reversed", lambda x: 2**x + 3 - x + 1 / _positive(x), 5),
    fn("in-place operators", lambda x: _operators(x * 1), 5),
    fn("add alpha", lambda x: torch.add(x, x.flip(1), alpha=2) + x.add(1, alpha=3), 5),
    fn("sub alpha", lambda x: torch.sub(x, 1, alpha=2) - x.sub(x, alpha=0.5), 5),
    fn("rsub", lambda x: torch.rsub(x, 2) + torch.rsub(x, x.exp()), 5),
    fn("mul of three", lambda x: torch.mul(x, 3) * x.mul(x), 5),
    fn("div", lambda x: torch.div(x, 2) + x.div(_positive(x)) + x.true_divide(4), 5),
    fn("div floor", lambda x: torch.div(x * 3, 2, rounding_mode="floor"), 5),
    fn("div trunc", lambda x: torch.div(x * 3, 2, rounding_mode="trunc"), 5),
    fn("floor_divide", lambda x: (x * 9) // 2 + torch.floor_divide(x * 5, 0.7), 5),
    fn("integer floor_divide", lambda x: (x * 9).long() // 4, 5),
    fn("integer division", lambda x: (x * 9).long() / 4, 5),
    fn("remainder", lambda x: (x * 9) % 4 + torch.remainder(x, -0.7), 5),
    fn("integer remainder", lambda x: (x * 9).long() % 4 + torch.remainder((x * 9).long(), -3), 5),
    fn("fmod", lambda x: torch.fmod(x * 9, 2) + torch.fmod(x, _positive(x)), 5),
    fn("pow", lambda x: x**2 + x.pow(3) + torch.pow(2.5, x) + _positive(x) ** 0.5, 5),
    fn("pow of two", lambda x: torch.pow(_positive(x), x) + _positive(x) ** -1, 5),
    fn("pow of integers", lambda x: (x * 3).long() ** 2, 5),
    fn("addcmul", lambda x: torch.addcmul(x, x.flip(1), x, value=0.5), 5),
    fn("addcdiv", lambda x: torch.addcdiv(x, x.flip(1), _positive(x), value=2), 5),
    fn("lerp", lambda x: torch.lerp(x, x.flip(1), 0.3) + x.lerp(x * 2, x.sigmoid()), 5),
    fn("hypot", lambda x: torch.hypot(x, x.flip(1)), 5),
    fn("atan2", lambda x: torch.atan2(x, x.flip(1)), 5, refused="atan2"),
    fn("copysign", lambda x: torch.copysign(x, x.flip(1)), 5, refused="copysign"),
    fn("heaviside", lambda x: torch.heaviside(x, torch.tensor(0.5)), 5, refused="heaviside"),
    fn("xlogy", lambda x: torch.xlogy(x, _positive(x)), 5, refused="xlogy"),
    fn("logaddexp", lambda x: torch.logaddexp(x, x.flip(1)), 5, refused="logaddexp"),
    fn("maximum", lambda x: torch.maximum(x, x.flip(1)) - torch.minimum(x, torch.zeros(5)), 5),
    fn("fmax", lambda x: torch.fmax(x, x.flip(1)), 5, refused="fmax"),
    fn("clamp", lambda x: x.clamp(-0.5, 0.5) + torch.clamp(x, min=0) + x.clamp(max=0.2), 5),
    fn("clamp by tensors", lambda x: torch.clamp(x, x.flip(1) - 1, x.flip(1) + 1), 5),
    fn("clamp_min", lambda x: x.clamp_min(0.1) + torch.clamp_max(x, 0.3), 5),
    fn("clamp of integers", lambda x: (x * 9).long().clamp(-3, 3), 5),
    fn("where", lambda x: torch.where(x > 0, x, 0.1 * x) + torch.where(x > 1, 1.0, x), 5),
    fn("where of numbers", lambda x: torch.where(x > 0, 1.0, -1.0), 5),
    fn("Tensor.where", lambda x: x.where(x > 0, torch.zeros(5)), 5),
    fn("where with one argument", lambda x: torch.where(x > 0)[0], 5, refused="where"),
    fn("masked_fill", lambda x: x.masked_fill(x < 0, -1e9).softmax(-1), 5),
    fn(
        "masked_fill infinity",
        lambda x: x.masked_fill(x < x.mean(1, True), -math.inf).softmax(-1),
        5,
    ),
    fn("masked_fill_", lambda x: x.clone().masked_fill_(x > 0, 3.0), 5),
    fn("masked_fill by a weightless mask", lambda x: x.masked_fill(torch.eye(5).bool(), 0.0), 5, 5),
    fn("masked_select", lambda x: torch.masked_select(x, x > 0), 5, refused="masked_select"),
    fn("comparisons", lambda x: (x > 0) & (x < 1) | (x == 0) | ~(x >= -1) ^ (x <= 0.5), 5),
    fn("comparison functions", lambda x: torch.gt(x, 0) | x.lt(-1) | torch.eq(x, x) & x.ne(0), 5),
    fn("comparison times", lambda x: (x > 0) * x + (x > 0).float() * 2, 5),
    fn("comparison of types", lambda x: (x * 3).long() > 0.5, 5),
    fn("arithmetic of flags", lambda x: (x > 0) * (x < 1) + (x > 2), 5),
    fn("flags chosen", lambda x: torch.where(x > 0, x < 1, x > -1).masked_fill(x > 2, True), 5),
    fn("flags compared", lambda x: (x > 0) >= (x > 1), 5),
    fn("relu of integers", lambda x: torch.relu((x * 9).long()), 5),
    fn("division by nought", lambda x: x // (x > 0) + torch.div(x, 0, rounding_mode="floor"), 5),
    fn("half arithmetic", lambda x: (x.half() + 1).float(), 5, refused="half precision"),
    fn("power of integers", lambda x: 2 ** (x * 3).long().abs(), 5, refused="a power of whole"),
    fn("sum of flags", lambda x: (x > 0).sum(1) + torch.sum(x > 1, 1), 5),
    fn("flags plus numbers", lambda x: (x > 0) + 1.5, 5),
    fn("logical", lambda x: torch.logical_and(x > 0, x < 1) | torch.logical_xor(x > 0, x > 1), 5),
    fn("logical of numbers", lambda x: torch.logical_or(x.relu(), x > 1), 5),
    fn("bits", lambda x: (x * 9).long() & 3, 5),
    fn("shift", lambda x: (x * 9).abs().long() << 2, 5, refused="shift"),
    fn("isclose", lambda x: torch.isclose(x, x * 1.001), 5, refused="isclose"),
    fn("float64", lambda x: (x.double() * 2).float() + x.to(torch.float64).exp().to(x.dtype), 5),
    fn("half", lambda x: x.half().float(), 5),
    fn("bfloat16", lambda x: x.bfloat16().float() + x.to(torch.bfloat16).to(torch.float32), 5),
    fn("integers", lambda x: ((x * 9).int() + 2) * 3 - (x * 5).long(), 5),
    fn("integers and floats", lambda x: (x * 9).long() * 0.5 + x, 5),
    fn("to like", lambda x: (x > 0).to(x) + (x > 0).type_as(x) + (x > 1).to(dtype=x.dtype), 5),
    fn("double output", lambda x: x.double(), 5),
    fn("softmax by hand", lambda x: (x - x.amax(-1, True)).exp() / x.exp().sum(-1, True), 5),
    fn("gelu by hand", lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), 5),
    fn(
        "gelu tanh by hand",
        lambda x: 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3))),
        5,
    ),
    fn("numbers of Python", lambda x: x * math.pi + float(x.shape[1]) + True, 5),
    fn("smooth_l1", lambda x: F.smooth_l1_loss(x, x.flip(1)) + x, 5, refused="smooth_l1_loss"),
    fn("mse", lambda x: F.mse_loss(x, x.flip(1)) + x, 5, refused="mse_loss"),
]


def _operators(x: Tensor) -> Tensor:
    x += 1
    x *= 2
    x -= 0.5
    x /= 3
    x **= 2
    return x
