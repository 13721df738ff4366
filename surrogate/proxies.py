"""Zero-cost proxies: what a freshly initialised network says about itself, without any training.

In: a module, the shape of its input and the number of classes. Out: one finite number per name of
`PROXIES`. Inputs are Gaussian noise and labels are drawn, so no data set is needed; the seed fixes
both. The module itself is left as it was.
Not promised: the figures of other implementations; what was chosen otherwise is said below.
Axes: B examples, U units of one activation, P numbers of one input.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from surrogate.errors import SurrogateError, problem

BATCH = 16
PROXIES = ("nwot", "nwot_unit", "jacov", "snip", "grad_norm", "plain", "synflow", "l2_norm")
"""In this order. snip, grad_norm and synflow are natural logarithms."""
TINY = 1e-30
JACOV_FLOOR = 1e-5  # k of the score in Mellor et al. 2020 (arXiv 2006.04647v1), section 3
UNIT_RIDGE = 1e-2
ACTIVATIONS = frozenset(
    {
        *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "prelu", "rrelu", "threshold"),
        *("elu", "elu_", "selu", "selu_", "celu", "celu_", "gelu", "silu", "mish", "softplus"),
        *("tanh", "tanh_", "sigmoid", "sigmoid_", "logsigmoid", "softsign", "tanhshrink"),
        *("hardtanh", "hardtanh_", "hardswish", "hardsigmoid", "softshrink", "hardshrink"),
    }
)
"""Names of the functions and methods that act on every number by itself and bend at or near 0."""
RECURRENCES = frozenset({"gru", "lstm", "rnn_tanh", "rnn_relu"})
NORMS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"})


class ProxyError(SurrogateError):
    """A network whose proxies are not finite numbers."""


def proxies(
    net: nn.Module, in_shape: tuple[int, ...], num_classes: int, seed: int = 0
) -> dict[str, float]:
    """Return every proxy of a module whose lazy layers have been called once.

    One forward pass of `BATCH` examples with two backward passes, and one pass of a single example.

    Raises:
        ProxyError: If a figure is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(BATCH, *in_shape, generator=generator)
    labels_B = torch.randint(num_classes, (BATCH,), generator=generator)
    with _left_as_it_was(net), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # functional dropout draws from it
        found = _of_noise(net, inputs, labels_B)
        found["l2_norm"] = sum(float(weight.detach().norm()) for weight in net.parameters())
        found["synflow"] = _synflow(net, in_shape)
    for name, value in found.items():
        if not math.isfinite(value):
            what = f"its proxy {name} is {value}"
            raise ProxyError(problem(what, "network", "a finite number", "Leave this network out"))
    return {name: found[name] for name in PROXIES}


@contextlib.contextmanager
def _left_as_it_was(net: nn.Module) -> Iterator[None]:
    """Give a module its weights, statistics and modes back."""
    weights = [(weight, weight.data) for weight in net.parameters()]
    buffers = [(buffer, buffer.data.clone()) for buffer in net.buffers()]
    modes = [(module, module.training) for module in net.modules()]
    try:
        yield
    finally:
        for tensor, data in (*weights, *buffers):
            tensor.data = data
        for module, is_training in modes:
            module.training = is_training


def _of_noise(net: nn.Module, inputs: Tensor, labels_B: Tensor) -> dict[str, float]:
    """The proxies that come from one forward pass in training mode, dropout layers left out.

    snip: Lee et al. 2019 (arXiv 1810.02340), section 4.1, summed over all weights; grad_norm and
    plain: Abdelfattah et al. 2021 (arXiv 2101.08134), section 3.2.
    """
    net.train()
    for module in net.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    inputs.requires_grad_(True)
    codes = Codes(len(inputs))
    with codes:
        logits_BK = net(inputs)
    slopes = torch.autograd.grad(
        logits_BK.sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True
    )[0]
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    loss = F.cross_entropy(logits_BK, labels_B)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    products = [
        (weight.detach() * slope).flatten()
        for weight, slope in zip(weights, gradients, strict=True)
    ]
    products_all = torch.cat(products) if products else torch.zeros(1)
    return {
        "nwot": codes.score(),
        "nwot_unit": codes.score_per_unit(),
        "jacov": _jacov(slopes.flatten(1)),
        "snip": _log(products_all.abs().sum()),
        "grad_norm": _log(sum((slope.norm() for slope in gradients), torch.zeros(()))),
        "plain": float(products_all.sum()),
    }


def _log(value: Tensor) -> float:
    return math.log(float(value) + TINY)


