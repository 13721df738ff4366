"""Programs that people and chat models might write: tests/programs, one file each.

The first line of a file says for which input shape it is meant; all have ten classes.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "programs"
NUM_CLASSES = 10


@dataclass(frozen=True)
class Program:
    """One file of the folder."""

    name: str
    in_shape: tuple[int, ...]
    source: str


def programs() -> list[Program]:
    """All of them, in the order of their numbers."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text()
        first = re.match(r"# in_shape \((.*)\)\n", source)
        assert first, f"{path.name} does not begin with its in_shape"
        shape = tuple(int(size) for size in first[1].split(","))
        found.append(Program(path.stem, shape, source))
    return found
