"""The cases of the proposer's benchmark: a task's shape, its screen, and parents nobody has seen.

In: a preset's name. Out: an open screener, and parents with the figures that the screen found.
Parents are the corpus' own kind of program (`builtin_corpus.random_parent`), drawn with seeds that
training does not use; one whose lines stand in the training corpus, or that the screen rejects
(mostly for its size), is passed over.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from proposer_corpus import Corpus

from evoprompt.candidate import Parent, Screened, TaskShape, candidate_id
from evoprompt.chance import generator
from evoprompt.config import PRESETS, ProposerSettings
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.spec import Spec, render
from evoprompt.grammar.view import shown_lines
from evoprompt.propose.builtin_corpus import random_parent
from evoprompt.screen import Screener

SHAPES = {"mnist1d": (1, 40), "digits": (1, 8, 8)}
CLASSES = 10
SEED = 20_000_003  # training draws its corpus from small seeds


@dataclass(frozen=True)
class Known:
    """A parent and all that the benchmark wants to know of it."""

    parent: Parent
    lines: tuple[str, ...]
    """Numbered lines; empty for a program without a numbered view."""
    screened: Screened
    spec: Spec | None = None
    """None for a program that the grammar did not write."""


@dataclass(frozen=True)
class Case:
    """One task shape with its screen."""

    name: str
    task: TaskShape
    proposer: ProposerSettings
    screener: Screener


@contextmanager
def opened(name: str, model: str) -> Iterator[Case]:
    """A case whose zygotes are warm; its files go when it is closed."""
    settings = PRESETS[name]()
    task = TaskShape(name, SHAPES[name], CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        screener = Screener(settings.screen, task, Path(folder))
        try:
            screener.start()
            screener.screen_all(list(seeds(task.in_shape, CLASSES).values()))
            yield Case(name, task, replace(settings.proposer, model=model), screener)
        finally:
            screener.close()


def parents(
    case: Case, purpose: str, count: int, corpus: Corpus, advance: Callable[[int], None]
) -> list[Known]:
    """Valid programs that the corpus does not hold, no two of one graph; `purpose` is the seed."""
    rng = generator(SEED, case.name, purpose)
    found: dict[str, Known] = {}
    while len(found) < count:
        specs = [random_parent(rng, case.task) for _ in range(count - len(found) + 8)]
        unseen = [spec for spec in specs if not corpus.holds(shown_lines(render(spec)) or [])]
        sources = [render(spec) for spec in unseen]
        answers = case.screener.screen_all(sources)
        for spec, source, answer in zip(unseen, sources, answers, strict=True):
            if isinstance(answer, Screened) and len(found) < count:
                accuracy = rng.randint(20, 99) / 100
                found.setdefault(answer.graph, known(source, answer, accuracy, spec))
        advance(len(found))
    return [*found.values()]


def known(source: str, screened: Screened, accuracy: float, spec: Spec | None = None) -> Known:
    """A screened program as a parent; its accuracy is made up, as in training."""
    figures = accuracy, screened.parameters, screened.macs
    parent = Parent(candidate_id(source), source, *figures)
    return Known(parent, tuple(shown_lines(source) or ()), screened, spec)
