"""What a call of torch is: Python or built in, its name, whether it writes into its argument."""

import types
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]

_NO_GUARD = {
    name: lambda *_, **__: False
    for name in (
        "has_torch_function",
        "has_torch_function_unary",
        "has_torch_function_variadic",
    )
}
_unguarded: dict[Function, Function] = {}
_in_place: dict[Function, bool] = {}


def is_python_of_torch(func: Function) -> bool:
    """Whether a call can be entered and its parts seen."""
    is_function = type(func) is types.FunctionType
    return is_function and (func.__module__ or "").startswith("torch")


def without_guard(func: Any) -> Function:
    """The same Python function without its question whether a mode wants to see the call."""
    copy = _unguarded.get(func)
    if copy is None:
        names = {**func.__globals__, **_NO_GUARD}
        copy = types.FunctionType(
            func.__code__, names, func.__name__, func.__defaults__, func.__closure__
        )
        copy.__kwdefaults__ = func.__kwdefaults__
        _unguarded[func] = copy
    return copy


def name_of(func: Function) -> str:
    """The name of a function, of a property for its getter."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    return str(name)


def writes(func: Function) -> bool:
    """Whether a function changes its first argument."""
    known = _in_place.get(func)
    if known is None:
        name = name_of(func)
        is_operator = name.startswith("__i") and name not in ("__invert__", "__index__", "__iter__")
        known = is_operator or name == "__setitem__" or (name.endswith("_") and name[-2:] != "__")
        _in_place[func] = known
    return known
