"""The canonical lines of a program: what the numbered view shows and what edits speak about.

In: any Python source. Out: its lines without imports, comments, docstrings and blank lines; and
back, a source with the imports in front and blank lines where a person would put them.
Not promised: a normal layout inside a statement; a program keeps its own names and line breaks.
"""

import ast
import io
import tokenize

HEADER = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
MAXIMUM_LINES = 99  # the built-in model has one token per line number, up to L99


def canonical_lines(source: str) -> list[str] | None:
    """The lines that are numbered; None if the source does not parse or has more than 99."""
    split = _split(source)
    if split is None or not 0 < len(split[1]) <= MAXIMUM_LINES:
        return None
    return split[1]


def header_of(source: str) -> str:
    """The import lines of the source, or the usual three where it has none."""
    split = _split(source)
    return "".join(line + "\n" for line in split[0]) if split and split[0] else HEADER


def source_of(lines: list[str], header: str = HEADER) -> str:
    """Canonical lines as a source: imports first, blank lines before classes and methods."""
    out = [header.rstrip("\n")]
    previous = ""
    for line in lines:
        if line.startswith(("class ", "def ", "@")) and not previous.startswith("@"):
            out += ["", ""]
        elif line.startswith("    def ") and not previous.startswith(("class ", "    @")):
            out.append("")
        out.append(line)
        previous = line
    return "\n".join(out) + "\n"


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
    if source.startswith(HEADER) and "#" not in source and '"' not in source:
        rest = [line.rstrip() for line in source[len(HEADER) :].split("\n")]
        return [str(line) for line in HEADER.splitlines()], [line for line in rest if line]
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
