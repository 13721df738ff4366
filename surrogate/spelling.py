"""The words of the canonical graph, and small readers of attributes that the rewriting rules share.

Attributes: k kernel, s stride, d dilation, g groups, p padding, c channels in and out, a axes.
"""

import operator
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from onnx import defs

from surrogate.ir import Attribute, Constant, Node, Operand, Ref, refs
from surrogate.wording import rounded

Raw = Mapping[str, object]
"""The attributes of a node as the file holds them."""


def data_input(node: Node) -> Ref:
    """The first data operand of a node that has one."""
    return next(refs(node))


def int_tuple(value: object) -> tuple[int, ...] | None:
    """A list of whole numbers from an attribute, an array or a constant operand."""
    if type(value) is tuple:
        return value
    if isinstance(value, Constant):
        value = value.data[0] if value.data is not None else None
    if value is None:
        return None
    return tuple(int(v) for v in np.asarray(value).reshape(-1))


def operand_at(node: Node, index: int) -> Operand:
    """The operand at a place, None if it is left out."""
    return node.inputs[index] if len(node.inputs) > index else None


def positive(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, sorted."""
    return tuple(sorted(axis + rank if axis < 0 else axis for axis in axes))


EPSILON = 1e-5


def keep_epsilon(node: Node, raw: Raw) -> None:
    """Keep the epsilon of a normalisation where it is not torch's default."""
    epsilon = float(raw.get("epsilon", EPSILON))  # type: ignore[arg-type]
    if abs(epsilon / EPSILON - 1) > 1e-3:
        node.attributes["eps"] = rounded(epsilon)


def keep_attributes(node: Node, raw: Raw) -> None:
    """Keep the attributes that are not the default."""
    if not raw:
        return
    defaults = _defaults(node.op)
    for key, value in raw.items():
        default = defaults.get(key)
        if default is None or default != value:
            node.attributes[key] = _printable(value)
    axis = node.attributes.get("axis")
    if isinstance(axis, int) and axis < 0 and isinstance(node.inputs[0], Ref):
        node.attributes["axis"] = axis + len(node.inputs[0].shape)


@lru_cache(maxsize=512)
def _defaults(op: str) -> dict[str, object]:
    known = defs.get_schema(op, "").attributes
    return {key: _plain(a.default_value) for key, a in known.items() if a.default_value.type}


def _plain(default: object) -> object:
    fields = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints"}
    get = operator.attrgetter(fields.get(default.type, "name"))  # type: ignore[attr-defined]
    value = get(default)
    return value.decode() if isinstance(value, bytes) else value


def _printable(value: object) -> Attribute:
    if isinstance(value, np.ndarray):
        return Constant((value, value), ()).digest
    return rounded(value) if isinstance(value, float) else value  # type: ignore[return-value]
