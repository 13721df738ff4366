"""Bringing a legal program under the contract: missing imports, the name Net, the constructor.

In: a normalised source and its syntax tree. Out: the source, and what was changed. The text is
edited where it has to be and nowhere else, so that a program under the contract stays as it is.
"""

import ast

from evoprompt.candidate import Reason, Rejected, Stage, normalise, rejected
from evoprompt.screen.allowed import IMPORTS
from evoprompt.screen.survey import Survey

_SHAPE_NAMES = frozenset({"in_shape", "input_shape", "shape", "input_size", "in_size"})
_CLASS_NAMES = frozenset(
    {
        "num_classes", "n_classes", "nclasses", "classes", "num_class",
        "class_count", "n_out", "out_features", "output_dim", "out_dim", "num_outputs",
        "n_outputs", "outputs", "output_size", "out_size",
    }
)  # fmt: skip
_CHANNEL_NAMES = frozenset({"in_channels", "in_ch", "in_chans", "input_channels", "n_channels"})
_Pair = tuple[ast.arg, ast.expr | None]  # a parameter and its default


def adapt(source: str, tree: ast.Module, found: Survey) -> tuple[str, tuple[str, ...]] | Rejected:
    """Return the program under the contract and the names of the changes."""
    net = _net_class(tree)
    if isinstance(net, Rejected):
        return net
    changes: list[str] = []
    new = _with_constructor(source, net)
    if new != source:
        changes.append("constructor")
    if not _binds_net(tree):
        new = f"{new}\n\nNet = {net.name}\n"
        changes.append(f"{net.name} named Net")
    missing = [name for name in IMPORTS if name in found.read and name not in found.bound]
    if missing:
        new = _with_imports(new, tree, missing)
        changes.append(f"imports of {', '.join(missing)}")
    return (normalise(new) if changes else source), tuple(changes)


def _net_class(tree: ast.Module) -> ast.ClassDef | Rejected:
    """Return the class called Net, or the one module class that no other code uses."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    alias = _aliased_net(tree)
    named = [node for node in tree.body if getattr(node, "name", "") == "Net"]
    if len(named) > 1:
        lines = " and ".join(str(node.lineno) for node in named)
        return _no_net(f"Net is defined {len(named)} times, in lines {lines}: which is meant?")
    if "Net" in classes or alias in classes:
        return classes["Net"] if "Net" in classes else classes[str(alias)]
    if named:
        return _no_net(f"line {named[0].lineno}: Net is a function, expected class Net(nn.Module)")
    modules = [node for node in classes.values() if _is_module(node, classes)]
    unused = [node for node in modules if not _is_used(node.name, tree)]
    if len(unused) == 1:
        return unused[0]
    if not modules:
        return _no_net("no class Net(nn.Module) is defined")
    names = ", ".join(f"{node.name} (line {node.lineno})" for node in unused or modules)
    return _no_net(f"no class Net(nn.Module), and which of these is meant is not clear: {names}")


def _no_net(detail: str) -> Rejected:
    return rejected(Stage.RULES, Reason.NO_NET, detail)


def _aliased_net(tree: ast.Module) -> str | None:
    """Return what `Net = Name` at the top level names."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "Net" in names:
                return node.value.id
    return None


def _binds_net(tree: ast.Module) -> bool:
    has_class = any(isinstance(node, ast.ClassDef) and node.name == "Net" for node in tree.body)
    return has_class or _aliased_net(tree) is not None


def _is_module(node: ast.ClassDef, classes: dict[str, ast.ClassDef], depth: int = 0) -> bool:
    """Whether a base is nn.Something, Module, or a class of this source that is a module."""
    for base in node.bases:
        if isinstance(base, ast.Attribute):
            return True
        if isinstance(base, ast.Name):
            parent = classes.get(base.id)
            if base.id == "Module":
                return True
            if parent is not None and depth < len(classes):
                return _is_module(parent, classes, depth + 1)
    return False


