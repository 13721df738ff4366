"""A rejected child goes back once: the broken program and the screen's message -> a mended child.

Which ones go back is drawn from (seed, generation, stage, round); a program goes back once in a
run, and what comes back is not mended again. The child keeps the parents of the broken one.
"""

import time
from dataclasses import dataclass

from evoprompt.candidate import Prompt, Reason, Rejected, Sampling, Stage, candidate_id
from evoprompt.chance import derive, generator
from evoprompt.ledger import Event, Json
from evoprompt.propose.repairing import Broken, can_be_mended, make_repair_prompt
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import Template
from evoprompt.steps.parents import as_parent
from evoprompt.steps.propose import Answer, proposed_event, use_serving
from evoprompt.steps.run import Run

MENDED = 10**12
"""Index of a mended child: that of the broken one, and this; no generation proposes so many."""


@dataclass(frozen=True)
class _Case:
    event: Event
    """The broken child's proposal."""
    broken: Broken
    prompt: Prompt
    sampling: Sampling


def repair(run: Run, generation: int, round_number: int, proposed: list[Event]) -> list[Event]:
    """Ask the proposer to mend some of a round's rejected children."""
    template = repair_template(run)
    if template is None or not proposed:
        return []

    def make() -> list[Event]:
        cases = _cases(run, generation, round_number, proposed, template)
        if not cases:
            return []
        started = time.monotonic()
        run.watch.phase("repair", 0, len(cases))
        use_serving(run)
        replies = run.engine.sample([c.prompt for c in cases], [c.sampling for c in cases])
        seconds = (time.monotonic() - started) / len(cases)
        events: list[Event] = []
        for case, (reply,) in zip(cases, replies, strict=True):
            child, told = read_reply(case.prompt, reply), (case.sampling, round_number, seconds)
            answer = Answer(case.prompt, reply, child, *told, repairs=_origin(case))
            index = MENDED + case.event.index
            events.append(proposed_event(run, generation, "repair", index, answer))
        run.watch.phase("repair", len(cases), len(cases))
        return events

    first, last = proposed[0].index, proposed[-1].index
    count = last - first + 1
    return run.batch(generation, "repair", MENDED + first, count, make, ends_with="choose")


def repair_template(run: Run) -> Template | None:
    """Return the template of the operator repair with the greatest weight; None: no repairs."""
    settings = run.settings
    if settings.proposer.repairs_per_round == 0 or settings.control == "grammar":
        return None
    if settings.proposer.engine == "replay":  # recorded replies answer the prompts of their run
        return None
    found = [t for t in run.templates.values() if t.operator == "repair" and t.weight > 0]
    return max(found, key=lambda template: (template.weight, template.name), default=None)


def _cases(
    run: Run, generation: int, round_number: int, proposed: list[Event], template: Template
) -> list[_Case]:
    """Return the children that go back, drawn from all that could be mended."""
    found: dict[str, _Case] = {}
    for event in proposed:
        broken = _broken(run, generation, event)
        if broken is None or not can_be_mended(broken.rejected):
            continue
        key = candidate_id(broken.source)
        if key in run.state.mended or key in found:
            continue
        parent = as_parent(run, run.state.programs[broken.parents[0]])
        prompt = make_repair_prompt(template, broken, parent, run.shape)
        if prompt is not None:
            found[key] = _Case(event, broken, prompt, _sampling(run, generation, event, template))
    rng = generator(run.settings.seed, generation, "repair", round_number)
    count = min(len(found), run.settings.proposer.repairs_per_round)
    drawn = rng.sample(list(found.values()), count)
    return sorted(drawn, key=lambda case: case.event.index)


def _broken(run: Run, generation: int, event: Event) -> Broken | None:
    """Return the program of a rejected proposal; None if it was not rejected or left no program."""
    payload = event.payload
    if payload["candidate"] is None:
        source, fields = payload.get("broken"), payload["rejected"]
    else:
        source = run.source(payload["candidate"])
        verdict = run.ledger.find(generation, "screen", event.index)
        fields = verdict.payload if verdict and verdict.kind == "rejected" else None
    if not source or not fields or not payload["parents"]:
        return None
    why = Rejected(Stage(fields["stage"]), Reason(fields["reason"]), fields["detail"])
    parents, part = tuple(payload["parents"]), payload.get("part") or ""
    return Broken(source, why, parents, payload["target"], part)


def _sampling(run: Run, generation: int, event: Event, template: Template) -> Sampling:
    settings = run.settings.proposer
    seed = run.seed(generation, "repair", event.index)
    rng = generator(seed, "temperature")
    return Sampling(
        temperature=rng.choice(template.temperatures),
        count=1,
        seed=derive(seed, "reply"),
        top_p=settings.top_p,
        max_tokens=template.max_tokens or settings.max_tokens,
    )


def _origin(case: _Case) -> Json:
    why = case.broken.rejected
    return {
        "index": case.event.index,
        "broken": candidate_id(case.broken.source),
        "template": case.event.payload["template"],
        "stage": why.stage,
        "reason": why.reason,
    }
