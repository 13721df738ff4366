"""Rules for activations that take settings, for softmax and for dropout."""

import torch
from torch import Tensor

from evoprompt.screen.recorder.ops_elementwise import cast, named
from evoprompt.screen.recorder.tape import Ints, Literal, Operand, Tape, rule


@rule(*named("gelu"))
def gelu(tape: Tape, out: Tensor, x: Tensor, approximate: str = "none") -> None:
    """Gaussian error linear unit."""
    tape.emit(out, "Gelu", [x], **({} if approximate == "none" else {"approximate": approximate}))


@rule(*named("silu", "silu_"))
def silu(tape: Tape, out: Tensor, x: Tensor, inplace: bool = False) -> None:
    """Written x * sigmoid(x), as torch's exporter does."""
    tape.emit(out, "Mul", [x, tape.node("Sigmoid", [x])])


@rule(*named("leaky_relu", "leaky_relu_"))
def leaky_relu(
    tape: Tape, out: Tensor, x: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> None:
    """ReLU with a slope below zero."""
    tape.emit(out, "LeakyRelu", [x], alpha=float(negative_slope))


@rule(*named("elu", "elu_"))
def elu(tape: Tape, out: Tensor, x: Tensor, alpha: float = 1.0, inplace: bool = False) -> None:
    """Exponential linear unit."""
    tape.emit(out, "Elu", [x], alpha=float(alpha))


@rule(*named("celu", "celu_"))
def celu(tape: Tape, out: Tensor, x: Tensor, alpha: float = 1.0, inplace: bool = False) -> None:
    """Continuously differentiable ELU."""
    tape.emit(out, "Celu", [x], alpha=float(alpha))


@rule(*named("selu", "selu_"))
def selu(tape: Tape, out: Tensor, x: Tensor, inplace: bool = False) -> None:
    """Scaled ELU with its two fixed numbers."""
    tape.emit(out, "Selu", [x])


@rule(*named("hardtanh", "hardtanh_"))
def hardtanh(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> None:
    """Cut at both ends."""
    bounds = [Literal(bound, x.dtype) for bound in (float(min_val), float(max_val))]
    tape.emit(out, "Clip", [x, *bounds])


@rule(*named("relu6", "relu6_"))
def relu6(tape: Tape, out: Tensor, x: Tensor, inplace: bool = False) -> None:
    """ReLU cut at six."""
    hardtanh(tape, out, x, 0.0, 6.0)


@rule(*named("hardsigmoid", "hardsigmoid_"))
def hardsigmoid(tape: Tape, out: Tensor, x: Tensor, inplace: bool = False) -> None:
    """Clip(x / 6 + 1/2) to 0..1."""
    tape.emit(out, "HardSigmoid", [x], alpha=1 / 6, beta=0.5)


@rule(*named("softplus"))
def softplus(
    tape: Tape, out: Tensor, x: Tensor, beta: float = 1.0, threshold: float = 20.0
) -> None:
    """The line above the threshold is written only where it differs: below 17, by 1e-8 and more."""
    factor = Literal(float(beta), x.dtype)
    scaled = tape.value(x) if beta == 1 else tape.node("Mul", [x, factor])
    value = tape.node("Softplus", [scaled])
    value = value if beta == 1 else tape.node("Div", [value, factor])
    if threshold < 17:
        is_above = tape.node("Greater", [scaled, Literal(float(threshold), x.dtype)])
        value = tape.node("Where", [is_above, x, value])
    tape.bind(out, value)


@rule(*named("prelu"))
def prelu(tape: Tape, out: Tensor, x: Tensor, weight: Tensor) -> None:
    """Slopes below zero are weights, one or one for each channel."""
    slope: Operand = tape.value(weight)
    if weight.numel() > 1 and x.dim() > 2:
        slope = tape.node("Reshape", [weight, Ints((-1, *[1] * (x.dim() - 2)))])
    tape.emit(out, "PRelu", [x, slope])


@rule(*named("glu"))
def glu(tape: Tape, out: Tensor, x: Tensor, dim: int = -1) -> None:
    """First half times the sigmoid of the second."""
    first, second = tape.nodes_out("Split", [x], 2, axis=int(dim), num_outputs=2)
    tape.emit(out, "Mul", [first, tape.node("Sigmoid", [second])])


@rule(*named("softmax"))
def softmax(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
) -> None:
    """Over one axis."""
    tape.expect(dim is not None, "softmax without dim")
    tape.emit(out, "Softmax", [cast(tape, x, x.dtype, out.dtype)], axis=int(dim or 0))


@rule(*named("log_softmax"))
def log_softmax(
    tape: Tape,
    out: Tensor,
    x: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
) -> None:
    """Over one axis."""
    tape.expect(dim is not None, "log_softmax without dim")
    tape.emit(out, "LogSoftmax", [cast(tape, x, x.dtype, out.dtype)], axis=int(dim or 0))


@rule(torch._VF.dropout, torch.dropout, torch.feature_dropout)
def dropout(tape: Tape, out: Tensor, x: Tensor, p: float = 0.5, train: bool = True) -> None:
    """Nothing in eval mode."""
    tape.expect(not train or p == 0, "random numbers in forward (dropout with training=True)")
    tape.bind(out, tape.value(x))
