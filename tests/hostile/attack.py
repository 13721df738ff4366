"""Hostile programs as sources: their files, with the targets of this test run put in.

In: a file of `programs/` and the addresses of canaries and servers. Out: a candidate's source that
reports, in the message of the error that it ends with, what it got and how often it was refused.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "programs"
_ATTEMPTS = """

def run_attempts():
    got, refused = [], 0
    for name, attempt in list(globals().items()):
        if name.startswith("try_"):
            try:
                attempt()
                got.append(name)
            except BaseException:
                refused += 1
    said = f"GOT {got} REFUSED {refused}"
    raise RuntimeError(said)
"""
_AT_ONCE = "\nrun_attempts()\n"
GOOD = """
import torch.nn as nn
class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.f = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.f(x)
"""


@dataclass(frozen=True)
class Program:
    """One file of `programs/`."""

    name: str
    says: str
    """Its docstring: what it tries."""
    expect: str
    """What must become of it: see `test_hostile`."""
    is_control: bool
    """Whether it succeeds where there is no jail, and the tests try that too."""
    text: str

    def attempts(self) -> int:
        """How many things it tries on every processor."""
        return self.text.count("\ndef try_")

    def source(self, targets: Mapping[str, str]) -> str:
        """The candidate's source."""
        source = self.text
        for name, value in targets.items():
            source = source.replace(f"@{name}@", value)
        if "try_" in source:
            source += _ATTEMPTS if self.expect.startswith("train") else _ATTEMPTS + _AT_ONCE
        return source if "class Net(" in source else source + GOOD


def programs() -> list[Program]:
    """All hostile programs, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.py"))]


def _read(path: Path) -> Program:
    text = path.read_text()
    tree = ast.parse(text)
    marks = {
        line.targets[0].id: line.value.value
        for line in tree.body
        if isinstance(line, ast.Assign)
        and isinstance(line.targets[0], ast.Name)
        and isinstance(line.value, ast.Constant)
    }
    says = ast.get_docstring(tree) or ""
    return Program(path.stem, says, marks["EXPECT"], "CONTROL" in marks, text)
