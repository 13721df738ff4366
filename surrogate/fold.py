"""Arithmetic on small constants with numpy: the shape computations that exporters leave behind.

In: an operator's name, its attributes and its operands as arrays; out: arrays, or None for an
operator that is not known here. Random and stateful operators are never computed.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from onnx import helper

ELEMENT_LIMIT = 65_536  # larger constants are named by how they were made
Arrays = list[np.ndarray | None]
Attributes = Mapping[str, object]


def fold(op: str, attributes: Attributes, inputs: Arrays) -> list[np.ndarray] | None:
    """Return the outputs of an operator on constants, or None if it is unknown or too large."""
    rule = RULES.get(op)
    if rule is None or any(array is not None and array.size > ELEMENT_LIMIT for array in inputs):
        return None
    if _output_size(op, attributes, inputs) > ELEMENT_LIMIT:
        return None
    with np.errstate(all="ignore"):
        result = rule(attributes, inputs)
    return [np.asarray(array) for array in (result if isinstance(result, list) else [result])]


def _output_size(op: str, attributes: Attributes, inputs: Arrays) -> int:
    """Elements of the largest output, at most: small tensors can ask for a large one."""
    sizes = [array.size for array in inputs if array is not None]
    if op == "ConstantOfShape":
        return _product(_array(inputs, 0))
    if op in ("Expand", "Tile"):
        return _product(_array(inputs, 1)) * max(1, sizes[0])
    if op == "Range":
        start, stop, step = (float(_array(inputs, i).reshape(())) for i in range(3))
        return int(abs(stop - start) / max(abs(step), 1e-9))
    if op == "Gather":
        array = _array(inputs, 0)
        axis = int(attributes.get("axis", 0))  # type: ignore[call-overload]
        return sizes[0] * sizes[1] // max(1, array.shape[axis])
    if op in ("Concat", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze") or len(sizes) < 2:
        return sum(sizes)
    return math.prod(np.broadcast_shapes(*(a.shape for a in inputs if a is not None)))


def _product(sizes: np.ndarray) -> int:
    return math.prod(max(1, int(size)) for size in sizes.reshape(-1))


def _array(inputs: Arrays, index: int) -> np.ndarray:
    array = inputs[index]
    assert array is not None
    return array


def _optional(inputs: Arrays, index: int) -> np.ndarray | None:
    return inputs[index] if len(inputs) > index else None


def _axes(attributes: Attributes, inputs: Arrays) -> tuple[int, ...] | None:
    given = _optional(inputs, 1)
    values = given.reshape(-1).tolist() if given is not None else attributes.get("axes")
    return tuple(values) if values is not None else None  # type: ignore[arg-type]


def _divide(_: Attributes, inputs: Arrays) -> np.ndarray:
    left, right = _array(inputs, 0), _array(inputs, 1)
    if left.dtype.kind == "f":
        return left / right
    quotient = np.trunc(left.astype(np.float64) / right)  # ONNX integers round towards zero
    return quotient.astype(left.dtype)


def _slice(_: Attributes, inputs: Arrays) -> np.ndarray:
    array = _array(inputs, 0)
    starts, ends = _array(inputs, 1).tolist(), _array(inputs, 2).tolist()
    axes, steps = _optional(inputs, 3), _optional(inputs, 4)
    places = [slice(None)] * array.ndim
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = int(axes[index]) if axes is not None else index
        step = int(steps[index]) if steps is not None else 1
        is_before_first = step < 0 and end < -array.shape[axis]
        places[axis] = slice(start, None if is_before_first else end, step)
    return array[tuple(places)]


def _split(attributes: Attributes, inputs: Arrays) -> list[np.ndarray]:
    array, axis = _array(inputs, 0), int(attributes.get("axis", 0))  # type: ignore[call-overload]
    sizes = _optional(inputs, 1)
    given = sizes.tolist() if sizes is not None else attributes.get("split")
    if given is None:
        count = int(attributes["num_outputs"])  # type: ignore[call-overload]
        step = -(-array.shape[axis] // count)
        return np.split(array, range(step, array.shape[axis], step), axis)
    return np.split(array, np.cumsum(given)[:-1], axis)  # type: ignore[arg-type]


def _flatten(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    array, axis = _array(inputs, 0), int(attributes.get("axis", 1))  # type: ignore[call-overload]
    axis = axis + array.ndim if axis < 0 else axis
    return array.reshape(math.prod(array.shape[:axis]), -1)


def _reshape(_: Attributes, inputs: Arrays) -> np.ndarray:
    array, target = _array(inputs, 0), _array(inputs, 1).tolist()
    return array.reshape([array.shape[i] if d == 0 else d for i, d in enumerate(target)])


def _squeeze(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    return np.squeeze(_array(inputs, 0), _axes(attributes, inputs))


def _unsqueeze(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    return np.expand_dims(_array(inputs, 0), _axes(attributes, inputs) or ())


def _cast(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    return _array(inputs, 0).astype(helper.tensor_dtype_to_np_dtype(int(attributes["to"])))  # type: ignore[call-overload]


def _fill(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    value = attributes.get("value", np.zeros(1, np.float32))
    return np.full(_array(inputs, 0).tolist(), np.asarray(value).reshape(()))


def _trilu(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    shift = _optional(inputs, 1)
    corner = np.triu if attributes.get("upper", 1) else np.tril
    return corner(_array(inputs, 0), int(shift) if shift is not None else 0)


def _gather(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    axis = int(attributes.get("axis", 0))  # type: ignore[call-overload]
    return np.take(_array(inputs, 0), _array(inputs, 1), axis=axis)


def _range(_: Attributes, inputs: Arrays) -> np.ndarray:
    start, stop, step = (_array(inputs, index).reshape(()) for index in range(3))
    count = max(0, int(np.ceil((stop - start) / step)))
    return (start + np.arange(count) * step).astype(start.dtype)


def _concat(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    arrays = [_array(inputs, index) for index in range(len(inputs))]
    return np.concatenate(arrays, axis=int(attributes["axis"]))  # type: ignore[call-overload]


def _transpose(attributes: Attributes, inputs: Arrays) -> np.ndarray:
    return np.transpose(_array(inputs, 0), attributes.get("perm"))  # type: ignore[arg-type]


def _reduce(function: Callable[..., np.ndarray]) -> Callable[[Attributes, Arrays], np.ndarray]:
    def rule(attributes: Attributes, inputs: Arrays) -> np.ndarray:
        keep = bool(attributes.get("keepdims", 1))
        array = _array(inputs, 0)
        return function(array, axis=_axes(attributes, inputs), keepdims=keep).astype(array.dtype)

    return rule


def _elementwise(function: Callable[..., np.ndarray]) -> Callable[[Attributes, Arrays], np.ndarray]:
    return lambda _, inputs: function(*inputs)


def _float_like(function: Callable[..., np.ndarray]) -> Callable[[Attributes, Arrays], np.ndarray]:
    return lambda _, inputs: function(_array(inputs, 0)).astype(_array(inputs, 0).dtype)


RULES: dict[str, Callable[[Attributes, Arrays], np.ndarray | list[np.ndarray]]] = {
    "Identity": lambda _, inputs: _array(inputs, 0),
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _divide,
    "Mod": _elementwise(np.mod),
    "Pow": lambda _, i: np.power(_array(i, 0), _array(i, 1)).astype(_array(i, 0).dtype),
    "Neg": _elementwise(np.negative),
    "Abs": _elementwise(np.abs),
    "Sqrt": _float_like(np.sqrt),
    "Exp": _float_like(np.exp),
    "Log": _float_like(np.log),
    "Sin": _float_like(np.sin),
    "Cos": _float_like(np.cos),
    "Floor": _float_like(np.floor),
    "Ceil": _float_like(np.ceil),
    "Reciprocal": _float_like(np.reciprocal),
    "Equal": _elementwise(np.equal),
    "Less": _elementwise(np.less),
    "Greater": _elementwise(np.greater),
    "LessOrEqual": _elementwise(np.less_equal),
    "GreaterOrEqual": _elementwise(np.greater_equal),
    "Not": _elementwise(np.logical_not),
    "And": _elementwise(np.logical_and),
    "Or": _elementwise(np.logical_or),
    "Where": _elementwise(np.where),
    "Min": lambda _, inputs: np.minimum.reduce([a for a in inputs if a is not None]),
    "Max": lambda _, inputs: np.maximum.reduce([a for a in inputs if a is not None]),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMin": _reduce(np.min),
    "ReduceMax": _reduce(np.max),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _fill,
    "Flatten": _flatten,
    "Split": _split,
    "Expand": lambda _, i: np.broadcast_to(
        _array(i, 0), np.broadcast_shapes(_array(i, 0).shape, tuple(_array(i, 1).tolist()))
    ),
    "Gather": _gather,
    "Range": _range,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Tile": lambda _, inputs: np.tile(_array(inputs, 0), _array(inputs, 1)),
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
