"""Operators that PyTorch has a layer for: the line that builds it.

In: a node of the canonical graph. Out: constructor calls, one or several behind each other, or None
where the operator has to be written as an expression. Numbers that follow from the input are left
to lazy layers, so that a line can be moved to where the input is another.
"""

from collections.abc import Callable

from evoprompt.rewrite import windows
from evoprompt.rewrite.calls import SIZE, Raw, call, is_natural, sized
from evoprompt.rewrite.windows import rank
from surrogate.ir import Constant, Node, Operand, Ref, Weight

Lines = list[str] | None
EPSILON = 1e-5


def lines(node: Node) -> Lines:
    """The layers that a node is, or None."""
    rule = _RULES.get(node.op)
    operands = [operand for operand in node.inputs if isinstance(operand, Ref)]
    return rule(node) if rule and len(operands) == 1 else None


def _linear(node: Node) -> Lines:
    if not is_natural(node):
        return None
    named = {} if len(node.inputs) == 3 else {"bias": False}
    return [call("LazyLinear", node.shape[-1].offset, **named)]


def _affine(node: Node) -> dict[str, object] | None:
    """The settings that say which weights and which epsilon a norm has."""
    if not is_natural(node):
        return None
    named: dict[str, object] = {}
    epsilon = node.attributes.get("eps", EPSILON)
    if epsilon != EPSILON:
        named["eps"] = epsilon
    return named


def _is_plain(operands: list[Operand]) -> bool:
    scalars = [o.scalar if isinstance(o, Constant) else None for o in operands]
    return scalars in ([1.0, 0.0], [])


def _channel_norm(name: str, is_affine_usual: bool) -> Callable[[Node], Lines]:
    def rule(node: Node) -> Lines:
        named = _affine(node)
        weights = [o for o in node.inputs[1:] if isinstance(o, Weight)]
        if named is None or len(weights) not in (0, 2) or rank(node) > 2:
            return None
        if not weights and not _is_plain(node.inputs[1:]):
            return None
        if bool(weights) != is_affine_usual:
            named["affine"] = bool(weights)
        if name.startswith("Lazy"):
            return [call(f"{name}{max(1, rank(node))}d", **named)]
        return [sized("Channels", call(f"{name}{max(1, rank(node))}d", SIZE, **named))]

    return rule


def _layer_norm(node: Node) -> Lines:
    named = _affine(node)
    if named is None:
        return None
    [axis] = node.attributes["a"]  # type: ignore[misc]
    sizes = tuple(dim.offset for dim in node.shape[axis:])  # type: ignore[misc]
    count = len(node.inputs) - 1
    if count < 2:
        named["bias" if count else "elementwise_affine"] = False
    if len(sizes) > 1:
        return [call("LayerNorm", sizes, **named)]
    return [sized("Features", call("LayerNorm", SIZE, **named))]


def _group_norm(node: Node) -> Lines:
    named = _affine(node)
    if named is None or len(node.inputs) not in (1, 3):
        return None
    if len(node.inputs) == 1:
        named["affine"] = False
    groups = node.attributes["g"]
    if groups == node.shape[1].offset:
        return [sized("Channels", call("GroupNorm", SIZE, SIZE, **named))]
    shared = 1 if groups == 1 else Raw(f"math.gcd({groups}, c)")
    return [sized("Channels", call("GroupNorm", shared, SIZE, **named))]


def _mean(node: Node) -> Lines:
    """The mean over all positions, where their axes stay."""
    source = node.inputs[0]
    assert isinstance(source, Ref)
    axes = tuple(range(2, len(source.shape)))
    if node.attributes["a"] != axes or len(node.shape) != len(source.shape) or len(axes) > 2:
        return None
    return [call(f"AdaptiveAvgPool{len(axes)}d", 1)] if axes else None


def _activation(name: str, **settings: tuple[str, float]) -> Callable[[Node], Lines]:
    """A layer of one argument; settings are attributes: their keyword and their usual value."""

    def rule(node: Node) -> Lines:
        named = {}
        for key, (keyword, usual) in settings.items():
            value = node.attributes.get(key, usual)
            if abs(float(value) - usual) > 1e-6:  # type: ignore[arg-type]
                named[keyword] = value
        return [call(name, **named)] if node.attributes.keys() <= settings.keys() else None

    return rule


def _gelu(node: Node) -> Lines:
    is_fast = node.attributes.get("approximate") == "tanh"
    return [call("GELU", approximate="tanh") if is_fast else call("GELU")]


def _hard_sigmoid(node: Node) -> Lines:
    slope = node.attributes.get("alpha", 0.2)
    is_plain = abs(float(slope) - 1 / 6) < 1e-6 and "beta" not in node.attributes  # type: ignore[arg-type]
    return [call("Hardsigmoid")] if is_plain else None


def _clip(node: Node) -> Lines:
    bounds = [o.scalar if isinstance(o, Constant) else None for o in node.inputs[1:]]
    if len(bounds) != 2 or None in bounds:
        return None
    if bounds == [0.0, 6.0]:
        return [call("ReLU6")]
    return [call("Hardtanh", *bounds)]


def _shrink(node: Node) -> Lines:
    cut, moved = node.attributes.get("lambd", 0.5), node.attributes.get("bias", 0.0)
    given = () if cut == 0.5 else (cut,)
    if moved == 0:
        return [call("Hardshrink", *given)]
    return [call("Softshrink", *given)] if moved == cut else None


def _slopes(node: Node) -> Lines:
    weight = node.inputs[1]
    if not isinstance(weight, Weight) or not weight.is_whole or len(weight.sources) != 1:
        return None
    if weight.shape == (1,):
        return [call("PReLU")]
    channels = node.shape[1].offset if len(node.shape) > 1 else 0
    sizes = (channels, *(1,) * rank(node)) if len(node.shape) > 2 else (channels,)
    return [sized("Channels", call("PReLU", SIZE))] if weight.shape == sizes else None


def _over_axis(name: str) -> Callable[[Node], Lines]:
    return lambda node: [call(name, node.attributes["a"])]


_RULES: dict[str, Callable[[Node], Lines]] = {
    **windows.RULES,
    "Linear": _linear,
    "BatchNorm": _channel_norm("LazyBatchNorm", True),
    "InstanceNorm": _channel_norm("InstanceNorm", False),
    "LayerNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "ReduceMean": _mean,
    "Relu": _activation("ReLU"),
    "Swish": _activation("SiLU"),
    "Sigmoid": _activation("Sigmoid"),
    "Tanh": _activation("Tanh"),
    "Selu": _activation("SELU"),
    "HardSwish": _activation("Hardswish"),
    "Softplus": _activation("Softplus"),
    "LeakyRelu": _activation("LeakyReLU", alpha=("negative_slope", 0.01)),
    "Elu": _activation("ELU", alpha=("alpha", 1.0)),
    "Celu": _activation("CELU", alpha=("alpha", 1.0)),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clip,
    "Shrink": _shrink,
    "PRelu": _slopes,
    "Softmax": _over_axis("Softmax"),
    "LogSoftmax": _over_axis("LogSoftmax"),
}
