"""The canonical lines of a program: its text without layout, comments and the library.

In: Python source. Out: its own lines, without imports, comments, docstrings, blank lines and the
classes of the library; and back, a source with imports and library in front and blank lines where
a person would put them. Lines inside an open bracket are indented by how deep they stand.
Not promised: a normal layout inside a statement; a program keeps its own names and line breaks.
"""

import ast
import io
import re
import tokenize
from functools import lru_cache

from evoprompt.grammar.library import LIBRARY, closure, definition

INDENT = "    "
MAXIMUM_LINES = 99  # the built-in model has one token per line number, up to L99
DEEPEST = 200  # open brackets that Python takes
IMPORTS = {
    "math": "import math",
    "torch": "import torch",
    "nn": "import torch.nn as nn",
    "F": "import torch.nn.functional as F",
}
HEADER = "".join(f"{line}\n" for name, line in IMPORTS.items() if name != "math")
"""What every program of the grammar imports; `math` only where it is used."""
_NAMES = re.compile(rf"\b({'|'.join(LIBRARY)})\(")
_DEFINED = re.compile(r"(?:class|def) (\w+)")


@lru_cache(maxsize=512)
def _own_lines(source: str) -> tuple[str, ...] | None:
    split = _split(source)
    if split is None:
        return None
    parts = segments(dressed(split[1]))
    return tuple(line for _, part in parts if not is_library(part) for line in part) or None


def own_lines(source: str) -> list[str] | None:
    """The program's own lines; None if it has none or does not parse."""
    lines = _own_lines(source)
    return None if lines is None else list(lines)


def is_library(part: list[str]) -> bool:
    """Whether the lines of a top-level statement are a definition of the library, word for word."""
    name = _DEFINED.match(part[0])
    if name is None or name[1] not in LIBRARY:
        return False
    return tuple(part) in (definition(name[1], 1), definition(name[1], 2))


def source_of(lines: list[str], header: str = "", dimensions: int | None = None) -> str:
    """Canonical lines as a source: imports, library, then the lines.

    Blank lines stand before classes and methods. `header` are import lines beyond the usual ones;
    `dimensions` (1 or 2) those of the library's layers, read off the lines if not given.
    """
    text = "\n".join(lines)
    dimensions = dimensions or dimensions_of(text)
    defined = set(_DEFINED.findall(text))
    names = [name for name in closure(set(_NAMES.findall(text)) - defined) if name not in defined]
    whole = [line for name in names for line in definition(name, dimensions)] + lines
    extra = [line for line in header.splitlines() if line not in IMPORTS.values()]
    first = [IMPORTS["math"]] if re.search(r"\bmath\.", "\n".join(whole)) else []
    future = [line for line in extra if line.startswith("from __future__")]  # must come first
    extra = [line for line in extra if line not in future]
    out = [*future, *first, *HEADER.splitlines(), *extra]
    previous = ""
    for line in whole:
        if line.startswith(("class ", "def ", "@")) and not previous.startswith("@"):
            out += ["", ""]
        elif line.startswith("    def ") and not previous.startswith(("class ", "    @")):
            out.append("")
        out.append(line)
        previous = line
    return "\n".join(out) + "\n"


def dimensions_of(text: str) -> int:
    """2 where a layer for images is named, else 1."""
    return 2 if "2d(" in text else 1


def header_of(source: str) -> str:
    """The import lines of the source."""
    split = _split(source)
    return "".join(line + "\n" for line in split[0]) if split else ""


def dressed(lines: list[str]) -> list[str]:
    """The lines with the indentation that their brackets ask for; other lines keep theirs."""
    out: list[str] = []
    depth, base = 0, ""
    for line in lines:
        text = line.strip()
        if depth > 0:
            closing = len(text) - len(text.lstrip(")]}"))
            line = base + INDENT * max(0, min(depth, DEEPEST) - closing) + text
        else:
            base = line[: len(line) - len(line.lstrip())]
        depth = max(0, depth + opened_brackets(text))
        out.append(line)
    return out


def bare(lines: list[str]) -> list[str]:
    """The lines without the indentation that `dressed` gives back: those inside an open bracket."""
    out: list[str] = []
    depth = 0
    for line in lines:
        out.append(line.strip() if depth > 0 else line)
        depth = max(0, depth + opened_brackets(line))
    return out


def restored(lines: list[str]) -> list[str]:
    """Bare lines with an indentation for what stands in a class and outside of every bracket.

    Where a bracket was never closed, all that follows had lost its own: a method gets one step, any
    other statement two.
    """
    out: list[str] = []
    depth, is_inside = 0, False
    for line in lines:
        if line.startswith(("class ", "@")) and depth == 0:
            is_inside = line.startswith("class ")
        elif is_inside and depth == 0 and not line.startswith(" "):
            line = (INDENT if line.startswith("def ") else INDENT * 2) + line
        depth = max(0, depth + opened_brackets(line))
        out.append(line)
    return out


@lru_cache(maxsize=8192)
def opened_brackets(line: str) -> int:
    """Brackets that a line leaves open, less those that it closes; quoted ones do not count."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
    return sum(map(text.count, "([{")) - sum(map(text.count, ")]}"))


def segments(lines: list[str]) -> list[tuple[str, list[str]]]:
    """The top-level statements as (first line up to the parenthesis, lines), for instance ("class
    Net", ...).
    """
    out: list[tuple[str, list[str]]] = []
    for line in lines:
        is_top_level = not line.startswith((" ", ")", "]", "}"))
        follows_decorator = bool(out) and out[-1][1][-1].startswith("@")
        if not out or (is_top_level and not follows_decorator):
            out.append(("", []))
        out[-1][1].append(line)
        if not out[-1][0] or out[-1][0].startswith("@"):
            out[-1] = (line.split("(")[0].rstrip(":"), out[-1][1])
    return out


def _split(source: str) -> tuple[list[str], list[str]] | None:
    """(import lines, other lines), stripped of what is not numbered; None if unparsable."""
    try:
        tree = ast.parse(source)
        lines = _without_comments(source)
    except (SyntaxError, ValueError, tokenize.TokenError):
        return None
    for number in _docstring_lines(tree):
        lines[number - 1] = ""
    header: list[str] = []
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            header += [line for line in _cut(lines, node) if line]
    return header, [line for line in lines if line.strip()]


def _cut(lines: list[str], node: ast.stmt) -> list[str]:
    taken = lines[node.lineno - 1 : node.end_lineno]
    lines[node.lineno - 1 : node.end_lineno] = [""] * len(taken)
    return taken


def _without_comments(source: str) -> list[str]:
    lines = source.splitlines()
    if "#" not in source:
        return [line.rstrip() for line in lines]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return [line.rstrip() for line in lines]


def _docstring_lines(tree: ast.Module) -> list[int]:
    numbers: list[int] = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str())) as first, _, *_]:
                numbers += range(first.lineno, (first.end_lineno or first.lineno) + 1)
    return numbers
