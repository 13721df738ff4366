"""Operators as PyTorch expressions: what stands in a `forward` where no layer does.

In: a node and the expressions of its operands. Out: an `Expression` whose recording is that node
again. An operator without a rule raises `NoRuleError`.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from evoprompt.rewrite import views
from evoprompt.rewrite.calls import layer_text, number
from evoprompt.rewrite.reading import NoRuleError
from evoprompt.rewrite.windows import padding_of, resize_settings
from surrogate.ir import BATCH, Constant, Dim, Node, Operand, Ref, Shape, Weight

ATOM, SIGN, PRODUCT, SUM, COMPARISON = range(4, -1, -1)
TYPES = {1: "torch.float32", 6: "torch.int32", 7: "torch.int64", 9: "torch.bool"}


class Expression(NamedTuple):
    """A text, and how tightly it holds together."""

    text: str
    rank: int = ATOM

    def at_least(self, rank: int) -> str:
        """The text, in brackets where it holds together less tightly."""
        return self.text if self.rank >= rank else f"({self.text})"


Operands = Sequence[Expression]
Rule = Callable[[Node, Operands], Expression]


def expression(node: Node, operands: Operands) -> Expression:
    """The expression of a node; raises `NoRuleError`."""
    rule = _RULES.get(node.op)
    if rule is None:
        raise NoRuleError(f"the operator {node.op}")
    return rule(node, operands)


def sizes(shape: Shape, batch: str = "-1") -> str:
    """The numbers of a shape, the batch as it is told."""
    if sum(dim.scale != 0 for dim in shape) > 1 or (batch != "-1" and not _has_batch(shape)):
        raise NoRuleError("a shape in which the batch stands twice")
    return ", ".join(batch if dim.scale else str(dim.offset) for dim in shape)


def _has_batch(shape: Shape) -> bool:
    return all(dim == BATCH for dim in shape if dim.scale)


def _data_shape(node: Node, place: int = 0) -> Shape:
    operand = node.inputs[place]
    if isinstance(operand, Weight):
        return tuple(Dim(0, size) for size in operand.shape)
    if operand is None:
        raise NoRuleError(f"an operand of {node.op} that is left out")
    return operand.shape


def _method(name: str) -> Rule:
    def rule(node: Node, operands: Operands) -> Expression:
        if node.attributes:
            raise NoRuleError(f"{node.op} with {', '.join(node.attributes)}")
        return Expression(f"{operands[0].at_least(ATOM)}.{name}()")

    return rule


def _function(text: str, *keys: str) -> Rule:
    """A function with settings: `text` has {x} for the operand and {key} for an attribute."""

    def rule(node: Node, operands: Operands) -> Expression:
        unknown = node.attributes.keys() - set(keys)
        if unknown:
            raise NoRuleError(f"{node.op} with {', '.join(sorted(unknown))}")
        given = {key: _plain(node.attributes[key]) for key in keys if key in node.attributes}
        missing = set(keys) - given.keys()
        return Expression(
            text.format(x=operands[0].text, **given, **dict.fromkeys(missing, "None"))
        )

    return rule


def _plain(value: object) -> str:
    return number(value) if isinstance(value, float) else repr(value)


def _infix(sign: str, own: int) -> Rule:
    def rule(node: Node, operands: Operands) -> Expression:
        left, right = operands
        return Expression(f"{left.at_least(own)} {sign} {right.at_least(own + 1)}", own)

    return rule


def _negative(node: Node, operands: Operands) -> Expression:
    return Expression(f"-{operands[0].at_least(ATOM)}", SIGN)


def _power(node: Node, operands: Operands) -> Expression:
    return Expression(f"{operands[0].at_least(ATOM)} ** {operands[1].at_least(ATOM)}", SIGN)


def _extreme(name: str, bound: str) -> Rule:
    """Of two tensors, or with a number as a bound."""

    def rule(node: Node, operands: Operands) -> Expression:
        for place in (1, 0):
            operand = node.inputs[place]
            if isinstance(operand, Constant) and operand.has_one_element:
                other = operands[1 - place].at_least(ATOM)
                return Expression(f"{other}.clamp({bound}={operands[place].text})")
        return Expression(f"torch.{name}({operands[0].text}, {operands[1].text})")

    return rule


def _clip(node: Node, operands: Operands) -> Expression:
    bounds = ", ".join(operand.text for operand in operands[1:])
    return Expression(f"{operands[0].at_least(ATOM)}.clamp({bounds})")


def _gelu(node: Node, operands: Operands) -> Expression:
    how = ', approximate="tanh"' if node.attributes.get("approximate") == "tanh" else ""
    return Expression(f"F.gelu({operands[0].text}{how})")


def _hard_sigmoid(node: Node, operands: Operands) -> Expression:
    if abs(float(node.attributes.get("alpha", 0.2)) - 1 / 6) > 1e-6:  # type: ignore[arg-type]
        raise NoRuleError("HardSigmoid of another slope")
    return Expression(f"F.hardsigmoid({operands[0].text})")


def _reduction(name: str) -> Rule:
    def rule(node: Node, operands: Operands) -> Expression:
        axes: tuple[int, ...] = node.attributes["a"]  # type: ignore[assignment]
        text = str(axes[0]) if len(axes) == 1 else str(axes)
        keep = ", keepdim=True" if len(node.shape) == len(_data_shape(node)) else ""
        if name.startswith("torch."):
            return Expression(f"{name}({operands[0].text}, dim={text}{keep})")
        return Expression(f"{operands[0].at_least(ATOM)}.{name}({text}{keep})")

    return rule


def _norm(order: int) -> Rule:
    def rule(node: Node, operands: Operands) -> Expression:
        text = _reduction("norm")(node, operands).text
        return Expression(text.replace(".norm(", f".norm({order}, ", 1))

    return rule


def _place(name: str) -> Rule:
    def rule(node: Node, operands: Operands) -> Expression:
        keep = "" if len(node.shape) < len(_data_shape(node)) else ", keepdim=True"
        axis = node.attributes.get("axis", 0)
        return Expression(f"{operands[0].at_least(ATOM)}.{name}({axis}{keep})")

    return rule


def _view(node: Node, operands: Operands) -> Expression:
    return Expression(operands[0].at_least(ATOM) + views.calls(_data_shape(node), node.shape))


def _transpose(node: Node, operands: Operands) -> Expression:
    order: tuple[int, ...] = node.attributes["order"]  # type: ignore[assignment]
    moved = [axis for axis, place in enumerate(order) if axis != place]
    text = operands[0].at_least(ATOM)
    if len(moved) == 2:
        return Expression(f"{text}.transpose({moved[0]}, {moved[1]})")
    return Expression(f"{text}.permute({', '.join(map(str, order))})")


def _index(axis: int, rank: int, text: str) -> str:
    """An index of one axis, the others whole."""
    if axis == rank - 1 and rank > 2:
        return f"[..., {text}]"
    return f"[{', '.join([':'] * axis + [text])}]"


def _slice(node: Node, operands: Operands) -> Expression:
    shape, keys = _data_shape(node), ("a", "from", "to")
    columns = [node.attributes[key] for key in keys]
    columns.append(node.attributes.get("step", (1,) * len(columns[0])))  # type: ignore[arg-type]
    text = operands[0].at_least(ATOM)
    for axis, start, stop, step in zip(*columns, strict=True):  # type: ignore[arg-type]
        if step < 0:
            if (start, stop, step) != (shape[axis].at(1) - 1, -1, -1) and not shape[axis].scale:
                raise NoRuleError("a slice that goes backwards in steps")
            text += f".flip({axis})"
            continue
        end = stop if stop < shape[axis].offset else ""
        stretch = f"{start or ''}:{end}" + (f":{step}" if step != 1 else "")
        text += _index(axis, len(shape), stretch)
    return Expression(text)


def _select(node: Node, operands: Operands) -> Expression:
    shape = _data_shape(node)
    axis: int = node.attributes["a"]  # type: ignore[assignment]
    places: tuple[int, ...] = node.attributes["i"]  # type: ignore[assignment]
    if len(node.shape) == len(shape) - 1 and len(places) == 1:
        last = not shape[axis].scale and places[0] == shape[axis].offset - 1 and places[0] > 0
        index = "-1" if last else str(places[0])
    elif len(node.shape) == len(shape):
        index = str(list(places))
    else:
        raise NoRuleError("an index of several axes")
    return Expression(operands[0].at_least(ATOM) + _index(axis, len(shape), index))


def _gather(node: Node, operands: Operands) -> Expression:
    axis: int = node.attributes["a"]  # type: ignore[assignment]
    text = operands[1].text
    return Expression(operands[0].at_least(ATOM) + _index(axis, len(_data_shape(node)), text))


def _gather_elements(node: Node, operands: Operands) -> Expression:
    axis = node.attributes.get("axis", 0)
    return Expression(f"{operands[0].at_least(ATOM)}.gather({axis}, {operands[1].text})")


def _concat(node: Node, operands: Operands) -> Expression:
    parts = ", ".join(operand.text for operand in operands)
    return Expression(f"torch.cat([{parts}], {node.attributes['a']})")


def _expand(node: Node, operands: Operands) -> Expression:
    shape = _data_shape(node)
    kept = (None,) * (len(node.shape) - len(shape)) + shape
    parts = [
        "-1" if dim == old else str(dim.offset) for dim, old in zip(node.shape, kept, strict=True)
    ]
    if any(dim.scale and dim != old for dim, old in zip(node.shape, kept, strict=True)):
        raise NoRuleError("a tensor that is repeated for each example")
    return Expression(f"{operands[0].at_least(ATOM)}.expand({', '.join(parts)})")


def _pad(node: Node, operands: Operands) -> Expression:
    mode = node.attributes.get("mode", "constant")
    kinds = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    around = padding_of(node.attributes["p"])  # type: ignore[arg-type]
    rest = f", value={operands[1].text}" if len(operands) > 1 else ""
    if mode != "constant":
        rest = f', mode="{kinds[str(mode)]}"'
    return Expression(f"F.pad({operands[0].text}, {around}{rest})")


def _resize(node: Node, operands: Operands) -> Expression:
    settings = resize_settings(node)
    if settings is None:
        raise NoRuleError("this way of resizing")
    words = ", ".join(f"{key}={layer_text(value)}" for key, value in settings.items())
    return Expression(f"F.interpolate({operands[0].text}, {words})")


def _window(name: str) -> Rule:
    """A convolution or pooling whose weights are no layer's."""

    def rule(node: Node, operands: Operands) -> Expression:
        raise NoRuleError(f"{name} with weights that are computed, or of another rank")

    return rule


