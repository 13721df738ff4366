"""Turning events into records, one event at a time and in the order of their keys.

In: any part of a run's events. Out: what `History` is built from. A fact whose other half is not
there yet (a kill, a running search) is left out, never guessed; a payload that lacks a field
reads as if the field were empty.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from evoprompt.candidate import Score
from evoprompt.ledger import Event
from evoprompt.view.records import (
    Audit,
    Candidate,
    Comparison,
    Failure,
    GateCount,
    Measured,
    Placement,
    Progress,
    Proposal,
    Tested,
    Tuning,
)


class Replay:
    """The state of a run after the events added so far."""

    def __init__(self) -> None:
        self.started: Event | None = None
        self.ended: Event | None = None
        self.last_generation: tuple[int, bool, str | None] | None = None
        """(generation, go, reason) of the last decision to go on."""
        self.candidates: dict[str, Candidate] = {}
        self.proposals: dict[tuple[int, int], Proposal] = {}
        self.placements: list[Placement] = []
        self.progress: list[Progress] = []
        self.audits: list[Audit] = []
        self.tunings: list[Tuning] = []
        self.tested: list[Tested] = []
        self.final_failures: list[tuple[str, Failure]] = []
        self.comparisons: list[Comparison] = []
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.trained_count = 0
        self.seed_count = 0
        self.cache_hit_count = 0

    def add(self, event: Event) -> None:
        """Take in one event; kinds that are not known here are passed over."""
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(self, event)
        spent = event.clock.get("seconds")
        if isinstance(spent, int | float):
            self.seconds[event.stage] += float(spent)

    @property
    def reference(self) -> Candidate | None:
        """The network that the search is compared with, once it is known."""
        key = self.started.payload.get("reference") if self.started else None
        return self.candidates.get(key) if isinstance(key, str) else None

    def change(self, candidate: object, **values: Any) -> Candidate | None:
        """Set fields of a candidate; None if it was never proposed here."""
        known = self.candidates.get(candidate) if isinstance(candidate, str) else None
        if known is None:
            return None
        self.candidates[known.id] = replace(known, **values)
        return self.candidates[known.id]


def _started(replay: Replay, event: Event) -> None:
    replay.started = event


def _ended(replay: Replay, event: Event) -> None:
    replay.ended = event


def _generation(replay: Replay, event: Event) -> None:
    go = bool(event.payload.get("go", True))
    replay.last_generation = (event.generation, go, event.payload.get("reason"))


def _proposed(replay: Replay, event: Event) -> None:
    payload = event.payload
    refused = payload.get("rejected")
    lines = payload.get("lines") or {}
    proposal = Proposal(
        generation=event.generation,
        index=event.index,
        candidate=payload.get("candidate"),
        name=payload.get("name"),
        operator=_text(payload, "operator"),
        template=_text(payload, "template"),
        template_hash=_text(payload, "template_hash"),
        parents=tuple(payload.get("parents") or ()),
        target=_text(payload, "target"),
        version=_text(payload, "proposer"),
        round=payload.get("round") or 0,
        token_count=payload.get("token_count") or 0,
        prompt_token_count=payload.get("prompt_tokens") or 0,
        failure=_failure(refused) if refused else None,
        part=_text(payload, "part"),
        is_repair=bool(payload.get("repairs")),
        added_lines=lines.get("added"),
        old_lines=lines.get("again"),
    )
    replay.proposals[event.generation, event.index] = proposal
    if proposal.candidate is None or proposal.candidate in replay.candidates:
        return
    replay.candidates[proposal.candidate] = Candidate(
        id=proposal.candidate,
        generation=proposal.generation,
        index=proposal.index,
        name=proposal.name,
        operator=proposal.operator,
        template=proposal.template,
        template_hash=proposal.template_hash,
        parents=proposal.parents,
        target=proposal.target,
        version=proposal.version,
        round=proposal.round,
    )


def _judged(replay: Replay, event: Event, **values: Any) -> None:
    proposal = replay.proposals.get((event.generation, event.index))
    if proposal is not None:
        judged = replace(proposal, is_screened=True, **values)
        replay.proposals[event.generation, event.index] = judged


def _screened(replay: Replay, event: Event) -> None:
    _judged(replay, event)
    payload = event.payload
    replay.change(
        payload.get("candidate"),
        graph=payload.get("graph"),
        graph_path=payload.get("graph_path"),
        parameters=payload.get("parameters"),
        macs=payload.get("macs"),
        depth=payload.get("depth"),
        node_count=payload.get("node_count"),
        adapted=tuple(payload.get("adapted") or ()),
        known_graph=payload.get("known_graph"),
    )


def _rejected(replay: Replay, event: Event) -> None:
    _judged(replay, event)
    replay.change(event.payload.get("candidate"), failure=_failure(event.payload))


def _duplicate(replay: Replay, event: Event) -> None:
    how = _text(event.payload, "how") or "source"
    _judged(replay, event, is_repeated=True, repeats=how)


def _scored(replay: Replay, event: Event) -> None:
    payload = event.payload
    score = Score(
        mean=_figure(payload, "mean") or 0.0,
        spread=_figure(payload, "spread") or 0.0,
        prior=_figure(payload, "prior") or 0.0,
        version=_text(payload, "version"),
        low=_figure(payload, "low"),
        high=_figure(payload, "high"),
    )
    replay.change(payload.get("candidate"), score=score)


def _chosen(replay: Replay, event: Event) -> None:
    replay.change(event.payload.get("candidate"), why=_text(event.payload, "why"))


def _trained(replay: Replay, event: Event) -> None:
    payload = event.payload
    measured = Measured(
        accuracy=_figure(payload, "accuracy") or 0.0,
        seed=payload.get("seed"),
        steps=payload.get("steps"),
        final_loss=_figure(payload, "final_loss"),
        curve=tuple((int(step), float(loss)) for step, loss in payload.get("curve") or ()),
        seconds=event.clock.get("seconds") or 0.0,
        device=str(event.clock.get("device") or ""),
        weights_path=payload.get("weights_path"),
        known_from=payload.get("from"),
    )
    if event.kind == "known":
        replay.cache_hit_count += 1
    elif event.generation == 0:
        replay.seed_count += 1
    else:
        replay.trained_count += 1
    candidate = replay.change(payload.get("candidate"), measured=measured)
    if candidate is not None:
        replay.progress.append(_progress(replay, event.generation, candidate))


def _progress(replay: Replay, generation: int, candidate: Candidate) -> Progress:
    last = replay.progress[-1] if replay.progress else None
    best, best_candidate = (last.best, last.best_candidate) if last else (None, None)
    small, small_candidate = (last.small, last.small_candidate) if last else (None, None)
    accuracy = candidate.accuracy or 0.0
    if best is None or accuracy > best:
        best, best_candidate = accuracy, candidate.id
    limit = replay.reference.parameters if replay.reference else None
    size = candidate.parameters
    fits = limit is not None and size is not None and size <= limit
    if fits and (small is None or accuracy > small):
        small, small_candidate = accuracy, candidate.id
    return Progress(replay.trained_count, generation, best, best_candidate, small, small_candidate)


def _failed(replay: Replay, event: Event) -> None:
    failure = _failure(event.payload)
    if event.stage == "final":
        replay.final_failures.append((_text(event.payload, "candidate"), failure))
    else:
        replay.change(event.payload.get("candidate"), failure=failure)


def _archived(replay: Replay, event: Event) -> None:
    payload = event.payload
    place = payload.get("cell")
    if not isinstance(place, list | tuple) or len(place) != 2:
        return
    placement = Placement(
        generation=event.generation,
        slot=event.index,
        candidate=_text(payload, "candidate"),
        cell=(int(place[0]), int(place[1])),
        status=_text(payload, "status"),
        accuracy=_figure(payload, "accuracy") or 0.0,
        replaced=payload.get("replaced"),
    )
    replay.placements.append(placement)
    known = replay.candidates.get(placement.candidate)
    entered = placement.status != "kept" or (known is not None and known.entered)
    clipped = bool(payload.get("clipped"))
    replay.change(placement.candidate, cell=placement.cell, is_clipped=clipped, entered=entered)


def _predictor(replay: Replay, event: Event) -> None:
    payload = event.payload
    audit = Audit(
        generation=event.generation,
        version=_text(payload, "version"),
        label_count=payload.get("label_count") or 0,
        pairs=payload.get("pairs") or 0,
        reserve_pairs=payload.get("reserve_pairs") or 0,
        tau_predictor=_figure(payload, "tau_predictor"),
        tau_prior=_figure(payload, "tau_prior"),
        tau_predictor_reserve=_figure(payload, "tau_predictor_reserve"),
        tau_prior_reserve=_figure(payload, "tau_prior_reserve"),
        interval_count=payload.get("interval_count") or 0,
        held_count=payload.get("held_count") or 0,
        interval_count_reserve=payload.get("interval_count_reserve") or 0,
        held_count_reserve=payload.get("held_count_reserve") or 0,
        judge=_text(payload, "judge"),
        seconds=event.clock.get("seconds"),
    )
    replay.audits.append(audit)


def _rewritten(replay: Replay, event: Event) -> None:
    source = event.payload.get("source")
    if source is not None:
        replay.change(event.payload.get("candidate"), rewritten=str(source))


def _proposer(replay: Replay, event: Event) -> None:
    payload = event.payload
    gate = payload.get("gate") or {}
    tuning = Tuning(
        generation=event.generation,
        version=_text(payload, "version"),
        previous=_text(payload, "previous"),
        serving=_text(payload, "serving"),
        pair_count=payload.get("pair_count") or 0,
        promoted=payload.get("promoted"),
        reason=_text(payload, "reason"),
        method=_text(payload, "method"),
        loss_first=_figure(payload, "loss_first"),
        loss_last=_figure(payload, "loss_last"),
        held_out_accuracy=_figure(payload, "held_out_accuracy"),
        prompt_count=_number_of(gate.get("prompts")),
        old=_gate_count(gate.get("old")),
        new=_gate_count(gate.get("new")),
        token_count=payload.get("token_count") or 0,
        prompt_token_count=payload.get("prompt_tokens") or 0,
        seconds=event.clock.get("seconds"),
    )
    replay.tunings.append(tuning)


def _tested(replay: Replay, event: Event) -> None:
    payload = event.payload
    tested = Tested(
        candidate=_text(payload, "candidate"),
        role=_text(payload, "role"),
        seed=payload.get("seed"),
        accuracy=_figure(payload, "accuracy") or 0.0,
        extra=dict(payload.get("extra") or {}),
    )
    replay.tested.append(tested)


def _compared(replay: Replay, event: Event) -> None:
    payload = event.payload
    comparison = Comparison(
        candidate=_text(payload, "candidate"),
        reference=_text(payload, "reference"),
        parameters=payload.get("parameters"),
        reference_parameters=payload.get("reference_parameters"),
        accuracy=_figure(payload, "accuracy"),
        accuracy_reference=_figure(payload, "accuracy_reference"),
        difference=_figure(payload, "difference"),
        low=_figure(payload, "low"),
        high=_figure(payload, "high"),
        standard=_figure(payload, "standard"),
        standard_reference=_figure(payload, "standard_reference"),
    )
    replay.comparisons.append(comparison)


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    return "" if value is None else str(value)


def _figure(payload: Mapping[str, Any], name: str) -> float | None:
    """A finite number or nothing; the rank correlation of one pair, for one, is not a number."""
    value = payload.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _failure(payload: Mapping[str, Any]) -> Failure:
    return Failure(_text(payload, "stage"), _text(payload, "reason"), _text(payload, "detail"))


def _number_of(value: object) -> int | None:
    """A count, written as such or as the list of what is counted."""
    if isinstance(value, list | tuple | dict):
        return len(value)
    return value if isinstance(value, int) else None


def _gate_count(value: object) -> GateCount | None:
    if not isinstance(value, Mapping):
        return None
    samples, valid, new = (value.get(name) or 0 for name in ("samples", "valid", "valid_new"))
    heredity = value.get("heredity")
    share = float(heredity) if isinstance(heredity, (int, float)) else None
    return GateCount(int(samples), int(valid), int(new), share)


_HANDLERS: dict[str, Callable[[Replay, Event], None]] = {
    "started": _started,
    "generation": _generation,
    "proposed": _proposed,
    "screened": _screened,
    "rejected": _rejected,
    "duplicate": _duplicate,
    "scored": _scored,
    "chosen": _chosen,
    "trained": _trained,
    "known": _trained,
    "failed": _failed,
    "archived": _archived,
    "rewritten": _rewritten,
    "predictor": _predictor,
    "proposer": _proposer,
    "tested": _tested,
    "compared": _compared,
    "ended": _ended,
}
