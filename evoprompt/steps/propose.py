"""parents -> source: prompts are made and sent, replies become programs or rejections.

One round of prompts is recorded in one piece, because the replies of one batch are drawn together.
"""

import time
from dataclasses import asdict, dataclass

from evoprompt.archive.frontier import gaps
from evoprompt.candidate import (
    Prompt,
    Reason,
    Rejected,
    Reply,
    Sampling,
    candidate_id,
    normalise,
)
from evoprompt.chance import generator
from evoprompt.grammar.seeds import seeds
from evoprompt.ledger import Event, Json, clock_fields
from evoprompt.propose.bandit import Outcome, beliefs, chances
from evoprompt.propose.prompting import make_grammar_prompts, make_prompts, proposing
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import Target
from evoprompt.screen import Prepared
from evoprompt.steps.novelty import line_news, program_key
from evoprompt.steps.parents import parent_picker
from evoprompt.steps.run import Run
from evoprompt.storage import write_atomically

REFERENCE = "reference_cnn"
"""The seed that winners are compared with."""


@dataclass(frozen=True)
class Answer:
    """One reply, what was asked and what came of it."""

    prompt: Prompt
    reply: Reply
    child: tuple[str, tuple[str, ...]] | Rejected
    """Source and notes, or why there is none."""
    sampling: Sampling | None = None
    round_number: int = 0
    seconds: float = 0.0
    name: str | None = None
    """A seed's."""
    repairs: Json | None = None
    """Of a repair: index and id of the broken program, and the template that wrote it."""


def plant(run: Run) -> list[Event]:
    """Propose the seeds, as generation 0."""

    def make() -> list[Event]:
        events: list[Event] = []
        for index, (name, source) in enumerate(_seed_sources(run).items()):
            prompt = Prompt("", "", "", "seed", (), "")
            answer = Answer(prompt, Reply("", 0, True), (source, ()), name=name)
            events.append(proposed_event(run, 0, "propose", index, answer))
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
                answer = Answer(prompt, reply, child, sampling, round_number, seconds)
                index = first + len(events)
                events.append(proposed_event(run, generation, "propose", index, answer))
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
        shares, cells = template_shares(run, seed), empty_cells(run)
        made = make_prompts(
            run.templates, pick, run.shape, count, settings, seed, shares=shares, empty_cells=cells
        )
    return [prompt for prompt, _ in made], [sampling for _, sampling in made]


def template_shares(run: Run, seed: int) -> dict[str, float]:
    """Return how likely each template is to be drawn: by its weight, or as a bandit has it."""
    settings = run.settings.proposer
    shares = proposing(run.templates, settings.cross_share)
    if settings.choose_templates == "weights":
        return shares
    outcomes = (
        Outcome(generation, template, spent.token_count, spent.entered_count)
        for (generation, template), spent in run.state.spent.items()
        if generation
    )
    return chances(beliefs(shares, outcomes), generator(seed, "templates"))


def empty_cells(run: Run) -> list[Target]:
    """Return the sizes of empty cells beside filled ones, where `explore` may send children."""
    limits = run.settings.screen
    found = gaps(run.archive, run.settings.archive, limits.max_parameters, limits.max_macs)
    return [Target(gap.parameters, gap.macs) for gap in found]


def use_serving(run: Run) -> None:
    """Let the engine write with the version that passed its gate last."""
    version = run.state.proposer_version
    if run.engine.base is not None and run.engine.version != version:
        run.engine.use(version, run.proposer_folder(version))


def _seed_sources(run: Run) -> dict[str, str]:
    return seeds(run.shape.in_shape, run.shape.num_classes)


def proposed_event(run: Run, generation: int, stage: str, index: int, answer: Answer) -> Event:
    """Return the event of one reply; a program that can be prepared is stored under its id."""
    prompt, reply, sampling = answer.prompt, answer.reply, answer.sampling
    prepared, broken = _prepared(run, answer)
    payload: Json = {
        "candidate": None,
        "name": answer.name,
        "operator": prompt.operator,
        "template": prompt.template,
        "template_hash": prompt.template_hash,
        "prompt": prompt.text,
        "parents": list(prompt.parents),
        "donor": list(prompt.donor),
        "target": prompt.target,
        "part": prompt.part,
        "reply": reply.text,
        "token_count": reply.token_count,
        "prompt_tokens": reply.prompt_tokens,
        "finished": reply.is_finished,
        "temperature": sampling.temperature if sampling else None,
        "seed": sampling.seed if sampling else None,
        "proposer": run.engine.version if generation else None,
        "round": answer.round_number,
        "notes": [],
        "rejected": asdict(prepared) if isinstance(prepared, Rejected) else None,
        "broken": broken,
        "repairs": answer.repairs,
    }
    if isinstance(prepared, Prepared):
        payload["candidate"] = _stored(run, prepared.source)
        payload["notes"] = list(prepared.adapted)
        payload["canonical"] = program_key(prepared.source)
        payload["lines"] = _news(run, prompt, prepared.source, answer.repairs is not None)
    clock = clock_fields(
        {"seconds": answer.seconds, "model_seconds": reply.seconds, "retries": reply.retries}
    )
    return Event(generation, stage, index, "proposed", payload, clock)


def _prepared(run: Run, answer: Answer) -> tuple[Prepared | Rejected, str | None]:
    """Return the child under the program contract, or why not and the text that broke it."""
    if isinstance(answer.child, Rejected):
        return answer.child, None
    source, notes = answer.child
    prepared = run.screener.prepare(source)
    if isinstance(prepared, Rejected):
        return prepared, None if prepared.reason == Reason.TOO_LONG else normalise(source)
    return Prepared(prepared.source, notes + prepared.adapted), None


def _stored(run: Run, source: str) -> str:
    candidate = candidate_id(source)
    path = run.source_path(candidate)
    if not path.exists():
        write_atomically(path, source.encode())
    return candidate


def _news(run: Run, prompt: Prompt, source: str, is_repair: bool) -> Json | None:
    """Return which lines are new, against the parent as it was shown (a repair shows no parent)."""
    if not prompt.parents:
        return None
    first = run.shown_source(prompt.parents[0]) if is_repair else prompt.parent_source
    return line_news(run, source, first, prompt.parents)
