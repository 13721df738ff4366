"""The text of a layer's constructor.

In: a layer's name and settings. Out: the call, with no more digits than tell its numbers.
"""

import re

import numpy as np

from surrogate.ir import Node, Weight
from surrogate.wording import natural_weights


class Raw(str):
    """A text that stands in a call as it is."""

    __slots__ = ()


SIZE = Raw("c")
"""What the first size of an input is called in the call that builds a layer for it."""


def call(name: str, *given: object, **named: object) -> str:
    """A call of a layer of `nn`."""
    texts = [layer_text(value) for value in given]
    texts += [f"{key}={layer_text(value)}" for key, value in named.items()]
    return f"nn.{name}({', '.join(texts)})"


def sized(name: str, text: str) -> str:
    """A layer whose first size, written `c`, is read off the input."""
    plain = re.fullmatch(r"(nn\.\w+)\(c\)", text)
    return f"{name}({plain[1]})" if plain else f"{name}(lambda c: {text})"


def layer_text(value: object) -> str:
    """A setting as it stands in a call."""
    if isinstance(value, tuple):
        inner = ", ".join(map(layer_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, float):
        return number(value)
    return f'"{value}"' if type(value) is str else str(value)


def number(value: float) -> str:
    """A float of 32 bits in as few digits as tell it."""
    text = str(np.float32(value))
    if text in ("inf", "-inf", "nan"):
        return f'float("{text}")'
    return text.removesuffix(".0") if text.endswith(".0") else text


def each(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """One number where all are the same."""
    return values[0] if len(set(values)) == 1 else values


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
