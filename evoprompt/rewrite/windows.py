"""Convolutions, pooling, padding and resizing: operators with windows, as lines.

In: a node. Out: the layers that it is, or None, as in `layers`.
"""

from evoprompt.rewrite.calls import SIZE, call, each, is_natural, sized
from surrogate.ir import Constant, Node, Ref

Lines = list[str] | None


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
        first, padding = [call(f"ZeroPad{rank(node)}d", around)], (0,) * rank(node)
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
        return sized("Channels", call(plain, SIZE, SIZE, *given, each(padding), **kept))
    return call(f"{name}{rank(node)}d", node.shape[1].offset, *given, each(padding), **kept)


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
        return [call(f"AdaptiveMaxPool{rank(node)}d", 1)]
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
    return [call(f"{name}{rank(node)}d", *given, **named)]


def _takes_all(node: Node, kernel: tuple[int, ...]) -> bool:
    source = node.inputs[0]
    assert isinstance(source, Ref)
    extent = tuple(dim.offset for dim in source.shape[2:])
    return kernel == extent and all(dim == (0, 1) for dim in node.shape[2:])


def _resize(node: Node) -> Lines:
    source = node.inputs[0]
    assert isinstance(source, Ref)
    settings = resize_settings(node)
    if settings is None or rank(node) not in (1, 2) or source.shape[:2] != node.shape[:2]:
        return None
    return [call("Upsample", **settings)]


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
        return [call(f"{name}{half - 2}d", around, *([] if value == 0 else [value]))]
    return [call(f"{kinds[str(mode)]}{half - 2}d", around)] if mode in kinds else None


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
    return [call("PixelShuffle", node.attributes["blocksize"])]


RULES = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "Resize": _resize,
    "Pad": _pad,
    "DepthToSpace": _shuffle,
}
