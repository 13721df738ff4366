"""What a candidate's text may hold: statements, expressions, modules, builtins, attributes.

Lists only; `rules` applies them. What is not named here is rejected, except for attributes and for
the names of torch, which are too many: of those the dangerous ones are named. The standard
library's modules are let in by single names, because language models write `from typing import
List` out of habit; torch has imported all of them already.
"""

import ast
import builtins

NODES: frozenset[type[ast.AST]] = frozenset(
    {
        ast.Module, ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.Import, ast.ImportFrom,
        ast.Return, ast.Delete, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Pass,
        ast.For, ast.While, ast.If, ast.With, ast.Break, ast.Continue, ast.Raise, ast.Assert,
        ast.BoolOp, ast.NamedExpr, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.Call,
        ast.Dict, ast.Set, ast.List, ast.Tuple, ast.ListComp, ast.SetComp, ast.DictComp,
        ast.GeneratorExp, ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Attribute,
        ast.Subscript, ast.Slice, ast.Starred, ast.Name,
        ast.arguments, ast.arg, ast.keyword, ast.alias, ast.withitem, ast.comprehension,
    }
)  # fmt: skip
"""Left out: try, match, yield, await, async, global, nonlocal. No network needs them."""

TORCH_MODULES = frozenset({"torch", "torch.nn", "torch.nn.functional", "torch.nn.init", "math"})
LIBRARY: dict[str, frozenset[str]] = {
    "__future__": frozenset({"annotations"}),
    "typing": frozenset(
        {
            "Any", "Callable", "ClassVar", "Dict", "Final", "Generic", "Iterable", "Iterator",
            "List", "Literal", "Mapping", "NamedTuple", "Optional", "Sequence", "Set", "Tuple",
            "Type", "TypeVar", "Union", "cast",
        }
    ),
    "collections": frozenset({"Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"}),
    "collections.abc": frozenset({"Callable", "Iterable", "Iterator", "Mapping", "Sequence"}),
    "functools": frozenset({"partial", "reduce", "lru_cache", "cached_property", "wraps"}),
    "itertools": frozenset(
        {"accumulate", "chain", "combinations", "count", "cycle", "islice", "permutations",
         "product", "repeat", "starmap", "zip_longest"}
    ),
    "dataclasses": frozenset({"dataclass", "field"}),
}  # fmt: skip
"""Modules of the standard library, and what may be taken from each."""
IMPORTS: dict[str, str] = {
    "math": "import math",
    "torch": "import torch",
    "nn": "import torch.nn as nn",
    "F": "import torch.nn.functional as F",
    "init": "from torch.nn import init",
    "Tensor": "from torch import Tensor",
    "collections": "import collections",
    "functools": "import functools",
    "itertools": "import itertools",
    "typing": "import typing",
    "OrderedDict": "from collections import OrderedDict",
    "dataclass": "from dataclasses import dataclass",
    "partial": "from functools import partial",
    **{
        name: f"from typing import {name}"
        for name in ("Any", "Callable", "Dict", "List", "Optional", "Sequence", "Tuple", "Union")
    },
}
"""How a name that a program reads and binds nowhere is imported, in the order of the lines."""

_BUILTINS = frozenset(
    {
        "abs", "all", "any", "bool", "bytes", "callable", "chr", "classmethod", "complex",
        "dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "hasattr",
        "hash", "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min",
        "next", "object", "ord", "pow", "print", "property", "range", "repr", "reversed",
        "round", "set", "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple", "zip",
        "Ellipsis", "NotImplemented", "__name__",
    }
)  # fmt: skip
_ERRORS = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)
_BY_SITE = frozenset({"copyright", "credits", "exit", "help", "license", "quit"})
FORBIDDEN_NAMES = (frozenset(dir(builtins)) | _BY_SITE | {"__builtins__"}) - _BUILTINS - _ERRORS
"""Every builtin that is not allowed."""
OFTEN_VARIABLES = frozenset({"input", "id", "type", "dir", "vars"}) | _BY_SITE - {"exit", "quit"}
"""Forbidden builtins whose names are fine for a program's own variables."""
FORBIDDEN_ATTRIBUTES = frozenset(
    {
        "os", "sys", "load", "save", "hub", "ops", "jit", "serialization", "_C",
        "distributed", "multiprocessing", "classes", "package", "cuda", "compile",
        "from_file", "load_library", "storage", "untyped_storage", "data_ptr", "f_globals",
        "f_locals", "f_back", "f_builtins", "gi_frame", "tb_frame", "tb_next", "cr_frame",
        "ag_frame", "gi_code", "numpy", "overrides", "library", "export", "onnx", "fx",
        "_dynamo", "_inductor", "cpp_extension", "backends", "set_num_threads",
        "set_default_dtype", "manual_seed", "apply_", "mro", "builtins", "importlib", "ctypes",
        "subprocess", "inspect", "warnings", "types", "register_forward_hook",
        "register_forward_pre_hook", "register_full_backward_hook", "set_default_device",
    }
)  # fmt: skip
"""Beside these, every name that begins with an underscore, except those of `self`."""
METHODS = frozenset({"__init__", "__len__", "__iter__", "__getitem__", "__call__", "__repr__"})
"""Special methods that a class may define."""
CALLED_METHODS = frozenset({"__init__", "__name__"})
"""Special attributes that may be read: `super().__init__()`, and a class's name in a message."""
