"""Weights that are no layer's: parameters, and what is computed of them before data meet them.

In: a weight operand. Out: the expression of it, and the parameters that it needs, by the name of
the trained tensor. Not promised: how a parameter begins; a graph does not tell. A factor begins at
one, what is added at zero, anything else at small random numbers.
"""

from collections.abc import Callable, Mapping

from evoprompt.rewrite.calls import number
from evoprompt.rewrite.expressions import ATOM, PRODUCT, SUM, Expression, constant_literal
from evoprompt.rewrite.reading import NoRuleError
from surrogate.ir import Constant, Operand, Recipe, Weight

FACTORS = frozenset({"Mul", "Div"})
TERMS = frozenset({"Add", "Sub", "Expand", "Concat"})
Declare = Callable[[str, tuple[int, ...]], str]
"""Gives the name of the parameter for a trained tensor, first asking for it in a shape."""


def beginning(op: str, sizes: str) -> str:
    """How a parameter of these sizes that an operator reads begins."""
    if op in FACTORS:
        return f"torch.ones({sizes})"
    if op in TERMS:
        return f"torch.zeros({sizes})"
    return f"0.1 * torch.randn({sizes})"


def weight_expression(weight: Weight, declare: Declare) -> Expression:
    """The expression of a weight."""
    if weight.is_whole and len(weight.sources) == 1:
        return Expression(declare(weight.sources[0], weight.shape))
    if weight.recipe is None:
        if len(weight.sources) != 1:
            raise NoRuleError("a weight that is made of several tensors")
        return Expression(declare(weight.sources[0], weight.shape))
    return _computed(weight.recipe, declare)


def _computed(recipe: Recipe, declare: Declare) -> Expression:
    rule = _RULES.get(recipe.op)
    if rule is None:
        raise NoRuleError(f"{recipe.op} of a weight")
    operands = [_operand(operand, declare) for operand in recipe.inputs]
    return rule(recipe.attributes, recipe.inputs, operands)


def _operand(operand: Operand, declare: Declare) -> Expression:
    if isinstance(operand, Weight):
        if operand.recipe is not None:
            return _computed(operand.recipe, declare)
        return weight_expression(operand, declare)
    return Expression(constant_literal(operand) or "")


Rule = Callable[[Mapping[str, object], list[Operand], list[Expression]], Expression]


def _infix(sign: str, own: int) -> Rule:
    def rule(_: object, __: object, operands: list[Expression]) -> Expression:
        left, right = operands
        if not left.text or not right.text:
            raise NoRuleError("a weight and a constant of many numbers")
        return Expression(f"{left.at_least(own)} {sign} {right.at_least(own + 1)}", own)

    return rule


def _method(name: str) -> Rule:
    return lambda _, __, operands: Expression(f"{operands[0].at_least(ATOM)}.{name}()")


def _numbers(operand: Operand) -> list[int]:
    if not isinstance(operand, Constant) or operand.data is None or not operand.is_static:
        raise NoRuleError("a weight that is cut at places that are not known")
    return [int(value) for value in operand.data[0].reshape(-1)]


def _gather(attributes: Mapping[str, object], inputs: list[Operand], operands: list) -> Expression:
    axis, index = attributes.get("axis", 0), inputs[1]
    places = _numbers(index)
    if not isinstance(index, Constant) or index.shape:
        raise NoRuleError("several rows of a weight")
    before = [":"] * int(axis)  # type: ignore[call-overload]
    return Expression(f"{operands[0].at_least(ATOM)}[{', '.join([*before, str(places[0])])}]")


def _slice(_: Mapping[str, object], inputs: list[Operand], operands: list) -> Expression:
    starts, ends, axes, steps = map(_numbers, inputs[1:5])
    source = inputs[0]
    assert isinstance(source, Weight)
    if len(axes) != 1:
        raise NoRuleError("a weight that is cut along several axes at once")
    end = "" if ends[0] >= source.shape[axes[0]] else str(ends[0])
    stretch = f"{starts[0] or ''}:{end}" + (f":{steps[0]}" if steps[0] != 1 else "")
    index = ", ".join([":"] * axes[0] + [stretch])
    return Expression(f"{operands[0].at_least(ATOM)}[{index}]")


def _permute(attributes: Mapping[str, object], _: object, operands: list) -> Expression:
    order = ", ".join(map(str, attributes["perm"]))  # type: ignore[call-overload]
    return Expression(f"{operands[0].at_least(ATOM)}.permute({order})")


def _reshape(_: Mapping[str, object], inputs: list[Operand], operands: list) -> Expression:
    numbers = ", ".join(map(str, _numbers(inputs[1])))
    return Expression(f"{operands[0].at_least(ATOM)}.reshape({numbers})")


def _softmax(attributes: Mapping[str, object], _: object, operands: list) -> Expression:
    return Expression(f"{operands[0].at_least(ATOM)}.softmax({attributes.get('axis', -1)})")


def _clip(_: Mapping[str, object], inputs: list[Operand], operands: list) -> Expression:
    bounds = [o.scalar if isinstance(o, Constant) else None for o in inputs[1:]]
    texts = ", ".join("None" if bound is None else number(bound) for bound in bounds)
    return Expression(f"{operands[0].at_least(ATOM)}.clamp({texts})")


_RULES: dict[str, Rule] = {
    "Add": _infix("+", SUM),
    "Sub": _infix("-", SUM),
    "Mul": _infix("*", PRODUCT),
    "Div": _infix("/", PRODUCT),
    "Exp": _method("exp"),
    "Log": _method("log"),
    "Sqrt": _method("sqrt"),
    "Abs": _method("abs"),
    "Neg": _method("neg"),
    "Relu": _method("relu"),
    "Sigmoid": _method("sigmoid"),
    "Tanh": _method("tanh"),
    "Softplus": lambda _, __, operands: Expression(f"F.softplus({operands[0].text})"),
    "Softmax": _softmax,
    "Clip": _clip,
    "Gather": _gather,
    "Slice": _slice,
    "Transpose": _permute,
    "Reshape": _reshape,
}