def _linear(node: Node, operands: Operands) -> Expression:
    """With weights that are computed: a product for more than rows."""
    if len(node.shape) == 2:
        return Expression(f"F.linear({', '.join(operand.text for operand in operands)})")
    product = Expression(f"{operands[0].at_least(PRODUCT)} @ {operands[1].at_least(SIGN)}", PRODUCT)
    return product if len(operands) == 2 else _infix("+", SUM)(node, (product, operands[2]))


def _einsum(node: Node, operands: Operands) -> Expression:
    parts = ", ".join(operand.text for operand in operands)
    equation = str(node.attributes["equation"])
    if not re.fullmatch(r"[A-Za-z,.>-]+", equation):
        raise NoRuleError("an einsum of other than letters")
    return Expression(f'torch.einsum("{equation}", {parts})')


def _where(node: Node, operands: Operands) -> Expression:
    return Expression(f"torch.where({', '.join(operand.text for operand in operands)})")


def _cast(node: Node, operands: Operands) -> Expression:
    kind = TYPES.get(node.attributes["to"])  # type: ignore[arg-type]
    if kind is None:
        raise NoRuleError("a type of few uses")
    return Expression(f"{operands[0].at_least(ATOM)}.to({kind})")


def _along(name: str) -> Rule:
    def rule(node: Node, operands: Operands) -> Expression:
        unknown = node.attributes.keys() - {"a"}
        if unknown or "a" not in node.attributes:
            raise NoRuleError(f"{node.op} in another direction")
        return Expression(f"{operands[0].at_least(ATOM)}.{name}({node.attributes['a']})")

    return rule


