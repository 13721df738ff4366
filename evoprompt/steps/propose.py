"""parents -> source: prompts are made and sent, replies become programs or rejections.

One round of prompts is recorded in one piece, because the replies of one batch are drawn together.
"""

import time
from dataclasses import asdict

from evoprompt.candidate import Prompt, Rejected, Reply, Sampling, candidate_id
from evoprompt.grammar.seeds import seeds
from evoprompt.ledger import Event, Json, clock_fields
from evoprompt.propose.prompting import make_grammar_prompts, make_prompts
from evoprompt.propose.reply import read_reply
from evoprompt.steps.parents import parent_picker
from evoprompt.steps.run import Run
from evoprompt.storage import write_atomically

REFERENCE = "reference_cnn"
"""The seed that winners are compared with."""


def plant(run: Run) -> list[Event]:
    """Propose the seeds, as generation 0."""

    def make() -> list[Event]:
        events: list[Event] = []
        for index, (name, source) in enumerate(_seed_sources(run).items()):
            prompt = Prompt("", "", "", "seed", (), "")
            event = _proposed(run, 0, index, prompt, Reply("", 0, True), (source, ()), name=name)
            events.append(event)
        return events

    return run.batch(0, "propose", 0, 1 << 30, make)


def propose(run: Run, generation: int, round_number: int) -> list[Event]:
    """Ask the proposer for one round of children."""
    settings = run.settings.proposer
    size = settings.prompts_per_round * settings.samples_per_prompt
    first = round_number * size

    def make() -> list[Event]:
        started = time.monotonic()
        run.watch.phase("propose", 0, size)
        seed = run.seed(generation, "propose", round_number)
        prompts, samplings = prompts_for(run, round_number, settings.prompts_per_round, seed)
        use_serving(run)
        answers = run.engine.sample(prompts, samplings)
        seconds = (time.monotonic() - started) / size
        events: list[Event] = []
        for prompt, sampling, replies in zip(prompts, samplings, answers, strict=True):
            for reply in replies:
                child = read_reply(prompt, reply)
                index = first + len(events)
                extra = (round_number, sampling, seconds)
                events.append(_proposed(run, generation, index, prompt, reply, child, extra=extra))
        run.watch.phase("propose", size, size)
        return events

    return run.batch(generation, "propose", first, size, make)


def prompts_for(
    run: Run, round_number: int, count: int, seed: int
) -> tuple[list[Prompt], list[Sampling]]:
    """Make prompts from the parents that the round may show."""
    settings, pick = run.settings.proposer, parent_picker(run, round_number)
    if run.settings.control == "grammar":
        made = make_grammar_prompts(pick, count, settings, seed)
    else:
        made = make_prompts(run.templates, pick, run.shape, count, settings, seed)
    return [prompt for prompt, _ in made], [sampling for _, sampling in made]


def use_serving(run: Run) -> None:
    """Let the engine write with the version that passed its gate last."""
    version = run.state.proposer_version
    if run.engine.base is not None and run.engine.version != version:
        run.engine.use(version, run.proposer_folder(version))


def _seed_sources(run: Run) -> dict[str, str]:
    return seeds(run.shape.in_shape, run.shape.num_classes)


def _proposed(
    run: Run,
    generation: int,
    index: int,
    prompt: Prompt,
    reply: Reply,
    child: tuple[str, tuple[str, ...]] | Rejected,
    *,
    name: str | None = None,
    extra: tuple[int, Sampling | None, float] = (0, None, 0.0),
) -> Event:
    """Return the event of one reply; a program that can be prepared is stored under its id."""
    round_number, sampling, seconds = extra
    notes: tuple[str, ...] = ()
    candidate = None
    if not isinstance(child, Rejected):
        source, notes = child
        prepared = run.screener.prepare(source)
        if isinstance(prepared, Rejected):
            child = prepared
        else:
            notes += prepared.adapted
            candidate = candidate_id(prepared.source)
            path = run.source_path(candidate)
            if not path.exists():
                write_atomically(path, prepared.source.encode())
    payload: Json = {
        "candidate": candidate,
        "name": name,
        "operator": prompt.operator,
        "template": prompt.template,
        "template_hash": prompt.template_hash,
        "prompt": prompt.text,
        "parents": list(prompt.parents),
        "donor": list(prompt.donor),
        "target": prompt.target,
        "reply": reply.text,
        "token_count": reply.token_count,
        "finished": reply.is_finished,
        "temperature": sampling.temperature if sampling else None,
        "seed": sampling.seed if sampling else None,
        "proposer": run.engine.version if generation else None,
        "round": round_number,
        "notes": list(notes),
        "rejected": asdict(child) if isinstance(child, Rejected) else None,
    }
    return Event(
        generation, "propose", index, "proposed", payload, clock_fields({"seconds": seconds})
    )
