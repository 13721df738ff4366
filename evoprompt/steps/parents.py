"""Which programs are shown to the proposer.

Verified elites always; from the second round of a generation on, also candidates of this
generation that are predicted to beat their cell (surrogate-assisted illumination: Gaier, Asteroth
& Mouret 2017). Two control arms change nothing but this file's answer.
"""

import random
from collections.abc import Callable

from evoprompt.archive import front
from evoprompt.candidate import Parent
from evoprompt.state import Program
from evoprompt.steps.run import Run

PREDICTED_SHARE = 0.5  # of the prompts of later rounds that start from a predicted elite
FRONT_SHARE = 0.5  # of the prompts from verified elites that start from the front


def parent_picker(run: Run, round_number: int) -> Callable[[random.Random], Parent]:
    """Return a function that draws one parent."""
    control = run.settings.control
    if control == "best-of-n":
        return _uniform(run, [p for p in run.state.trained() if p.is_seed])
    if control == "random-parents":
        valid = [p for p in run.state.programs.values() if p.accuracy is not None or p.score]
        return _uniform(run, sorted(valid, key=lambda p: (p.generation, p.index)))
    elites = run.archive.elites()
    best = front(elites)
    predicted = predicted_elites(run) if round_number else []

    def pick(rng: random.Random) -> Parent:
        if predicted and rng.random() < PREDICTED_SHARE:
            return as_parent(run, rng.choice(predicted))
        group = best if rng.random() < FRONT_SHARE else elites
        return as_parent(run, run.state.programs[rng.choice(group).candidate])

    return pick


def as_parent(run: Run, program: Program) -> Parent:
    """Return a program as a template sees it."""
    assert program.screened is not None
    measured = program.accuracy
    believed = program.score.mean if program.score else 0.0
    return Parent(
        id=program.id,
        source=run.shown_source(program.id),
        accuracy=believed if measured is None else measured,
        parameters=program.screened.parameters,
        macs=program.screened.macs,
        is_predicted=measured is None,
    )


def _uniform(run: Run, programs: list[Program]) -> Callable[[random.Random], Parent]:
    return lambda rng: as_parent(run, rng.choice(programs))


def verified_elites(run: Run) -> list[Program]:
    """Return the archive's elites."""
    return [run.state.programs[elite.candidate] for elite in run.archive.elites()]


def predicted_elites(run: Run) -> list[Program]:
    """Return the best-scored new candidate of each cell in which it beats the verified elite."""
    best: dict[tuple[int, int], Program] = {}
    for candidate in run.state.pool:
        program = run.state.programs[candidate]
        assert program.screened is not None
        assert program.score is not None
        figures = program.screened
        cell, _ = run.archive.locate(figures.parameters, figures.macs, figures.depth)
        incumbent = run.archive.incumbent(cell)
        if incumbent is not None and program.score.mean <= incumbent:
            continue
        held = best.get(cell)
        if held is None or held.score is None or program.score.mean > held.score.mean:
            best[cell] = program
    return [best[cell] for cell in sorted(best)]
