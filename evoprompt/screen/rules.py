"""Static rules, before anything runs; then `adapt` brings the program under the contract.

In: a candidate's source. Out: `Prepared` (the source that everything behind uses, and what was
changed) or a `Rejected`. The rules are a filter that gives early and clear rejections, not a wall:
evasions exist, and the jail is what holds them.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from evoprompt.candidate import Reason, Rejected, Stage, normalise, rejected
from evoprompt.screen.adapt import adapt

SOURCE_CHARACTERS = 20_000
NESTING = 60  # levels of the syntax tree; the deepest seed has 17
MODULES = frozenset({"torch", "torch.nn", "torch.nn.functional", "math"})

_NAMES = frozenset(
    {
        "open", "exec", "eval", "compile", "__import__", "getattr", "setattr", "delattr",
        "globals", "locals", "vars", "dir", "input", "breakpoint", "memoryview", "type",
        "help", "exit", "quit", "id", "__builtins__", "__loader__", "__spec__",
    }
)  # fmt: skip
_OFTEN_VARIABLES = frozenset({"input", "id", "type", "dir", "vars", "help"})
_ATTRIBUTES = frozenset(
    {
        "os", "sys", "load", "save", "hub", "ops", "jit", "serialization", "_C",
        "distributed", "multiprocessing", "classes", "package", "cuda", "compile",
        "from_file", "load_library", "storage", "untyped_storage", "data_ptr", "f_globals",
        "f_locals", "gi_frame", "tb_frame", "cr_frame", "numpy", "overrides", "library",
        "export", "onnx", "fx", "_dynamo", "_inductor", "cpp_extension", "backends",
        "set_num_threads", "set_default_dtype", "manual_seed", "apply_", "mro",
        "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
        "set_default_device", "__dict__", "__class__", "__globals__", "__code__",
        "__builtins__",
    }
)  # fmt: skip
_DUNDER_METHODS = frozenset({"__init__", "__len__", "__iter__", "__getitem__", "__call__"})
_STATEMENTS = (ast.Global, ast.Nonlocal, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)


@dataclass(frozen=True)
class Prepared:
    """A source under the program contract."""

    source: str
    adapted: tuple[str, ...] = ()
    """What was changed; empty for a program that was under the contract already."""


def prepare(source: str) -> Prepared | Rejected:
    """Normalise, apply the rules, add missing imports, adapt the constructor.

    What comes out goes in again unchanged.
    """
    tree = _parse(source)
    if isinstance(tree, Rejected):
        return tree
    normal = normalise(source)
    for breach in _breaches(tree, normal.split("\n")):
        return breach
    adapted = adapt(normal, tree)
    if isinstance(adapted, Rejected):
        return adapted
    return Prepared(*adapted)


def _parse(source: str) -> ast.Module | Rejected:
    if len(source) > SOURCE_CHARACTERS:
        detail = f"{len(source)} characters, at most {SOURCE_CHARACTERS}"
        return rejected(Stage.PARSE, Reason.TOO_LONG, detail)
    try:
        normal = normalise(source)
        normal.encode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(normal)
    except UnicodeEncodeError:
        return rejected(Stage.PARSE, Reason.SYNTAX, "the text is not valid UTF-8")
    except SyntaxError as error:
        return _syntax(error, source)
    except ValueError as error:
        return rejected(Stage.PARSE, Reason.SYNTAX, error)
    except (RecursionError, MemoryError):
        return rejected(Stage.PARSE, Reason.TOO_LONG, "nested too deeply to be parsed")
    if not _is_shallow(tree):
        return rejected(Stage.PARSE, Reason.TOO_LONG, f"nested over {NESTING} levels")
    return tree


def _syntax(error: SyntaxError, source: str) -> Rejected:
    if "too many nested" in (error.msg or ""):
        return rejected(Stage.PARSE, Reason.TOO_LONG, error.msg)
    where = quote(normalise(source).split("\n"), error.lineno)
    return rejected(Stage.PARSE, Reason.SYNTAX, f"{where}{error.msg}")


def _is_shallow(tree: ast.AST) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(NESTING):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


def quote(lines: list[str], number: int | None) -> str:
    """Return "line 14: `x = self.conv(y)`: ", or nothing for a line that is not there."""
    if number is None or not 1 <= number <= len(lines):
        return ""
    return f"line {number}: `{lines[number - 1].strip()[:160]}`: "


def _breaches(tree: ast.Module, lines: list[str]) -> Iterator[Rejected]:
    """Yield what the program may not do, in the order of its lines."""
    imported, own = _imported_names(tree), _own_names(tree)
    nodes = [node for node in ast.walk(tree) if hasattr(node, "lineno")]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):  # pyright: ignore[reportAttributeAccessIssue]
        where = quote(lines, node.lineno)  # pyright: ignore[reportAttributeAccessIssue]
        module = _forbidden_import(node)
        if module:
            detail = f"{where}{module} cannot be imported; allowed: {', '.join(sorted(MODULES))}"
            yield rejected(Stage.RULES, Reason.FORBIDDEN_IMPORT, detail)
        name = _forbidden_name(node, imported, own)
        if name:
            yield rejected(Stage.RULES, Reason.FORBIDDEN_NAME, f"{where}{name} is not allowed")


def _imported_names(tree: ast.Module) -> frozenset[str]:
    """The names that imports bind; nothing may be stored on what they name."""
    names = {"torch", "nn", "F", "math"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return frozenset(names)


def _own_names(tree: ast.Module) -> frozenset[str]:
    """Harmless builtins' names that the program uses for its own variables."""
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return _OFTEN_VARIABLES & names


def _forbidden_import(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import):
        return next((alias.name for alias in node.names if alias.name not in MODULES), None)
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        if module not in MODULES:
            return module
        for alias in node.names:
            if alias.name == "*" or alias.name.startswith("_") or alias.name in _ATTRIBUTES:
                return f"{alias.name} of {module}"
    return None


def _forbidden_name(node: ast.AST, imported: frozenset[str], own: frozenset[str]) -> str | None:
    if isinstance(node, ast.Name):
        is_dunder = node.id.startswith("__") and node.id != "__name__"
        return node.id if node.id in _NAMES - own or is_dunder else None
    if isinstance(node, ast.Attribute):
        return _forbidden_attribute(node, imported)
    if isinstance(node, ast.FunctionDef):
        is_dunder = node.name.startswith("__") and node.name not in _DUNDER_METHODS
        return node.name if is_dunder else None
    if isinstance(node, _STATEMENTS):
        return type(node).__name__.lower()
    return None


def _forbidden_attribute(node: ast.Attribute, imported: frozenset[str]) -> str | None:
    root = node.value
    while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
        root = root.func if isinstance(root, ast.Call) else root.value
    of_self = isinstance(node.value, ast.Name) and node.value.id == "self"
    if node.attr != "__init__":
        if node.attr.startswith("__") or (node.attr in _ATTRIBUTES and not of_self):
            return f".{node.attr}"
        if node.attr.startswith("_") and not of_self:
            return f".{node.attr}"
    is_store = isinstance(node.ctx, ast.Store | ast.Del)
    if is_store and isinstance(root, ast.Name) and root.id in imported:
        return f"assigning to {root.id}"
    return None