def constant_literal(operand: Operand) -> str | None:
    """A number, where a constant is one."""
    if isinstance(operand, Constant) and operand.has_one_element and operand.scalar is not None:
        is_whole = operand.data is not None and operand.data[0].dtype.kind in "iu"
        return str(int(operand.scalar)) if is_whole else number(operand.scalar)
    return None


def shape_of(operand: Ref | Weight | Constant) -> Shape:
    """The shape of any operand."""
    return tuple(Dim(0, n) for n in operand.shape) if isinstance(operand, Weight) else operand.shape


_RULES: dict[str, Rule] = {
    **{op: _method(op.lower()) for op in ("Sigmoid", "Tanh", "Relu", "Exp", "Log", "Sqrt", "Sin")},
    **{op: _method(op.lower()) for op in ("Cos", "Tan", "Abs", "Erf", "Sign", "Floor", "Ceil")},
    **{op: _method(op.lower()) for op in ("Round", "Reciprocal", "Asin", "Acos", "Atan", "Sinh")},
    **{op: _method(op.lower()) for op in ("Cosh", "Asinh", "Acosh", "Atanh")},
    "Swish": _function("F.silu({x})"),
    "Softplus": _function("F.softplus({x})"),
    "HardSwish": _function("F.hardswish({x})"),
    "Selu": _function("F.selu({x})"),
    "LeakyRelu": lambda node, x: _sloped("F.leaky_relu", node, x),
    "Elu": lambda node, x: _sloped("F.elu", node, x),
    "Celu": lambda node, x: _sloped("F.celu", node, x),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "Not": lambda node, x: Expression(f"~{x[0].at_least(ATOM)}", SIGN),
    "Neg": _negative,
    "Add": _infix("+", SUM),
    "Sub": _infix("-", SUM),
    "Mul": _infix("*", PRODUCT),
    "Div": _infix("/", PRODUCT),
    "MatMul": _infix("@", PRODUCT),
    "Pow": _power,
    "Greater": _infix(">", COMPARISON),
    "Less": _infix("<", COMPARISON),
    "GreaterOrEqual": _infix(">=", COMPARISON),
    "LessOrEqual": _infix("<=", COMPARISON),
    "Equal": _infix("==", COMPARISON),
    "Max": _extreme("maximum", "min"),
    "Min": _extreme("minimum", "max"),
    "Clip": _clip,
    "ReduceMean": _reduction("mean"),
    "ReduceSum": _reduction("sum"),
    "ReduceMax": _reduction("amax"),
    "ReduceMin": _reduction("amin"),
    "ReduceProd": _reduction("prod"),
    "ReduceLogSumExp": _reduction("logsumexp"),
    "ReduceL1": _norm(1),
    "ReduceL2": _norm(2),
    "ArgMax": _place("argmax"),
    "ArgMin": _place("argmin"),
    "View": _view,
    "Transpose": _transpose,
    "Slice": _slice,
    "Select": _select,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Concat": _concat,
    "Expand": _expand,
    "Pad": _pad,
    "Resize": _resize,
    "Conv": _window("a convolution"),
    "ConvTranspose": _window("a transposed convolution"),
    "Linear": _linear,
    "Einsum": _einsum,
    "Where": _where,
    "Cast": _cast,
    "Softmax": _along("softmax"),
    "LogSoftmax": _along("log_softmax"),
    "CumSum": _along("cumsum"),
}


def _sloped(name: str, node: Node, operands: Operands) -> Expression:
    slope = node.attributes.get("alpha")
    return Expression(f"{name}({operands[0].text}{'' if slope is None else f', {number(slope)}'})")  # type: ignore[arg-type]
