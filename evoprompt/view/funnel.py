"""The funnel: how many proposals reached each step, and what stopped the others.

In: proposals and the candidates they brought. Out: a `Funnel`, over the whole run, one generation,
one template or one proposer version, whatever the caller passes. Seeds are counted like children;
leave them out by not passing them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from evoprompt.view.records import STEPS, Candidate, Failure, Funnel, Loss, Proposal

NOT_CHOSEN = "not chosen"
"""Scored, and others deserved the training more: no failure, but it closes the sum."""


def funnel(proposals: Iterable[Proposal], candidates: Mapping[str, Candidate]) -> Funnel:
    """Count the steps that proposals reached and the reasons of those that did not."""
    counts: dict[str, int] = dict.fromkeys(STEPS, 0)
    losses: dict[tuple[str, str, str], Loss] = {}
    for proposal in proposals:
        candidate = candidates.get(proposal.candidate) if proposal.candidate else None
        for step, is_reached, failure in _steps(proposal, candidate):
            if is_reached:
                counts[step] += 1
                continue
            if failure is not None:
                key = (step, failure.stage, failure.reason)
                loss = losses.get(key) or _first_loss(step, failure, proposal)
                losses[key] = replace(loss, count=loss.count + 1)
            break
    order = sorted(losses.values(), key=lambda o: (STEPS.index(o.step), -o.count, o.reason))
    return Funnel(counts, tuple(order))


def _first_loss(step: str, failure: Failure, proposal: Proposal) -> Loss:
    return Loss(
        step=step,
        reason=failure.reason,
        stage=failure.stage,
        count=0,
        example=failure.detail,
        example_candidate=proposal.candidate,
        example_key=(proposal.generation, proposal.index),
    )


def _steps(
    proposal: Proposal, candidate: Candidate | None
) -> Iterator[tuple[str, bool, Failure | None]]:
    """Yield (step, reached, why not); an open verdict is not reached and has no reason."""
    yield "proposed", True, None
    yield "parsed", candidate is not None, proposal.failure
    if candidate is None:
        return
    is_new = not proposal.is_repeated
    # The screen's verdict may be missing in a half-written run; a repeat is known by its event.
    reached = is_new and proposal.is_screened
    reason = "same_lines" if proposal.repeats == "lines" else "duplicate"
    repeated = Failure("source", reason, "the same program was there before")
    yield "new source", reached, None if is_new else repeated
    yield "valid", candidate.graph is not None, candidate.failure
    by = "graph_of_parent" if candidate.known_graph in candidate.parents else "known_graph"
    known = Failure("graph", by, f"same graph as {candidate.known_graph}")
    is_fresh = candidate.known_graph is None
    yield "new graph", is_fresh, known
    yield "scored", candidate.score is not None or candidate.measured is not None, None
    passed_over = Failure("choose", NOT_CHOSEN, "others promised more")
    why_not = candidate.failure if candidate.why else passed_over
    yield "trained", candidate.measured is not None, why_not
    held = Failure("archive", "cell_taken", "its cell holds a better one")
    yield "elite", candidate.entered, held if candidate.cell else None