class Codes(TorchFunctionMode):
    """Gathers the kernel of activation codes while a network runs under it.

    Mellor et al. 2021 (arXiv 2006.04647v3), section 3: two examples are alike in as many units as
    their ReLUs are both open or both closed; the score is the log-determinant of that kernel. To
    serve any network, the code is the sign of what goes into every activation of `ACTIVATIONS`,
    be it a layer or a call in `forward`, GELU and tanh as well as ReLU, and the sign of what comes
    out of a recurrent layer. Attention has no code: its softmax acts on whole rows.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.kernel_BB = torch.zeros(batch, batch, dtype=torch.float64)
        self.unit_count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the function; look at the input of an activation before it may be overwritten."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ACTIVATIONS:
            self._add(args[0] if args else kwargs["input"])
        result = func(*args, **kwargs)
        if name in RECURRENCES:
            self._add(result[0])
        return result

    def _add(self, values: Tensor) -> None:
        """Batch-major values only: others say nothing about single examples."""
        batch = len(self.kernel_BB)
        if values.dim() < 2 or len(values) % batch:
            return
        signs_BU = torch.where(values.detach() > 0, 1.0, -1.0).reshape(batch, -1)
        count = signs_BU.shape[1]
        self.kernel_BB += (signs_BU @ signs_BU.T + count) / 2  # units in which two codes agree
        self.unit_count += count

    def score(self) -> float:
        """Log det(K + 1); the 1 keeps a linear network, where all codes agree, finite."""
        one_BB = torch.eye(len(self.kernel_BB), dtype=torch.float64)
        return float(torch.linalg.slogdet(self.kernel_BB + one_BB).logabsdet)

    def score_per_unit(self) -> float:
        """The same of the share of units that agree, which knows nothing of the network's size."""
        share_BB = self.kernel_BB / max(1, self.unit_count)
        ridge_BB = UNIT_RIDGE * torch.eye(len(share_BB), dtype=torch.float64)
        return float(torch.linalg.slogdet(share_BB + ridge_BB).logabsdet)


def _jacov(slopes_BP: Tensor) -> float:
    """How far the examples' input gradients are from one another.

    Mellor et al. 2020 (arXiv 2006.04647v1), section 3: minus the sum over the eigenvalues v of
    their correlation matrix of log(v + k) + 1 / (v + k). An example without a gradient counts as
    an eigenvalue of zero.
    """
    centred_BP = slopes_BP.double() - slopes_BP.double().mean(1, keepdim=True)
    unit_BP = centred_BP / centred_BP.norm(dim=1, keepdim=True).clamp_min(TINY)
    if not bool(unit_BP.isfinite().all()):
        return math.nan
    values_B = torch.linalg.eigvalsh(unit_BP @ unit_BP.T).clamp_min(0) + JACOV_FLOOR
    return -float((values_B.log() + 1 / values_B).sum())


class Linear(TorchFunctionMode):
    """Runs a network with its activations and normalisations taken out, scale and shift kept."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the function, or what is left of it."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ACTIVATIONS and args:
            return args[0]
        if name in NORMS and args:
            scale, shift = _scale_and_shift(name, args, kwargs)
            return _affine(args[0], scale, shift, last=name in ("layer_norm", "rms_norm"))
        return func(*args, **kwargs)


def _scale_and_shift(
    name: str, args: tuple, kwargs: dict[str, Any]
) -> tuple[Tensor | None, Tensor | None]:
    """The two weights of a norm, wherever the caller put them."""
    place = 3 if name in ("batch_norm", "instance_norm") else 2
    rest = (*args[place : place + 2], None, None)
    return kwargs.get("weight", rest[0]), kwargs.get("bias", rest[1])


def _affine(values: Tensor, scale: Tensor | None, shift: Tensor | None, last: bool) -> Tensor:
    """Channels are axis 1, or for LayerNorm the last axes, which broadcast by themselves."""
    for weight, action in ((scale, torch.mul), (shift, torch.add)):
        if isinstance(weight, Tensor):
            shaped = weight if last else weight.view(-1, *[1] * (values.dim() - 2))
            values = action(values, shaped)
    return values


@contextlib.contextmanager
def _double_by_default() -> Iterator[None]:
    """Let what a network makes itself in `forward` be double as well."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _synflow(net: nn.Module, in_shape: tuple[int, ...]) -> float:
    """Log of the sum of |weight * dR/dweight|, R the sum of logits for an input of ones.

    Tanaka et al. 2020 (arXiv 2006.05467), section 6: all weights are replaced by their absolute
    values. Normalisations would undo that and are taken out, as Abdelfattah et al. 2021 do;
    activations are taken out as well, which changes nothing for ReLU. The weights are changed.
    """
    net.eval()
    for weight in net.parameters():
        weight.data = weight.data.abs().double()
    for buffer in net.buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.data.double()
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    with Linear(), _double_by_default():
        logits_BK = net(torch.ones(1, *in_shape))
    if not logits_BK.requires_grad:
        return math.log(TINY)
    slopes = torch.autograd.grad(
        logits_BK.sum(), weights, allow_unused=True, materialize_grads=True
    )
    products = [
        (weight.detach() * slope).abs().sum() for weight, slope in zip(weights, slopes, strict=True)
    ]
    return _log(sum(products, torch.zeros((), dtype=torch.float64)))
