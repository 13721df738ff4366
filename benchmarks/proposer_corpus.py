"""The programs of the built-in model's training, by hash: what its children may not repeat.

In: a model folder with the `progress.json` of its training, which names the streams of the corpus
that it read. Out: the set of their canonical programs, parents and children, drawn again.
Not promised: the same programs where the grammar has changed since the training, nor all of them
beyond the limit; `share` says how much was looked at.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evoprompt.propose.builtin_batches import BRANCHES, POOL
from evoprompt.propose.builtin_corpus import examples

PROGRESS = "progress.json"
MARGIN = 1.03  # training leaves out replies that make a row too long; so a little more is drawn

Streams = Sequence[tuple[int, int]]
"""(seed, replies read) of each start of a training."""


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


def streams_read(folder: Path) -> Streams | None:
    """What a training has read; None where its folder does not say."""
    note = folder / PROGRESS
    told = json.loads(note.read_text()).get("streams") if note.exists() else None
    return None if told is None else [(seed, edits) for seed, edits in told]


def read_corpus(streams: Streams, limit: int, advance: Callable[[int], None]) -> Corpus:
    """Draw the corpus again, at most `limit` replies of it."""
    programs: set[int] = set()
    drawn = 0
    wanted = sum(edits for _, edits in streams)
    for seed, edits in streams:
        end = min(drawn + round(MARGIN * edits) + POOL * BRANCHES, limit)
        for example in examples(seed, BRANCHES):
            if drawn >= end:
                break
            programs.add(_key(example.lines))
            programs.update(_key(branch.child) for branch in example.branches)
            drawn += len(example.branches) + len(example.exercises)
            advance(drawn)
    return Corpus(frozenset(programs), drawn, min(1.0, drawn / wanted) if wanted else 0.0)


def _key(lines: Sequence[str]) -> int:
    return hash("\n".join(lines))