def _is_used(name: str, tree: ast.Module) -> bool:
    """Whether the class is built or extended inside another class or function."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name != name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and inner.id == name:
                    return True
    return False


def _with_imports(source: str, tree: ast.Module, names: list[str]) -> str:
    """Put imports at the top, behind `from __future__`, which has to be the first statement."""
    added = [IMPORTS[name] for name in names]
    lines = source.split("\n")
    first = [node for node in tree.body if _is_future(node)]
    at = max((node.end_lineno or node.lineno for node in first), default=0)
    behind = [node for node in tree.body if node.lineno > at]
    if not behind or not isinstance(behind[0], ast.Import | ast.ImportFrom):
        added += ["", ""]
    return "\n".join([*lines[:at], *added, *lines[at:]])


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _with_constructor(source: str, net: ast.ClassDef) -> str:
    """Return the source with `__init__(self, in_shape, num_classes, ...)` in the net's class."""
    for node in net.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return _under_contract(source, node)
    return source


def _under_contract(source: str, function: ast.FunctionDef) -> str:
    """Return the source with the constructor's parameters changed, if they have to be."""
    old = function.args
    if old.posonlyargs or old.vararg or not old.args:
        return source
    defaults: list[ast.expr | None] = [None] * (len(old.args) - len(old.defaults))
    pairs = list(zip(old.args, [*defaults, *old.defaults], strict=True))[1:]
    shape = _first(pairs, _SHAPE_NAMES)
    classes = _first(pairs, _CLASS_NAMES)
    channels = _first(pairs, _CHANNEL_NAMES)
    if pairs[:2] == [shape, classes]:
        return source
    unknown = [pair for pair in pairs if pair[1] is None]
    unknown = [pair for pair in unknown if pair not in (shape, classes, channels)]
    if classes is None and len(unknown) == 1:
        classes = unknown.pop()
    if unknown or pairs[:2] == [shape, classes]:
        return source  # perhaps the contract under other names; if not, the build fails
    rest = [pair for pair in pairs if pair not in (shape, classes, channels)]
    new = _arguments(old, shape, classes, rest)
    if channels is not None:
        source = _with_first_line(source, function, f"{channels[0].arg} = {new.args[1].arg}[0]")
    return _replace_arguments(source, function, new)


def _first(pairs: list[_Pair], names: frozenset[str]) -> _Pair | None:
    return next((pair for pair in pairs if pair[0].arg in names), None)


def _arguments(
    old: ast.arguments, shape: _Pair | None, classes: _Pair | None, rest: list[_Pair]
) -> ast.arguments:
    """Return `self, in_shape, num_classes` and the rest, which have defaults."""
    first = [
        old.args[0],
        shape[0] if shape else ast.arg("in_shape"),
        classes[0] if classes else ast.arg("num_classes"),
    ]
    return ast.arguments(
        posonlyargs=[],
        args=[*first, *[parameter for parameter, _ in rest]],
        kwonlyargs=old.kwonlyargs,
        kw_defaults=old.kw_defaults,
        kwarg=old.kwarg,
        defaults=[default for _, default in rest if default is not None],
    )


def _with_first_line(source: str, function: ast.FunctionDef, line: str) -> str:
    """Insert a statement before the function's first one (and behind its docstring)."""
    body = function.body
    has_docstring = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    statement = body[1] if has_docstring and len(body) > 1 else body[0]
    decorators = getattr(statement, "decorator_list", [])
    number = min(node.lineno for node in (statement, *decorators))
    lines = source.split("\n")
    below = lines[number - 1]
    indent = below[: len(below) - len(below.lstrip())]
    if len(indent.encode()) < statement.col_offset:  # it stands behind the colon
        return source
    lines.insert(number - 1, indent + line)
    return "\n".join(lines)


def _replace_arguments(source: str, function: ast.FunctionDef, new: ast.arguments) -> str:
    """Write the parameters anew, from `self` to the end of the last one."""
    lines = [line.encode() + b"\n" for line in source.split("\n")]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    first = function.args.args[0]
    begin = starts[first.lineno - 1] + first.col_offset
    end = begin + len(first.arg)
    for node in ast.iter_child_nodes(function.args):
        line, column = getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0)
        end = max(end, starts[line - 1] + column)
    text = b"".join(lines)
    return (text[:begin] + ast.unparse(new).encode() + text[end:]).decode()
