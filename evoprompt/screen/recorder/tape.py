"""Writes down what one forward does: every call that torch makes on the way, as ONNX nodes.

A `TorchFunctionMode` sees each high-level call. A rule (`ops_*.py`) turns it into nodes; Python
functions of torch without a rule are entered and their parts recorded; whatever else meets data or
weights is refused by name. Calls on constants only are computed, not recorded.
Every tensor carries its value's name and its version counter: a tensor that was changed behind the
recorder's back (through a view) is refused where it is used. Not promised: that a hostile program
leaves these marks alone; it would only forge its own graph.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, handle_torch_function

from evoprompt.screen.recorder import calls, views

Function = Callable[..., Any]
Rule = Callable[..., None]
RULES: dict[Function, Rule] = {}
"""What to record for a call: rule(tape, result, *arguments, **keywords)."""
PASSED: set[Function] = set()
"""Calls that tell nothing of a tensor's numbers: shapes, types, new tensors like another."""
RANDOM: set[Function] = set()
"""Calls that give other numbers each time: a graph that uses them is refused."""

_PLAIN = frozenset({int, float, bool, str, type(None), torch.dtype})
"""Arguments that hold no tensor."""
_DATA, _WEIGHT, _CONSTANT, _COMPLEX = range(4)


_NO_GRAPH = (
    *("control flow", "random numbers", "a size that depends", "forward changes its input"),
    *("a tensor that is kept", "weights that are no part", "writing into a weight"),
    *("an output that does not depend", "embedding with max_norm"),
)
"""Refusals of what no exporter could write down either: it would trace one case of many."""


class UnsupportedError(Exception):
    """The forward does something that has no rule; the message names the operation."""

    @property
    def may_be_exported(self) -> bool:
        """Whether another exporter may know the operation."""
        return not str(self).startswith(_NO_GRAPH)


class Ints(tuple[int, ...]):
    """A vector of whole numbers as an operand: a shape, axes, places; may grow with the batch."""


class Literal(NamedTuple):
    """A number as an operand."""

    value: float | int | bool
    dtype: torch.dtype


@dataclass(eq=False)
class Held:
    """A tensor that is neither data nor a weight, as it was when it was first used."""

    tensor: Tensor


Operand = str | Ints | Literal | Held


@dataclass(eq=False, slots=True)
class Node:
    """One ONNX operator; an empty string is an operand that is left out."""

    op: str
    inputs: list[Operand]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)


def rule(*functions: Function) -> Callable[[Rule], Rule]:
    """Register what is recorded for these functions."""

    def register(write: Rule) -> Rule:
        for function in functions:
            RULES[function] = write
        return write

    return register


