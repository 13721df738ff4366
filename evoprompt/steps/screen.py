"""source -> graph, and graph -> score: the two cheap stages between proposing and choosing.

A program that was screened before, in whatever layout, is not run again; a graph that is known is
not scored again.
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
        fresh: dict[str, Event] = {}
        events: list[Event] = []
        for event in parsed:
            candidate = event.payload["candidate"]
            known = _known_as(run, event, fresh)
            if known is None:
                fresh[candidate] = event
            else:
                how = "source" if known == candidate else "lines"
                payload: Json = {"candidate": candidate, "of": known, "how": how}
                events.append(Event(generation, "screen", event.index, "duplicate", payload))
        answers = verdicts_on(run, {each: run.source(each) for each in fresh}, "screen")
        graphs = dict(run.state.graphs)
        for candidate, event in fresh.items():
            answer = answers[candidate]
            payload = asdict(answer)
            kind = "rejected"
            if isinstance(answer, Screened):
                kind = "screened"
                payload["known_graph"] = graphs.get(answer.graph)
                graphs.setdefault(answer.graph, candidate)
            else:
                payload["candidate"] = candidate
            events.append(Event(generation, "screen", event.index, kind, payload))
        return sorted(events, key=lambda e: e.index)

    run.batch(generation, "screen", first, last - first + 1, make)


def _known_as(run: Run, event: Event, fresh: dict[str, Event]) -> str | None:
    """Return the program that this one repeats: itself, or one of the same canonical lines."""
    candidate = event.payload["candidate"]
    owner = run.state.lines.get(event.payload.get("canonical") or candidate, candidate)
    if owner != candidate:
        return owner
    return candidate if run.state.programs[candidate].is_screened or candidate in fresh else None


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
