"""siblings that won and lost -> a tuned proposer, which goes live only through its gate.

The adapter starts again each time from where the run started, and sees all of the run's pairs.
While it is tuned it answers some prompts every few steps and stops early where it writes worse. It
is promoted by `learn.gate`'s rule; all figures behind the decision are recorded either way.
"""

import time
from dataclasses import asdict
from pathlib import Path

from evoprompt.learn import gate
from evoprompt.learn.lessons import Lessons
from evoprompt.learn.pairs import count_by_evidence, preferences
from evoprompt.learn.proposer import TuneReport, tune
from evoprompt.ledger import Json, clock_fields
from evoprompt.steps.lessons import has_earned, replay_for, siblings_of
from evoprompt.steps.propose import use_serving
from evoprompt.steps.run import Made, Run
from evoprompt.steps.versions import Questions, answers, questions


def learn_proposer(run: Run, generation: int) -> None:
    """Tune the proposer on the run so far and let it through its gate, or not."""

    def make() -> Made:
        started = time.monotonic()
        payload = _attempt(run, generation)
        return "proposer", payload, clock_fields({"seconds": time.monotonic() - started})

    run.once(generation, "learn", 1, make)


def _attempt(run: Run, generation: int) -> Json:
    previous, version = run.state.proposer_version, f"v{generation:03d}"
    payload: Json = {
        "version": version,
        "previous": previous,
        "serving": previous,
        "promoted": None,
        "reason": None,
        "method": run.settings.learn.method,
        "pair_count": 0,
        "loss_first": None,
        "loss_last": None,
        "held_out_accuracy": None,
        "weights": None,
        "token_count": 0,
        "prompt_tokens": 0,
        "gate": None,
    }
    reason = _why_not(run)
    if reason:
        return payload | {"reason": reason}
    lessons = _lessons(run, generation)
    if not lessons.preferences:
        return payload | {"reason": "no siblings that differ"}
    seen = {each.prompt for each in run.state.written}
    probes = questions(run, _probe_count(run), run.seed("probe", version), besides=seen)
    report = _tune(run, version, lessons, probes)
    use_serving(run)
    payload |= {
        "pair_count": report.pairs,
        "pairs": count_by_evidence(lessons.preferences),
        "replayed": report.replayed,
        "steps": report.steps,
        "stopped": report.stopped,
        "loss_first": report.first_loss,
        "loss_last": report.last_loss,
        "held_out_accuracy": report.preference_accuracy,
        "weights": report.weights,
        "token_count": probes.token_count,
        "prompt_tokens": probes.prompt_tokens,
        "sampled": _plain(probes),
    }
    if not report.weights:
        return payload | {"reason": "no usable pairs"}
    seen |= {prompt.text for prompt, _ in probes.asked}
    return payload | _through_gate(run, version, report, probes, seen)


def _why_not(run: Run) -> str | None:
    if run.settings.control == "frozen-proposer":
        return "control: frozen proposer"
    if run.engine.base is None:
        return f"the {run.engine.version} engine cannot be tuned"
    if run.settings.learn.steps == 0:
        return "learn.steps is 0"
    return None


def _probe_count(run: Run) -> int:
    """How many prompts are asked while it is tuned; none of vLLM, which would start anew."""
    settings = run.settings
    return settings.learn.probe_prompts if settings.proposer.engine == "transformers" else 0


def _lessons(run: Run, generation: int) -> Lessons:
    """All pairs of the run so far, and what is replayed beside them."""
    assert run.engine.base is not None
    audit = run.ledger.find(generation, "learn", 0)
    earned = has_earned(audit.payload if audit else None, run.settings.surrogate.audit_count)
    siblings = siblings_of(run.state, run.shape.num_classes, earned)
    replay = replay_for(run.engine.base, siblings, run.seed("replay", generation))
    return Lessons(preferences(siblings), replay)


def _tune(run: Run, version: str, lessons: Lessons, probes: Questions) -> TuneReport:
    """Tune, and ask the probes every few steps."""
    folder = run.proposer_folder(version)
    assert folder is not None
    assert run.engine.base is not None
    previous = run.state.proposer_version
    before = answers(run, probes, previous, run.proposer_folder(previous)) if probes.asked else None

    run.engine.rest()

    def probe(adapter: Path) -> bool:
        assert before is not None
        return not gate.losses(before, answers(run, probes, "look", adapter))

    return tune(
        run.engine.base,
        lessons,
        run.settings.learn,
        run.seed("tune", version) % 2**31,
        folder,
        run.settings.proposer.threads,
        start=run.start_adapter,
        probe=probe if before else None,
        progress=lambda done, total: run.watch.phase("tune proposer", done, total),
    )


def _through_gate(
    run: Run, version: str, report: TuneReport, probes: Questions, seen: set[str]
) -> Json:
    """Let both versions answer the same held-out prompts and decide."""
    previous = run.state.proposer_version
    held_out = questions(run, run.settings.learn.gate_prompts, run.seed("gate", version), seen)
    if not held_out.asked:
        return {"promoted": False, "reason": "no held-out prompt"}
    figures: list[gate.Written] = []
    for each in (previous, version):
        run.watch.phase("gate", len(figures), 2)
        figures.append(answers(run, held_out, each, run.proposer_folder(each)))
    run.watch.phase("gate", 2, 2)
    use_serving(run)
    old, new = figures
    decision = gate.decide(old, new, report.preference_accuracy)
    return {
        "promoted": decision.is_promoted,
        "serving": version if decision.is_promoted else previous,
        "reason": decision.line(),
        "token_count": probes.token_count + held_out.token_count,
        "prompt_tokens": probes.prompt_tokens + held_out.prompt_tokens,
        "sampled": _plain(probes) | _plain(held_out),
        "gate": {"prompts": len(held_out.asked), "old": asdict(old), "new": asdict(new)},
    }


def _plain(told: Questions) -> Json:
    return {candidate: asdict(verdict) for candidate, verdict in told.verdicts.items()}
