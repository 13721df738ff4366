"""What a child brings that was not there: whether its program is known, and which lines are old.

In: sources and the run's family tree. Out: a key that programs of the same lines share, and how
many of a child's new lines an earlier ancestor had already. Layout, comments, imports and the
library's classes do not count. Not promised: that programs of different keys differ; the hash of
the graph finds out.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from evoprompt.candidate import normalise
from evoprompt.grammar.canonical import own_lines
from evoprompt.ledger import Json
from evoprompt.steps.run import Run


def program_key(source: str) -> str:
    """The SHA-256 of the program's canonical lines; of the whole text where it has none."""
    lines = own_lines(source)
    text = normalise(source) if lines is None else "\n".join(lines)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def line_news(run: Run, child: str, first: str, parents: tuple[str, ...]) -> Json:
    """How many lines the child adds to the program that it was made from, and how many are old.

    Args:
        run: Knows the family tree.
        child: Its source.
        first: Source of the first parent, as it was shown.
        parents: Ids of all parents.

    Returns:
        `added`: different lines that no line of the first parent equals; `again`: those of them
        that no parent has but an earlier ancestor had, and evolution had given up.
    """
    added = content(child) - content(first)
    kept = {line for parent in parents for line in _lines_of(run, parent)}
    old = {line for each in _ancestors(run, parents) for line in _lines_of(run, each)}
    return {"added": len(added), "again": len((added - kept) & old)}


@lru_cache(maxsize=4096)
def content(source: str) -> frozenset[str]:
    """The program's different lines without indentation; those of brackets alone say nothing."""
    lines = own_lines(source) or []
    return frozenset(line.strip() for line in lines if re.search(r"\w", line))


def _lines_of(run: Run, candidate: str) -> frozenset[str]:
    known = candidate in run.state.programs
    return _content_of(run.source_path(run.state.shown(candidate))) if known else frozenset()


@lru_cache(maxsize=1 << 16)
def _content_of(path: Path) -> frozenset[str]:
    """The lines of a file that is named by its content, so it is read once."""
    return content(path.read_text(encoding="utf-8"))


def _ancestors(run: Run, parents: Iterable[str]) -> set[str]:
    """Everybody before the parents."""
    found: set[str] = set()
    waiting = [each for parent in parents for each in _parents_of(run, parent)]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += _parents_of(run, each)
    return found - set(parents)


def _parents_of(run: Run, candidate: str) -> tuple[str, ...]:
    program = run.state.programs.get(candidate)
    return program.parents if program else ()
