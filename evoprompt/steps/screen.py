"""source -> graph, and graph -> score: the two cheap stages between proposing and choosing.

A source that was screened before is not run again; a graph that is known is not scored again.
"""

from dataclasses import asdict

import numpy as np

from evoprompt.candidate import Rejected, Screened
from evoprompt.ledger import Event, Json
from evoprompt.state import Program
from evoprompt.steps.run import Run
from surrogate import prior_ranks

INTERVAL = 0.9
"""Share of measured accuracies that should lie inside the interval recorded with a score."""


def screen(run: Run, generation: int, proposed: list[Event]) -> None:
    """Screen the children of one round; the state learns which are valid and new."""
    parsed = [e for e in proposed if e.payload["candidate"] is not None]
    if not parsed:
        return
    first, last = proposed[0].index, proposed[-1].index

    def make() -> list[Event]:
        verdicts: dict[str, Event] = {}
        screened_before = {p.id for p in run.state.programs.values() if p.is_screened}
        fresh: dict[str, Event] = {}
        events: list[Event] = []
        for event in parsed:
            candidate = event.payload["candidate"]
            if candidate in screened_before or candidate in fresh:
                payload = {"candidate": candidate}
                events.append(Event(generation, "screen", event.index, "duplicate", payload))
            else:
                fresh[candidate] = event
        answers = verdicts_on(run, {each: run.source(each) for each in fresh}, "screen")
        graphs = dict(run.state.graphs)
        for candidate, event in fresh.items():
            answer = answers[candidate]
            payload: Json = asdict(answer)
            kind = "rejected"
            if isinstance(answer, Screened):
                kind = "screened"
                payload["known_graph"] = graphs.get(answer.graph)
                graphs.setdefault(answer.graph, candidate)
            else:
                payload["candidate"] = candidate
            verdicts[candidate] = Event(generation, "screen", event.index, kind, payload)
        return sorted([*events, *verdicts.values()], key=lambda e: e.index)

    run.batch(generation, "screen", first, last - first + 1, make)


def verdicts_on(run: Run, sources: dict[str, str], phase: str) -> dict[str, Screened | Rejected]:
    """Return the screen's verdict on each candidate; what the run knows already is not run again.

    Args:
        run: Its ledger is what it knows.
        sources: Prepared sources by candidate.
        phase: What the onlooker is told.
    """
    known = {each: run.state.verdicts[each] for each in sources if each in run.state.verdicts}
    fresh = [each for each in sources if each not in known]
    answers = run.screener.screen_all(
        [sources[each] for each in fresh], lambda done: run.watch.phase(phase, done, len(fresh))
    )
    return known | dict(zip(fresh, answers, strict=True))


def score(run: Run, generation: int, proposed: list[Event]) -> None:
    """Score the valid children of one round whose graphs are new."""
    fresh: list[tuple[int, Program]] = []
    for event in proposed:
        candidate = event.payload["candidate"]
        program = run.state.programs.get(candidate) if candidate else None
        if program is None or (program.generation, program.index) != (generation, event.index):
            continue
        if program.screened is not None and program.known_graph is None:
            fresh.append((event.index, program))
    if not fresh:
        return
    first, last = proposed[0].index, proposed[-1].index

    def make() -> list[Event]:
        texts = [_figures(p).text for _, p in fresh]
        scores = run.surrogate.predict(texts, INTERVAL)
        known = [_figures(p) for p in run.state.trained()]
        pool = [_figures(p) for _, p in fresh] + known
        parameters = np.array([figures.parameters for figures in pool])
        priors = prior_ranks(parameters, np.array([figures.macs for figures in pool]))
        events: list[Event] = []
        for place, (index, program) in enumerate(fresh):
            payload: Json = {
                "candidate": program.id,
                "mean": float(scores.mean[place]),
                "spread": float(scores.spread[place]),
                "low": float(scores.low[place]),
                "high": float(scores.high[place]),
                "prior": float(priors[place]),
                "version": run.state.predictor_version,
            }
            events.append(Event(generation, "score", index, "scored", payload))
        return events

    run.batch(generation, "score", first, last - first + 1, make)


def _figures(program: Program) -> Screened:
    assert program.screened is not None
    return program.screened
