"""Cases: normalisation, activation, linear layers, shared layers and weights used directly."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.recorder.case import Case, fn, layer, weighted

NORMALISATION: list[Case] = [
    layer("BatchNorm1d rows", lambda: nn.BatchNorm1d(6), 6),
    layer("BatchNorm1d", lambda: nn.BatchNorm1d(6, eps=1e-2), 6, 5),
    layer("BatchNorm2d", lambda: nn.BatchNorm2d(4), 4, 5, 5),
    layer("BatchNorm2d without affine", lambda: nn.BatchNorm2d(4, affine=False), 4, 5, 5),
    layer(
        "BatchNorm2d without statistics",
        lambda: nn.BatchNorm2d(4, track_running_stats=False),
        *(4, 5, 5),
        refused="batch_norm",
    ),
    layer("BatchNorm3d", lambda: nn.BatchNorm3d(2), 2, 3, 4, 3),
    layer("LazyBatchNorm1d", lambda: nn.LazyBatchNorm1d(), 6),
    layer("LazyBatchNorm2d", lambda: nn.LazyBatchNorm2d(), 4, 5, 5),
    layer("LayerNorm", lambda: nn.LayerNorm(6), 5, 6),
    layer("LayerNorm of two axes", lambda: nn.LayerNorm([5, 6], eps=1e-3), 4, 5, 6),
    layer("LayerNorm without affine", lambda: nn.LayerNorm(6, elementwise_affine=False), 5, 6),
    layer("LayerNorm without bias", lambda: nn.LayerNorm(6, bias=False), 5, 6),
    layer("GroupNorm", lambda: nn.GroupNorm(2, 6), 6, 5, 5),
    layer("GroupNorm of rows", lambda: nn.GroupNorm(3, 6), 6),
    layer("GroupNorm without affine", lambda: nn.GroupNorm(3, 6, affine=False), 6, 7),
    layer("GroupNorm of one group", lambda: nn.GroupNorm(1, 6), 6, 5, 5),
    layer("InstanceNorm1d", lambda: nn.InstanceNorm1d(6), 6, 5),
    layer("InstanceNorm2d affine", lambda: nn.InstanceNorm2d(6, affine=True), 6, 5, 5),
    layer(
        "InstanceNorm2d statistics",
        lambda: nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        *(6, 5, 5),
    ),
    layer("InstanceNorm3d", lambda: nn.InstanceNorm3d(2), 2, 3, 3, 4),
    layer("RMSNorm", lambda: nn.RMSNorm(6), 5, 6),
    layer("RMSNorm of two axes", lambda: nn.RMSNorm([5, 6], eps=1e-3), 4, 5, 6),
    layer("RMSNorm without weight", lambda: nn.RMSNorm(6, elementwise_affine=False), 5, 6),
    layer("LocalResponseNorm", lambda: nn.LocalResponseNorm(3, 0.1, 0.6, 2.0), 6, 5, 5),
    layer("LocalResponseNorm even", lambda: nn.LocalResponseNorm(4), 6, 5),
    layer("CrossMapLRN2d", lambda: nn.CrossMapLRN2d(3), 6, 5, 5, refused="new"),
    layer("weight_norm", lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)), 6),
    layer(
        "weight_norm of all",
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 4), dim=None),  # type: ignore
        *(6,),
    ),
    layer(
        "spectral_norm",
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4)),
        *(6,),
    ),
    layer(
        "orthogonal",
        lambda: nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)),
        *(4,),
        refused="matrix_exp",
    ),
    fn("normalize", lambda x: F.normalize(x, dim=-1), 5, 6),
    fn("normalize p=1", lambda x: F.normalize(x, p=1, dim=1, eps=1e-3), 5, 6),
    fn("layer_norm functional", lambda x: F.layer_norm(x, x.shape[1:]), 5, 6),
    fn("rms norm by hand", lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6), 5, 6),
    fn("standardize", lambda x: (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5), 9),
    weighted(
        "batch_norm functional",
        lambda x, m, v: F.batch_norm(x, m, v.abs() + 1),
        *(4, 5),
        m=(4,),
        v=(4,),
    ),
]

_PLAIN = (
    *(
        [
            "ReLU",
            "ReLU6",
            "ELU",
            "SELU",
            "CELU",
            "GELU",
            "SiLU",
            "Mish",
            "Sigmoid",
            "Tanh",
            "Softplus",
            "Softsign",
            "LeakyReLU",
        ]
    ),
    *(
        [
            "LogSigmoid",
            "Hardtanh",
            "Hardsigmoid",
            "Hardswish",
            "Hardshrink",
            "Softshrink",
            "Tanhshrink",
            "PReLU",
        ]
    ),
    *(["Identity", "Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout", "Flatten"]),
)
ACTIVATION: list[Case] = [
    *(layer(name, lambda name=name: getattr(nn, name)(), 4, 6) for name in _PLAIN),
    layer("Dropout2d", lambda: nn.Dropout2d(0.5), 3, 4, 4),
    layer("RReLU", lambda: nn.RReLU(), 4, 6),
    layer("ReLU in place", lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)), 6),
    layer("SiLU in place", lambda: nn.Sequential(nn.Linear(6, 6), nn.SiLU(inplace=True)), 6),
    layer("PReLU per channel", lambda: nn.PReLU(4), 4, 6),
    layer("PReLU of rows", lambda: nn.PReLU(6), 6),
    layer("GELU tanh", lambda: nn.GELU(approximate="tanh"), 4, 6),
    layer("ELU alpha", lambda: nn.ELU(0.5), 4, 6),
    layer("CELU alpha", lambda: nn.CELU(0.5), 4, 6),
    layer("LeakyReLU slope", lambda: nn.LeakyReLU(0.3), 4, 6),
    layer("Hardtanh bounds", lambda: nn.Hardtanh(-0.3, 0.7), 4, 6),
    layer("Threshold", lambda: nn.Threshold(0.2, -3.0), 4, 6),
    layer("Hardshrink lambda", lambda: nn.Hardshrink(1.0), 4, 6),
    layer("Softshrink lambda", lambda: nn.Softshrink(1.0), 4, 6),
    layer("Softplus beta", lambda: nn.Softplus(2.0), 4, 6),
    layer("Softplus threshold", lambda: nn.Softplus(1.0, 1.0), 4, 6),
    layer("GLU", lambda: nn.GLU(), 4, 6),
    layer("GLU of channels", lambda: nn.GLU(dim=1), 4, 6),
    layer("Softmax", lambda: nn.Softmax(dim=-1), 4, 6),
    layer("Softmax of channels", lambda: nn.Softmax(dim=1), 4, 6),
    layer("Softmax2d", lambda: nn.Softmax2d(), 4, 3, 3),
    layer("LogSoftmax", lambda: nn.LogSoftmax(dim=1), 4, 6),
    layer("Softmin", lambda: nn.Softmin(dim=1), 4, 6),
    fn("softmax without dim", lambda x: F.softmax(x), 6, refused="softmax"),
    fn("softmax in float64", lambda x: F.softmax(x, -1, dtype=torch.float64).float(), 6),
    fn("torch.softmax", lambda x: torch.softmax(x, 1) + x.softmax(-1) + x.log_softmax(1), 4, 6),
    fn("logsigmoid functional", lambda x: F.logsigmoid(x), 6),
    fn("threshold in place", lambda x: F.threshold(x * 1, 0.1, 5.0, inplace=True), 6),
    fn("relu methods", lambda x: x.relu() + torch.relu(x) + F.relu(x, inplace=False), 6),
    fn("sigmoid gates", lambda x: x.sigmoid() * x.tanh() + torch.sigmoid(x) * torch.tanh(x), 6),
    fn("swish with weight", lambda x: x * torch.sigmoid(1.702 * x), 6),
    fn("gumbel_softmax", lambda x: F.gumbel_softmax(x), 6, refused="random"),
]


class _Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(torch.relu(self.shared(x)))


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(6, 6), nn.Linear(6, 6)
        self.decode.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x).relu())


class _Buffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kept: Tensor
        self.passing: Tensor
        self.register_buffer("kept", torch.randn(6))
        self.register_buffer("passing", torch.randn(6), persistent=False)
        self.plain = torch.arange(6.0)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept + self.passing - self.plain


class _Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(3))
        self.branches = nn.ModuleList([nn.Identity(), nn.ReLU(), nn.Linear(6, 6)])

    def forward(self, x: Tensor) -> Tensor:
        shares = F.softmax(self.alpha, dim=-1)
        outputs = [branch(x) for branch in self.branches]
        return torch.stack([s * out for s, out in zip(shares, outputs, strict=True)]).sum(0)


class _Bottleneck(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2), nn.ReLU(inplace=True)),
            *(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)),
        )
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(x)
        return F.relu(out * self.gate(out) + x, inplace=True)


class _OutsideWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = [nn.Parameter(torch.randn(6, 6))]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weights[0]


LINEAR: list[Case] = [
    layer("Linear", lambda: nn.Linear(6, 4), 6),
    layer("Linear without bias", lambda: nn.Linear(6, 4, bias=False), 5, 6),
    layer("Linear of tokens", lambda: nn.Linear(6, 4), 5, 6),
    layer("Linear of images", lambda: nn.Linear(6, 4), 2, 3, 6),
    layer("LazyLinear", lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), 2, 3, 6),
    layer("Unflatten", lambda: nn.Sequential(nn.Linear(6, 12), nn.Unflatten(1, (3, 4))), 6),
    layer("the same layer twice", _Twice, 6),
    layer("two layers of one weight", _Tied, 6),
    layer("buffers", _Buffers, 6),
    layer("mixture of branches", _Mixture, 6),
    layer("bottleneck with gate", _Bottleneck, 4, 6, 6),
    layer("a weight that is no part of the module", _OutsideWeight, 6, refused="nn.Parameter"),
    weighted("bilinear", lambda x, w, b: F.bilinear(x, x + 1, w, b), 4, w=(3, 4, 4), b=(3,)),
    weighted("bilinear of tokens", lambda x, w: F.bilinear(x, x * 2, w), 5, 4, w=(3, 4, 4)),
    weighted("weight times input", lambda x, w: w * x + w, 6, w=(6,)),
    weighted("linear with a turned weight", lambda x, w: F.linear(x, w.t()), 6, w=(6, 4)),
    weighted("linear of a product", lambda x, u, v: F.linear(x, u @ v), 6, u=(4, 2), v=(2, 6)),
    weighted("low rank", lambda x, u, v: x @ u @ v, 5, 6, u=(6, 2), v=(2, 6)),
    weighted("softmax of weights", lambda x, a: x @ torch.softmax(a, -1), 6, a=(6, 6)),
    weighted("masked weight", lambda x, w: x @ (w * torch.ones(6, 6).tril()), 6, w=(6, 6)),
    weighted("symmetric weight", lambda x, w: x @ ((w + w.T) / 2), 6, w=(6, 6)),
    weighted(
        "normalised weight", lambda x, w: F.linear(F.normalize(x), F.normalize(w)), 6, w=(4, 6)
    ),
    weighted("layer scale", lambda x, g: x + g * torch.tanh(x), 5, 6, g=(6,)),
    weighted("scalar weight", lambda x, a: a.exp() * x, 5, 6, a=()),
    weighted(
        "weight of rank 4", lambda x, w: torch.matmul(x.unsqueeze(1), w), 5, 6, w=(1, 3, 6, 4)
    ),
    weighted("linear with a vector", lambda x, w: F.linear(x, w), 6, w=(6,)),
    weighted("matrix times vector", lambda x, w: torch.matmul(x, w), 5, 6, w=(6,)),
    weighted("only weights", lambda x, w: w.sum() + x * 0, 6, w=(4, 4)),
]
