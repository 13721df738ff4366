"""One walk over a syntax tree: everything that rules and adaptations ask about.

The walk goes level by level, which gives the nesting for nothing, and takes no recursion that a
hostile text could exhaust.
"""

import ast
from dataclasses import dataclass, field

from evoprompt.screen.allowed import NODES

_PLAIN = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {
    kind: tuple(name for name in kind._fields if name not in ("ctx", "op", "ops")) for kind in NODES
}


@dataclass
class Survey:
    """What was seen, by kind of node."""

    names: list[ast.Name] = field(default_factory=list[ast.Name])
    attributes: list[ast.Attribute] = field(default_factory=list[ast.Attribute])
    functions: list[ast.FunctionDef | ast.ClassDef] = field(
        default_factory=list[ast.FunctionDef | ast.ClassDef]
    )
    imports: list[ast.Import | ast.ImportFrom] = field(
        default_factory=list[ast.Import | ast.ImportFrom]
    )
    strange: list[ast.AST] = field(default_factory=list[ast.AST])
    """Nodes of kinds that are not allowed; what is below them is not looked at."""
    bound: set[str] = field(default_factory=set[str])
    """Names that the program gives to something, anywhere."""
    read: set[str] = field(default_factory=set[str])
    imported: dict[str, str] = field(default_factory=dict[str, str])
    """Names that imports bind; the module for an `import` of one, else nothing."""


def survey(tree: ast.AST, nesting: int) -> Survey | None:
    """Look at every node once; None if the tree has more levels than `nesting`."""
    found = Survey()
    level: list[ast.AST] = [tree]
    for _ in range(nesting):
        below: list[ast.AST] = []
        for node in level:
            kind = type(node)
            fields = _FIELDS.get(kind)
            if fields is None:
                found.strange.append(node)
                continue
            if kind in _TAKERS:
                _TAKERS[kind](found, node)
            for name in fields:
                value = getattr(node, name)
                if value.__class__ is list:
                    below += [child for child in value if isinstance(child, ast.AST)]
                elif isinstance(value, ast.AST):
                    below.append(value)
        if not below:
            return found
        level = below
    return None


def _take_name(found: Survey, node: ast.Name) -> None:
    found.names.append(node)
    (found.read if isinstance(node.ctx, ast.Load) else found.bound).add(node.id)


def _take_import(found: Survey, node: ast.Import | ast.ImportFrom) -> None:
    found.imports.append(node)
    for alias in node.names:
        name = (alias.asname or alias.name).partition(".")[0]
        is_module = isinstance(node, ast.Import)
        module = alias.name if alias.asname else name
        found.imported[name] = module if is_module else ""
        found.bound.add(name)


def _take_function(found: Survey, node: ast.FunctionDef | ast.ClassDef) -> None:
    found.functions.append(node)
    found.bound.add(node.name)


def _take_argument(found: Survey, node: ast.arg) -> None:
    found.bound.add(node.arg)


def _take_attribute(found: Survey, node: ast.Attribute) -> None:
    found.attributes.append(node)


_TAKERS = {
    ast.Name: _take_name,
    ast.Attribute: _take_attribute,
    ast.Import: _take_import,
    ast.ImportFrom: _take_import,
    ast.FunctionDef: _take_function,
    ast.ClassDef: _take_function,
    ast.arg: _take_argument,
}
