"""What becomes of weights before data meets them: moved, cut, joined or computed with.

In: an operator whose operands are weights and constants; out: a `Weight` that remembers its
sources. A weight is whole while every element of its sources is used just once, in whatever
layout: transposed, gates in another order, bias rows joined. Then its text and hash are those of
the plain weight. Tensors of more than `ELEMENTS` elements are taken as whole if the count is right.
"""

import math
from collections.abc import Mapping

import numpy as np

from surrogate.fold import RULES
from surrogate.ir import COMMUTATIVE, Constant, Operand, Recipe, Weight, form_of

BIJECTIVE = {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast"}
LAYOUT = BIJECTIVE | {"Slice", "Split", "Concat", "Gather", "Expand"}
ELEMENTS = 2**18
FAILURES = (ValueError, IndexError, TypeError, KeyError, OverflowError, AssertionError)
Sources = Mapping[str, tuple[tuple[int, ...], int]]


def derive(recipe: Recipe, shape: tuple[int, ...], sources: Sources) -> Weight:
    """Return what an operator makes of weights."""
    weights = [operand for operand in recipe.inputs if isinstance(operand, Weight)]
    if recipe.op in COMMUTATIVE:
        weights.sort(key=form_of)
    names = tuple(dict.fromkeys(name for weight in weights for name in weight.sources))
    is_layout = recipe.op in LAYOUT and all(weight.is_layout for weight in weights)
    total = sum(math.prod(sources[name][0]) for name in names)
    derived = Weight(names, shape, False, is_layout, recipe)
    if not is_layout or math.prod(shape) != total:
        return derived
    is_whole = _is_surely_whole(recipe.op, weights) or _covers(derived, sources, total)
    return Weight(names, shape, True, is_layout, recipe) if is_whole else derived


def _is_surely_whole(op: str, weights: list[Weight]) -> bool:
    """Whole weights of different sources, joined or laid out anew, are whole."""
    if not all(weight.is_whole for weight in weights):
        return False
    names = [name for weight in weights for name in weight.sources]
    return op != "Gather" and len(set(names)) == len(names)


def _covers(weight: Weight, sources: Sources, total: int) -> bool:
    """Whether numbers in place of the elements all arrive."""
    if total > ELEMENTS:
        return True
    places, start = {}, 0
    for name in weight.sources:
        shape = sources[name][0]
        size = math.prod(shape)
        places[name] = np.arange(start, start + size, dtype=np.int32).reshape(shape)
        start += size
    try:
        arrived = _moved(weight, places, {})
    except FAILURES:
        return False
    return bool((np.bincount(arrived.reshape(-1), minlength=total) == 1).all())


def _moved(
    operand: Weight, places: dict[str, np.ndarray], known: dict[int, np.ndarray]
) -> np.ndarray:
    """The numbers of the elements of a weight, laid out as it is."""
    if operand.recipe is None:
        return places[operand.sources[0]]
    if id(operand) not in known:
        op, attributes, inputs, output = operand.recipe
        arrays = [_moved(i, places, known) if isinstance(i, Weight) else _fixed(i) for i in inputs]
        found = RULES["Identity" if op == "Cast" else op](attributes, arrays)
        known[id(operand)] = found[output] if isinstance(found, list) else found
    return known[id(operand)]


def _fixed(operand: Operand) -> np.ndarray | None:
    return operand.data[0] if isinstance(operand, Constant) and operand.data is not None else None
