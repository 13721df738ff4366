"""Static rules, before anything runs; then `adapt` brings the program under the contract.

In: a candidate's source. Out: `Prepared` (the source that everything behind uses, and what was
changed) or a `Rejected` that quotes the line. The rules are a filter that gives early and clear
rejections, not a wall: evasions exist, and the jail is what holds them.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from evoprompt.candidate import Reason, Rejected, Stage, normalise, rejected
from evoprompt.screen import allowed
from evoprompt.screen.adapt import adapt
from evoprompt.screen.survey import Survey, survey

SOURCE_CHARACTERS = 20_000
NESTING = 60  # levels of the syntax tree; the deepest seed has 17
_MODULES = ", ".join(sorted(allowed.TORCH_MODULES))
_SYNTAX_WORDS = {
    "AsyncFunctionDef": "async def", "AsyncFor": "async for", "AsyncWith": "async with",
    "Try": "try", "TryStar": "try", "YieldFrom": "yield from",
}  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """A source under the program contract."""

    source: str
    adapted: tuple[str, ...] = ()
    """What was changed; empty for a program that was under the contract already."""


def prepare(source: str) -> Prepared | Rejected:
    """Normalise, apply the rules, add missing imports, adapt the constructor.

    What comes out goes in again unchanged. Never raises, whatever the text is.
    """
    if len(source) > SOURCE_CHARACTERS:
        detail = f"{len(source)} characters, at most {SOURCE_CHARACTERS}"
        return rejected(Stage.PARSE, Reason.TOO_LONG, detail)
    normal = normalise(source)
    tree = _parse(normal)
    if isinstance(tree, Rejected):
        return tree
    found = survey(tree, NESTING)
    if found is None:
        return rejected(Stage.PARSE, Reason.TOO_LONG, f"nested over {NESTING} levels")
    breach = _first_breach(found, normal.split("\n"))
    if breach is not None:
        return breach
    adapted = adapt(normal, tree, found)
    if isinstance(adapted, Rejected):
        return adapted
    return Prepared(*adapted)


def _parse(normal: str) -> ast.Module | Rejected:
    strange = next((c for c in normal if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if strange is not None:
        line = normal[: normal.index(strange)].count("\n") + 1
        what = "a null byte" if strange == "\0" else "text that is not valid UTF-8"
        return rejected(Stage.PARSE, Reason.SYNTAX, f"line {line}: {what}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(normal)
    except SyntaxError as error:
        return _syntax(error, normal)
    except ValueError as error:
        return rejected(Stage.PARSE, Reason.SYNTAX, error)
    except (RecursionError, MemoryError):
        return rejected(Stage.PARSE, Reason.TOO_LONG, "nested too deeply to be parsed")


def _syntax(error: SyntaxError, normal: str) -> Rejected:
    where = quote(normal.split("\n"), error.lineno)
    deep = "too many nested" in (error.msg or "")
    return rejected(Stage.PARSE, Reason.TOO_LONG if deep else Reason.SYNTAX, f"{where}{error.msg}")


def quote(lines: list[str], number: int | None) -> str:
    """Return "line 14: `x = self.conv(y)`: ", or nothing for a line that is not there."""
    if number is None or not 1 <= number <= len(lines):
        return ""
    return f"line {number}: `{lines[number - 1].strip()[:160]}`: "


def _first_breach(found: Survey, lines: list[str]) -> Rejected | None:
    """Return what the program may not do, of the first line that does such a thing."""
    breaches = [
        (node, Reason.FORBIDDEN_IMPORT, f"{what} cannot be imported; allowed: {_MODULES}")
        for node in found.imports
        if (what := _forbidden_import(node))
    ]
    breaches += [
        (node, Reason.FORBIDDEN_NAME, f"{what} is not allowed")
        for node, what in _forbidden_names(found)
    ]
    if not breaches:
        return None
    node, reason, what = min(breaches, key=lambda breach: _place(breach[0]))
    return rejected(Stage.RULES, reason, quote(lines, _place(node)[0]) + what)


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _forbidden_names(found: Survey) -> Iterator[tuple[ast.AST, str]]:
    own = allowed.OFTEN_VARIABLES & found.bound
    for node in found.strange:
        kind = type(node).__name__
        yield node, _SYNTAX_WORDS.get(kind, kind.lower())
    for node in found.names:
        name = node.id
        is_forbidden = name in allowed.FORBIDDEN_NAMES and name not in own
        if is_forbidden or (name.startswith("__") and name != "__name__"):
            yield node, name
    for node in found.functions:
        listed = allowed.METHODS if isinstance(node, ast.FunctionDef) else ()
        if node.name.startswith("__") and node.name not in listed:
            yield node, node.name
    for node in found.attributes:
        if what := _forbidden_attribute(node, found.imported):
            yield node, what


def _forbidden_import(node: ast.Import | ast.ImportFrom) -> str | None:
    if isinstance(node, ast.Import):
        return next((a.name for a in node.names if not _is_allowed_module(a.name)), None)
    module = "." * node.level + (node.module or "")
    if not _is_allowed_module(module):
        return module
    names = [alias.name for alias in node.names]
    if module in allowed.LIBRARY:
        strange = [name for name in names if name not in allowed.LIBRARY[module]]
    else:
        strange = [name for name in names if name == "*" or _is_forbidden_attribute(name)]
    return f"{strange[0]} of {module}" if strange else None


def _is_allowed_module(name: str) -> bool:
    return name in allowed.TORCH_MODULES or name in allowed.LIBRARY


def _is_forbidden_attribute(name: str) -> bool:
    return name.startswith("_") or name in allowed.FORBIDDEN_ATTRIBUTES


def _forbidden_attribute(node: ast.Attribute, imported: dict[str, str]) -> str | None:
    owner, name = node.value, node.attr
    of = owner.id if isinstance(owner, ast.Name) else ""
    if _is_forbidden_attribute(name) and name not in allowed.CALLED_METHODS:
        if of != "self" or name.startswith("__"):
            return f".{name}"
    elif imported.get(of) in allowed.LIBRARY and not _is_listed(imported[of], name):
        return f"{of}.{name}"
    if isinstance(node.ctx, ast.Load):
        return None
    root = owner
    while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
        root = root.func if isinstance(root, ast.Call) else root.value
    if isinstance(root, ast.Name) and (root.id in imported or root.id in ("torch", "nn", "F")):
        return f"assigning to {root.id}"
    return None


def _is_listed(module: str, name: str) -> bool:
    """Whether a module of the standard library may be asked for the name (or submodule)."""
    return name in allowed.LIBRARY[module] or f"{module}.{name}" in allowed.LIBRARY
