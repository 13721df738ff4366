"""Operators that PyTorch has a layer for: the line that builds it.

In: a node of the canonical graph. Out: constructor calls, one or several behind each other, or None
where the operator has to be written as an expression. Numbers that follow from the input are left
to lazy layers, so that a line can be moved to where the input is another.
"""

import re
from collections.abc import Callable

import numpy as np

from surrogate.ir import Constant, Node, Operand, Ref, Weight
from surrogate.wording import natural_weights

Lines = list[str] | None
SIZED = {
    "Channels": """
class Channels(nn.Module):
    def __init__(self, build):
        super().__init__()
        self.build = build
    def forward(self, x):
        if not hasattr(self, "layer"):
            layer = self.build(x.shape[1]).to(x.device)
            self.layer = layer.train(self.training)
        return self.layer(x)
""",
    "Features": """
class Features(nn.Module):
    def __init__(self, build):
        super().__init__()
        self.build = build
    def forward(self, x, *more):
        if not hasattr(self, "layer"):
            layer = self.build(x.shape[-1]).to(x.device)
            self.layer = layer.train(self.training)
        return self.layer(x, *more)
""",
    "SelfAttention": """
class SelfAttention(nn.Module):
    def __init__(self, heads, need_weights=True):
        super().__init__()
        self.heads = heads
        self.need_weights = need_weights
    def forward(self, x):
        if not hasattr(self, "layer"):
            heads = math.gcd(self.heads, x.shape[-1])
            layer = nn.MultiheadAttention(x.shape[-1], heads, batch_first=True)
            self.layer = layer.to(x.device).train(self.training)
        return self.layer(x, x, x, need_weights=self.need_weights)[0]
""",
}
"""Layers that PyTorch has no lazy form of, built for the first input: for the size of its second
or of its last axis.
"""
EPSILON = 1e-5


def lines(node: Node) -> Lines:
    """The layers that a node is, or None."""
    rule = _RULES.get(node.op)
    operands = [operand for operand in node.inputs if isinstance(operand, Ref)]
    return rule(node) if rule and len(operands) == 1 else None


def is_natural(node: Node) -> bool:
    """Whether the weights of a layer are whole tensors in the shapes that PyTorch gives them."""
    natural = natural_weights(node.op, node.attributes, node.shape)
    weights = [operand for operand in node.inputs[1:] if isinstance(operand, Weight)]
    if len(weights) > len(natural):
        return False
    return all(
        weight.is_whole and weight.shape == shape and len(weight.sources) == count
        for weight, (shape, count) in zip(weights, natural, strict=False)
    )


def number(value: float) -> str:
    """A float of 32 bits in as few digits as tell it."""
    text = str(np.float32(value))
    if text in ("inf", "-inf", "nan"):
        return f'float("{text}")'
    return text.removesuffix(".0") if text.endswith(".0") else text


class _Raw(str):
    """A text that stands in a call as it is."""

    __slots__ = ()


SIZE = _Raw("c")


def _call(name: str, *given: object, **named: object) -> str:
    texts = [layer_text(value) for value in given]
    texts += [f"{key}={layer_text(value)}" for key, value in named.items()]
    return f"nn.{name}({', '.join(texts)})"


