"""siblings that won and lost -> a tuned proposer, which goes live only through its gate.

The adapter starts from the base again each time and sees all of the run's pairs. It is promoted
only if, for held-out prompts, it writes at least as many valid and new programs as the version
before it; both figures are recorded either way.
"""

import time
from dataclasses import asdict, dataclass, replace

from evoprompt.candidate import Prompt, Rejected, Reply, Screened, candidate_id
from evoprompt.learn.gate import GateCount, gate
from evoprompt.learn.pairs import Preference, Sibling, preferences
from evoprompt.learn.proposer import TuneReport, tune
from evoprompt.ledger import Json, clock_fields
from evoprompt.propose.reply import read_reply
from evoprompt.state import Written
from evoprompt.steps.propose import prompts_for, use_serving
from evoprompt.steps.run import Made, Run
from evoprompt.steps.screen import verdicts_on

Answers = list[tuple[Prompt, Reply]]


@dataclass
class SampleCount:
    """What one version wrote for the held-out prompts."""

    samples: int = 0
    valid: int = 0
    valid_new: int = 0
    tokens: int = 0


def learn_proposer(run: Run, generation: int) -> None:
    """Tune the proposer on the run so far and let it through its gate, or not."""

    def make() -> Made:
        started = time.monotonic()
        payload = _attempt(run, f"v{generation:03d}")
        return "proposer", payload, clock_fields({"seconds": time.monotonic() - started})

    run.once(generation, "learn", 1, make)


def _attempt(run: Run, version: str) -> Json:
    previous = run.state.proposer_version
    payload: Json = {
        "version": version,
        "previous": previous,
        "serving": previous,
        "promoted": None,
        "reason": None,
        "pair_count": 0,
        "loss_first": None,
        "loss_last": None,
        "held_out_accuracy": None,
        "weights": None,
        "token_count": 0,
        "gate": None,
    }
    reason = _why_not(run)
    pairs = [] if reason else preferences(_sibling(run, each) for each in run.state.written)
    if not pairs:
        return payload | {"reason": reason or "no siblings that differ"}
    report = _tune(run, version, pairs)
    payload |= {
        "pair_count": report.pairs,
        "steps": report.steps,
        "loss_first": report.first_loss,
        "loss_last": report.last_loss,
        "held_out_accuracy": report.preference_accuracy,
        "weights": report.weights,
    }
    if not report.weights:
        return payload | {"reason": "no usable pairs"}
    return payload | _through_gate(run, previous, version)


def _why_not(run: Run) -> str | None:
    if run.settings.control == "frozen-proposer":
        return "control: frozen proposer"
    if run.engine.base is None:
        return f"the {run.engine.version} engine cannot be tuned"
    if run.settings.learn.steps == 0:
        return "learn.steps is 0"
    return None


def _sibling(run: Run, written: Written) -> Sibling:
    program = run.state.programs.get(written.candidate) if written.candidate else None
    if program is None or program.screened is None:
        return Sibling(written.prompt, written.reply, is_valid=False, is_new=False)
    is_first = (program.generation, program.index) == (written.generation, written.index)
    earned = len(run.state.audit_pairs()) >= run.settings.surrogate.audit_count
    believed = program.score.mean if program.score and earned else None
    return Sibling(
        written.prompt,
        written.reply,
        is_valid=True,
        is_new=is_first and program.known_graph is None,
        accuracy=program.accuracy,
        score=believed if run.state.judge == "predictor" else None,
    )


def _tune(run: Run, version: str, pairs: list[Preference]) -> TuneReport:
    run.watch.phase("tune proposer", 0, 1)
    folder = run.proposer_folder(version)
    assert folder is not None
    assert run.engine.base is not None
    threads = run.settings.proposer.threads
    seed = run.seed("tune", version) % 2**31
    report = tune(run.engine.base, pairs, run.settings.learn, seed, folder, threads)
    run.watch.phase("tune proposer", 1, 1)
    return report


def _through_gate(run: Run, previous: str, version: str) -> Json:
    """Let both versions answer the same held-out prompts and decide."""
    settings = run.settings.learn
    seen = {each.prompt for each in run.state.written}
    seed = run.seed("gate", version)
    prompts, samplings = prompts_for(run, 0, 2 * settings.gate_prompts, seed)
    held_out = [
        (prompt, replace(sampling, count=settings.gate_samples))
        for prompt, sampling in zip(prompts, samplings, strict=True)
        if prompt.text not in seen
    ][: settings.gate_prompts]
    if not held_out:
        return {"promoted": False, "reason": "no held-out prompt"}
    tallies: dict[str, SampleCount] = {}
    sampled: dict[str, Screened | Rejected] = {}

    def write(name: str) -> Answers:
        run.watch.phase("gate", len(tallies), 2)
        run.engine.use(name, run.proposer_folder(name))
        replies = run.engine.sample([p for p, _ in held_out], [s for _, s in held_out])
        return [(p, r) for (p, _), group in zip(held_out, replies, strict=True) for r in group]

    def count(name: str, answers: Answers) -> GateCount:
        tallies[name] = count_samples(run, answers, sampled)
        return GateCount(name, tallies[name].samples, tallies[name].valid_new)

    decision = gate(previous, version, write, count)
    run.watch.phase("gate", 2, 2)
    use_serving(run)
    return {
        "promoted": decision.is_promoted,
        "serving": version if decision.is_promoted else previous,
        "reason": decision.line(),
        "token_count": sum(tally.tokens for tally in tallies.values()),
        "sampled": {candidate: asdict(verdict) for candidate, verdict in sampled.items()},
        "gate": {
            "prompts": len(held_out),
            "old": vars(tallies[previous]),
            "new": vars(tallies[version]),
        },
    }


def count_samples(
    run: Run, answers: Answers, sampled: dict[str, Screened | Rejected]
) -> SampleCount:
    """Screen what one version wrote; of it only the verdicts enter the run.

    Args:
        run: What it knows is not screened again.
        answers: Prompts and replies.
        sampled: Verdicts on earlier samples of this gate; the new ones are added.
    """
    tally = SampleCount(samples=len(answers), tokens=sum(r.token_count for _, r in answers))
    sources: dict[str, str] = {}
    written: list[str] = []
    for prompt, reply in answers:
        child = read_reply(prompt, reply)
        prepared = child if isinstance(child, Rejected) else run.screener.prepare(child[0])
        if not isinstance(prepared, Rejected):
            written.append(candidate_id(prepared.source))
            sources[written[-1]] = prepared.source
    fresh = {each: source for each, source in sources.items() if each not in sampled}
    verdicts = sampled | verdicts_on(run, fresh, "screen for the gate")
    sampled |= {each: verdicts[each] for each in fresh if each not in run.state.verdicts}
    valid = [verdicts[each] for each in written]
    graphs = {each.graph for each in valid if isinstance(each, Screened)}
    tally.valid = sum(isinstance(each, Screened) for each in valid)
    tally.valid_new = len(graphs - set(run.state.graphs))
    return tally