class Tape(TorchFunctionMode):
    """The nodes of one forward."""

    def __init__(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.used_weights: dict[str, Tensor] = {}
        self.refused: list[str] = []
        self.random: list[str] = []
        """What gave random numbers; perhaps they were not used."""
        self.memo: dict[Any, Any] = {}
        """For rules: what was made of a weight once and can be used again."""
        self._count = 0
        self._tainted: dict[int, Tensor] = {}
        self._entered: set[Function] = set()
        self._fed: list[int] = []
        for name, tensor in weights:
            if "_recorded" not in tensor.__dict__ or tensor._recorded[0] is not self:  # type: ignore[attr-defined]
                tensor._recorded = (self, name, tensor._version, _WEIGHT)  # type: ignore[attr-defined]

    def feed(self, tensor: Tensor, name: str) -> None:
        """Declare an input of the graph."""
        self._fed.append(tensor._version)
        tensor._recorded = (self, name, tensor._version, _DATA)  # type: ignore[attr-defined]

    def finish(self, inputs: Iterable[Tensor], result: Any) -> None:
        """Refuse a forward that changed its inputs, or returns what was changed behind our back."""
        for tensor, version in zip(inputs, self._fed, strict=True):
            self.expect(tensor._version == version, "forward changes its input in place")
        self._check(result if isinstance(result, tuple) else (result,))

    # --- for rules -------------------------------------------------------------------------------

    def node(self, op: str, operands: Iterable[Any], **attributes: Any) -> str:
        """Write a node with one output; returns the name of the output."""
        name = f".{self._count}"
        self._count += 1
        self.nodes.append(Node(op, self._inputs(operands), [name], attributes))
        return name

    def nodes_out(
        self, op: str, operands: Iterable[Any], count: int, **attributes: Any
    ) -> list[str]:
        """Write a node with `count` outputs; returns their names."""
        inputs = self._inputs(operands)
        outputs = [f".{self._count + index}" for index in range(count)]
        self._count += count
        self.nodes.append(Node(op, inputs, outputs, attributes))
        return outputs

    def emit(self, out: Tensor, op: str, operands: Iterable[Any], **attributes: Any) -> None:
        """Write a node whose one output is the value of `out`."""
        name = f".{self._count}"
        self._count += 1
        self.nodes.append(Node(op, self._inputs(operands), [name], attributes))
        if out.is_complex():
            self.refuse("complex numbers")
        out._recorded = (self, name, out._version, _DATA)  # type: ignore[attr-defined]

    def _inputs(self, operands: Iterable[Any]) -> list[Operand]:
        return [
            self.value(o) if isinstance(o, Tensor) else "" if o is None else o for o in operands
        ]

    def bind(self, out: Tensor, name: Operand) -> None:
        """Say that the tensor `out` has from now on the value called `name`."""
        if out.is_complex():
            self.refuse("complex numbers")
        kind = _CONSTANT if isinstance(name, Held) else _DATA
        out._recorded = (self, name, out._version, kind)  # type: ignore[attr-defined]

    def operand(self, value: Any) -> Operand:
        """Return the operand of a tensor; other operands stay, None is left out."""
        if isinstance(value, Tensor):
            return self.value(value)
        return "" if value is None else value

    def value(self, tensor: Tensor) -> Operand:
        """Return the name of a tensor's value; a constant is held as it is now."""
        entry = tensor.__dict__.get("_recorded")
        if entry is not None and entry[0] is self:
            kind = entry[3]
            if kind == _WEIGHT and entry[1] not in self.used_weights:
                self.expect(not tensor.is_complex(), "complex numbers")
                self.used_weights[entry[1]] = tensor
            elif kind == _COMPLEX:
                self.refuse("complex numbers")
            return entry[1]
        self.expect(not tensor.is_complex(), "complex numbers")
        if tensor.requires_grad and tensor.is_leaf:
            self.refuse("weights that are no part of the module: use nn.Parameter, nn.ModuleList")
        held = Held(tensor.detach().clone())
        tensor._recorded = (self, held, tensor._version, _CONSTANT)  # type: ignore[attr-defined]
        return held

    def bind_complex(self, out: Tensor, name: Operand) -> None:
        """Say that a complex tensor has a value of both parts, in a last axis of two."""
        out._recorded = (self, name, out._version, _COMPLEX)  # type: ignore[attr-defined]

    def complex_value(self, tensor: Tensor) -> Operand:
        """Return the name of a complex tensor's value: both parts in a last axis of two."""
        entry = self._entry(tensor)
        if entry is None or entry[3] != _COMPLEX:
            self.refuse("complex weights: use real ones and view_as_complex")
        assert entry is not None
        return entry[1]

    def refuse(self, name: str) -> None:
        """Give up on this forward, for good: a candidate that catches the error changes nothing."""
        self.refused.append(name)
        raise UnsupportedError(name)

    def expect(self, condition: bool, name: str) -> None:
        """Refuse what a rule does not cover."""
        if not condition:
            self.refuse(name)

    def sizes(self, *numbers: Any) -> None:
        """Refuse tensors of data where torch would take their numbers as sizes or places."""
        for number in numbers:
            if isinstance(number, Tensor):
                self.expect(not self.is_known(number), "control flow on data (a size)")
            elif isinstance(number, (list, tuple)):
                self.sizes(*number)

    def is_known(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the input or on weights."""
        entry = self._entry(tensor)
        return entry is not None and entry[3] != _CONSTANT

    # --- what torch calls ------------------------------------------------------------------------

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one call and record it."""
        kwargs = kwargs or {}
        write = RULES.get(func)
        if write is not None and args and "out" not in kwargs:  # most calls: the shortest way
            is_known = self._check(args)
            if kwargs:
                is_known |= self._check(kwargs.values())
            return self._record(func, write, args, kwargs) if is_known else func(*args, **kwargs)
        if write is None and func in PASSED:
            return func(*args, **kwargs)
        if write is None and calls.is_python_of_torch(func) and func not in self._entered:
            self._entered.add(func)
            try:
                with self:
                    return calls.without_guard(func)(*args, **kwargs)
            finally:
                self._entered.discard(func)
        if not args:
            args = tuple(kwargs.pop(key) for key in ("input", "self") if key in kwargs)
        is_known = self._check(args)
        if kwargs:
            is_known |= self._check(kwargs.values())
        if func in RANDOM:
            self.random.append(calls.name_of(func))
            self.expect(not is_known, f"random numbers in forward ({calls.name_of(func)})")
        if not is_known:
            return func(*args, **kwargs)
        if write is None or kwargs.get("out") is not None:
            self.refuse(calls.name_of(func))
        assert write is not None
        return self._record(func, write, args, kwargs)

    def _record(
        self, func: Function, write: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a call and write it down."""
        is_write = calls.writes(func)
        if is_write:
            self._before_write(args[0])
        is_write = is_write or bool(kwargs and kwargs.get("inplace"))
        bases = views.bases_of(self, args[0]) if is_write else None
        result = func(*args, **kwargs)
        if kwargs:
            kwargs.pop("out", None)
        try:
            write(self, result, *args, **kwargs)
        except TypeError as error:  # an argument that the rule does not know
            self.refused.append(f"{calls.name_of(func)} ({error})")
            raise UnsupportedError(self.refused[-1]) from None
        if bases:
            views.put_back(self, bases)
        elif func in views.VIEWS:
            views.remember(self, func, result, args, kwargs)
        return result

    def is_current(self, tensor: Tensor) -> bool:
        """Whether the recorded value of a tensor is what the tensor holds; weights are refused."""
        entry = self._entry(tensor)
        if entry is not None and entry[3] == _WEIGHT:
            self.refuse("writing into a weight or a buffer in forward")
        return entry is not None and entry[2] == tensor._version

    def _entry(self, tensor: Tensor) -> tuple[Any, ...] | None:
        entry = tensor.__dict__.get("_recorded")
        if entry is None or entry[0] is not self:
            return None
        return entry

    def _check(self, items: Iterable[Any]) -> bool:
        """Whether data or weights are among the arguments; each must be what was recorded."""
        is_known = False
        for item in items:
            if type(item) in _PLAIN:
                continue
            if isinstance(item, Tensor):
                entry = item.__dict__.get("_recorded")
                if entry is None or entry[0] is not self or entry[2] != item._version:
                    is_known |= self._check_one(item)
                elif entry[3] != _CONSTANT:
                    is_known = True
            elif isinstance(item, (list, tuple)):
                for part in item:
                    if type(part) not in _PLAIN:
                        is_known |= self._check(item)
                        break
        return is_known

    def _check_one(self, tensor: Tensor) -> bool:
        entry = tensor.__dict__.get("_recorded")
        if entry is None or entry[0] is not self:
            if entry is not None and entry[3] == _DATA:
                self.refuse("a tensor that is kept from one call to the next")
            if torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # type: ignore[attr-defined]
                self.refuse("transforms of functions (vmap, grad)")
            if self._tainted and tensor.untyped_storage().data_ptr() in self._tainted:
                self.refuse("an in-place write through a view")
            return False
        if entry[2] != tensor._version:
            if entry[3] == _CONSTANT:
                del tensor._recorded  # type: ignore[attr-defined]
                return self._check_one(tensor)
            self.refuse("an in-place write through a view")
        return entry[3] != _CONSTANT

    def _before_write(self, target: Any) -> None:
        """Hold a constant before data are written into it; its other views are stale from now."""
        entry = self._entry(target) if isinstance(target, Tensor) else None
        if entry is not None and entry[3] == _WEIGHT:
            self.refuse("writing into a weight or a buffer in forward")
        if isinstance(target, Tensor) and not self.is_known(target):
            self.value(target)
            self._tainted[target.untyped_storage().data_ptr()] = target


def _handle(public_api: Function, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """What torch's Python functions call when a mode is on; straight to the tape if it is one."""
    depth = torch._C._len_torch_function_stack()
    mode = torch._C._get_function_stack_at(depth - 1) if depth else None
    if type(mode) is not Tape:
        return handle_torch_function(public_api, relevant_args, *args, **kwargs)
    torch._C._pop_torch_function_stack()
    try:
        return mode.__torch_function__(public_api, (), args, kwargs)
    finally:
        torch._C._push_on_torch_function_stack(mode)


F.handle_torch_function = _handle  # type: ignore[attr-defined]  # the same, in a third of the time