def layer_text(value: object) -> str:
    """A setting as it stands in a call."""
    if isinstance(value, tuple):
        inner = ", ".join(map(layer_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, float):
        return number(value)
    return f'"{value}"' if type(value) is str else str(value)


def sized(name: str, text: str) -> str:
    """A layer whose first size, written `c`, is read off the input."""
    plain = re.fullmatch(r"(nn\.\w+)\(c\)", text)
    return f"{name}({plain[1]})" if plain else f"{name}(lambda c: {text})"


def each(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """One number where all are the same."""
    return values[0] if len(set(values)) == 1 else values


def rank(node: Node) -> int:
    """Spatial axes."""
    return len(node.shape) - 2


def window(node: Node, key: str, default: int = 1) -> tuple[int, ...]:
    """An attribute with one number per spatial axis."""
    return node.attributes.get(key) or (default,) * rank(node)  # type: ignore[return-value]


def same_padding(node: Node) -> tuple[int, ...]:
    """What is added at the begins and at the ends where nothing is said of a convolution."""
    pairs = zip(window(node, "k"), window(node, "d"), strict=True)
    return tuple((k - 1) * d // 2 for k, d in pairs) * 2


def _conv(node: Node) -> Lines:
    if not is_natural(node) or rank(node) not in (1, 2):
        return None
    pads: tuple = node.attributes.get("p") or same_padding(node)  # type: ignore[assignment]
    begins, ends = pads[: rank(node)], pads[rank(node) :]
    first, padding = [], begins
    if begins != ends:
        around = tuple(n for pair in zip(begins[::-1], ends[::-1], strict=True) for n in pair)
        first, padding = [_call(f"ZeroPad{rank(node)}d", around)], (0,) * rank(node)
    return [*first, _lazy_conv(node, "LazyConv", padding)]


def _lazy_conv(node: Node, name: str, padding: tuple[int, ...]) -> str:
    given = [each(window(node, key)) for key in ("k", "s")]
    named = {
        "output_padding": each(window(node, "output_padding", 0)),
        "groups": node.attributes.get("g", 1),
        "bias": len(node.inputs) == 3,
        "dilation": each(window(node, "d")),
    }
    usual = {"output_padding": 0, "groups": 1, "bias": True, "dilation": 1}
    kept = {key: value for key, value in named.items() if value != usual[key]}
    width, groups = node.attributes["c"][0], named["groups"]  # type: ignore[index]
    if groups == width == node.shape[1].offset > 1:
        kept["groups"] = SIZE
        plain = f"{name.removeprefix('Lazy')}{rank(node)}d"
        return sized("Channels", _call(plain, SIZE, SIZE, *given, each(padding), **kept))
    return _call(f"{name}{rank(node)}d", node.shape[1].offset, *given, each(padding), **kept)


def _conv_transpose(node: Node) -> Lines:
    if not is_natural(node) or rank(node) not in (1, 2) or "auto_pad" in node.attributes:
        return None
    pads: tuple = node.attributes.get("p") or same_padding(node)  # type: ignore[assignment]
    half = rank(node)
    if pads[:half] != pads[half:]:
        return None
    text = _lazy_conv(node, "LazyConvTranspose", pads[:half])
    if "output_padding" not in text and text.endswith(", 0)"):
        text = text.removesuffix(", 0)") + ")"
    return [text]


def _linear(node: Node) -> Lines:
    if not is_natural(node):
        return None
    named = {} if len(node.inputs) == 3 else {"bias": False}
    return [_call("LazyLinear", node.shape[-1].offset, **named)]


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
            return [_call(f"{name}{max(1, rank(node))}d", **named)]
        return [sized("Channels", _call(f"{name}{max(1, rank(node))}d", SIZE, **named))]

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
        return [_call("LayerNorm", sizes, **named)]
    return [sized("Features", _call("LayerNorm", SIZE, **named))]


def _group_norm(node: Node) -> Lines:
    named = _affine(node)
    if named is None or len(node.inputs) not in (1, 3):
        return None
    if len(node.inputs) == 1:
        named["affine"] = False
    groups = node.attributes["g"]
    if groups == node.shape[1].offset:
        return [sized("Channels", _call("GroupNorm", SIZE, SIZE, **named))]
    shared = 1 if groups == 1 else _Raw(f"math.gcd({groups}, c)")
    return [sized("Channels", _call("GroupNorm", shared, SIZE, **named))]


def _pool(node: Node) -> Lines:
    if rank(node) not in (1, 2):
        return None
    kernel, stride = window(node, "k"), window(node, "s")
    pads = window(node, "p", 0) * (1 if "p" in node.attributes else 2)
    padding, ends = pads[: rank(node)], pads[rank(node) :]
    unknown = node.attributes.keys() - {"k", "s", "p", "d", "ceil_mode", "count_include_pad"}
    if padding != ends or unknown:
        return None
    name = "MaxPool" if node.op == "MaxPool" else "AvgPool"
    if name == "MaxPool" and _takes_all(node, kernel):
        return [_call(f"AdaptiveMaxPool{rank(node)}d", 1)]
    named: dict[str, object] = {}
    if "d" in node.attributes:
        named["dilation"] = each(window(node, "d"))
    if node.attributes.get("ceil_mode"):
        named["ceil_mode"] = True
    if name == "AvgPool" and any(padding) and not node.attributes.get("count_include_pad"):
        named["count_include_pad"] = False
    given = [each(kernel)]
    if stride != kernel or any(padding):
        given.append(each(stride))
    if any(padding):
        given.append(each(padding))
    return [_call(f"{name}{rank(node)}d", *given, **named)]


def _takes_all(node: Node, kernel: tuple[int, ...]) -> bool:
    source = node.inputs[0]
    assert isinstance(source, Ref)
    extent = tuple(dim.offset for dim in source.shape[2:])
    return kernel == extent and all(dim == (0, 1) for dim in node.shape[2:])


def _mean(node: Node) -> Lines:
    """The mean over all positions, where their axes stay."""
    source = node.inputs[0]
    assert isinstance(source, Ref)
    axes = tuple(range(2, len(source.shape)))
    if node.attributes["a"] != axes or len(node.shape) != len(source.shape) or len(axes) > 2:
        return None
    return [_call(f"AdaptiveAvgPool{len(axes)}d", 1)] if axes else None


def _activation(name: str, **settings: tuple[str, float]) -> Callable[[Node], Lines]:
    """A layer of one argument; settings are attributes: their keyword and their usual value."""

    def rule(node: Node) -> Lines:
        named = {}
        for key, (keyword, usual) in settings.items():
            value = node.attributes.get(key, usual)
            if abs(float(value) - usual) > 1e-6:  # type: ignore[arg-type]
                named[keyword] = value
        return [_call(name, **named)] if node.attributes.keys() <= settings.keys() else None

    return rule


def _gelu(node: Node) -> Lines:
    is_fast = node.attributes.get("approximate") == "tanh"
    return [_call("GELU", approximate="tanh") if is_fast else _call("GELU")]


def _hard_sigmoid(node: Node) -> Lines:
    slope = node.attributes.get("alpha", 0.2)
    is_plain = abs(float(slope) - 1 / 6) < 1e-6 and "beta" not in node.attributes  # type: ignore[arg-type]
    return [_call("Hardsigmoid")] if is_plain else None


def _clip(node: Node) -> Lines:
    bounds = [o.scalar if isinstance(o, Constant) else None for o in node.inputs[1:]]
    if len(bounds) != 2 or None in bounds:
        return None
    if bounds == [0.0, 6.0]:
        return [_call("ReLU6")]
    return [_call("Hardtanh", *bounds)]


def _shrink(node: Node) -> Lines:
    cut, moved = node.attributes.get("lambd", 0.5), node.attributes.get("bias", 0.0)
    given = () if cut == 0.5 else (cut,)
    if moved == 0:
        return [_call("Hardshrink", *given)]
    return [_call("Softshrink", *given)] if moved == cut else None


def _slopes(node: Node) -> Lines:
    weight = node.inputs[1]
    if not isinstance(weight, Weight) or not weight.is_whole or len(weight.sources) != 1:
        return None
    if weight.shape == (1,):
        return [_call("PReLU")]
    channels = node.shape[1].offset if len(node.shape) > 1 else 0
    sizes = (channels, *(1,) * rank(node)) if len(node.shape) > 2 else (channels,)
    return [sized("Channels", _call("PReLU", SIZE))] if weight.shape == sizes else None


def _over_axis(name: str) -> Callable[[Node], Lines]:
    return lambda node: [_call(name, node.attributes["a"])]


def _resize(node: Node) -> Lines:
    source = node.inputs[0]
    assert isinstance(source, Ref)
    settings = resize_settings(node)
    if settings is None or rank(node) not in (1, 2) or source.shape[:2] != node.shape[:2]:
        return None
    return [_call("Upsample", **settings)]


def resize_settings(node: Node) -> dict[str, object] | None:
    """What `nn.Upsample` and `F.interpolate` are told for a Resize."""
    source = node.inputs[0]
    assert isinstance(source, Ref)
    before, after = ([dim.offset for dim in shape[2:]] for shape in (source.shape, node.shape))
    factors = {to / size for size, to in zip(before, after, strict=True)}
    settings: dict[str, object] = {"size": tuple(after)}
    if len(factors) == 1 and float(next(iter(factors))).is_integer():
        settings = {"scale_factor": int(factors.pop())}
    mode = str(node.attributes.get("mode", "nearest"))
    places = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        is_exact = node.attributes.get("nearest_mode") != "floor"
        return settings | ({"mode": "nearest-exact"} if is_exact else {})
    name = {("linear", 1): "linear", ("linear", 2): "bilinear", ("cubic", 2): "bicubic"}
    if (mode, rank(node)) not in name:
        return None
    settings["mode"] = name[mode, rank(node)]
    if places == "align_corners":
        settings["align_corners"] = True
    return settings


def _pad(node: Node) -> Lines:
    """Padding of the last axes."""
    pads: tuple = node.attributes["p"]  # type: ignore[assignment]
    half = len(pads) // 2
    kinds = {"reflect": "ReflectionPad", "edge": "ReplicationPad", "wrap": "CircularPad"}
    mode = node.attributes.get("mode", "constant")
    if any((*pads[:2], *pads[half : half + 2])) or half not in (3, 4):
        return None
    around = padding_of(pads)
    given = node.inputs[1:]
    if mode == "constant":
        value = given[0].scalar if given and isinstance(given[0], Constant) else 0.0
        if value is None:
            return None
        name = "ZeroPad" if value == 0 else "ConstantPad"
        return [_call(f"{name}{half - 2}d", around, *([] if value == 0 else [value]))]
    return [_call(f"{kinds[str(mode)]}{half - 2}d", around)] if mode in kinds else None


def padding_of(pads: tuple[int, ...]) -> tuple[int, ...]:
    """Padding as torch counts it: from the last axis that is padded to the first one."""
    half = len(pads) // 2
    pairs = [(pads[axis], pads[half + axis]) for axis in reversed(range(half))]
    while len(pairs) > 1 and not any(pairs[-1]):
        pairs.pop()
    if half > 2:  # layers want all positions
        pairs = [(pads[axis], pads[half + axis]) for axis in reversed(range(half))][
            : max(half - 2, len(pairs))
        ]
    return tuple(n for pair in pairs for n in pair)


def _shuffle(node: Node) -> Lines:
    if node.attributes.get("mode") != "CRD":
        return None
    return [_call("PixelShuffle", node.attributes["blocksize"])]


_RULES: dict[str, Callable[[Node], Lines]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Linear": _linear,
    "BatchNorm": _channel_norm("LazyBatchNorm", True),
    "InstanceNorm": _channel_norm("InstanceNorm", False),
    "LayerNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "MaxPool": _pool,
    "AveragePool": _pool,
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
    "Resize": _resize,
    "Pad": _pad,
    "DepthToSpace": _shuffle,
}
