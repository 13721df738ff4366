"""The programs of the built-in model's training, by hash: what its children may not repeat.

In: a model folder with the `progress.json` of its training, and the training's seed. Out: the set
of canonical programs, parents and children, of the corpus as far as training has read it.
Not promised: the whole of it where a training was interrupted (it goes on with another seed), or
was longer than the limit; `share` says how much of it was looked at.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evoprompt.propose.builtin_corpus import examples
from evoprompt.propose.builtin_training import BRANCHES

PROGRESS = "progress.json"
FIRST_STREAM = 1000  # builtin_training draws its stream from its seed and this


@dataclass(frozen=True)
class Corpus:
    """Hashes of canonical programs."""

    programs: frozenset[int]
    edits: int = 0
    """Replies that were drawn, exercises included, as training counts them."""
    share: float = 0.0
    """Of the replies that training has read."""

    def holds(self, lines: Sequence[str]) -> bool:
        """Whether a program of these canonical lines stands in it."""
        return _key(lines) in self.programs


def edits_read(folder: Path) -> int | None:
    """How many replies a training has read; None where its folder does not say."""
    note = folder / PROGRESS
    return json.loads(note.read_text())["edits"] if note.exists() else None


def read_corpus(wanted: int, limit: int, seed: int, advance: Callable[[int], None]) -> Corpus:
    """Draw the corpus again, at most `limit` replies of it."""
    programs: set[int] = set()
    drawn = 0
    for example in examples(seed + FIRST_STREAM, BRANCHES):
        if drawn >= min(wanted, limit):
            break
        programs.add(_key(example.lines))
        programs.update(_key(branch.child) for branch in example.branches)
        drawn += len(example.branches) + len(example.exercises)
        advance(drawn)
    return Corpus(frozenset(programs), drawn, min(1.0, drawn / max(1, wanted)))


def _key(lines: Sequence[str]) -> int:
    return hash("\n".join(lines))
