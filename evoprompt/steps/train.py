"""choose, train, archive: who deserves training, what it measured, and where it lands.

Each training is recorded the moment it arrives. A result that is known under (task and recipe,
graph, seed) is not paid for twice.
"""

from collections.abc import Iterator
from dataclasses import asdict

from evoprompt.candidate import Rejected, Trained, TrainJob
from evoprompt.chance import generator
from evoprompt.choose import Judge, Option, choose
from evoprompt.errors import ConfigError
from evoprompt.ledger import Event, Json, clock_fields
from evoprompt.state import Program
from evoprompt.steps.propose import REFERENCE
from evoprompt.steps.run import Run


def choose_children(run: Run, generation: int) -> None:
    """Choose from the generation's pool and record why."""

    def make() -> list[Event]:
        settings = run.settings.choose
        slots = settings.trained_per_generation
        if run.settings.budget.trained is not None:
            slots = min(slots, run.settings.budget.trained - run.state.trained_count)
        judge: Judge = "predictor"
        if run.settings.control == "no-predictor":
            judge = "random"
        elif run.state.judge == "prior":
            judge = "prior"
        choices = choose(
            _options(run),
            slots,
            settings.reserve_share,
            judge,
            settings.exploration,
            generator(run.settings.seed, generation, "choose"),
            settings.acquisition,
        )
        return [
            Event(generation, "choose", slot, "chosen", asdict(choice))
            for slot, choice in enumerate(choices)
        ]

    run.batch(generation, "choose", 0, 1 << 30, make)


def choose_seeds(run: Run) -> None:
    """Give every seed a training slot.

    Raises:
        ConfigError: The reference, with which winners are compared, was rejected by the screen.
    """
    reference = next(p for p in run.state.programs.values() if p.name == REFERENCE)
    if reference.screened is None:
        verdict = run.ledger.find(0, "screen", reference.index)
        why = f"{verdict.payload.get('reason')}: {verdict.payload.get('detail')}" if verdict else ""
        raise ConfigError(
            f"the reference network does not pass the screen for this task ({why}). Expected it to "
            "be trainable within the limits. Raise --screen.max-macs, --screen.max-parameters or "
            "the time limit, under a new run name."
        )

    def make() -> list[Event]:
        seeds = [p for p in run.state.programs.values() if p.screened and p.known_graph is None]
        payloads: list[Json] = [{"candidate": p.id, "why": "seed", "worth": 0.0} for p in seeds]
        return [Event(0, "choose", slot, "chosen", each) for slot, each in enumerate(payloads)]

    run.batch(0, "choose", 0, 1 << 30, make)


def train(run: Run, generation: int) -> None:
    """Train the chosen programs, recording each result on arrival."""
    chosen = run.ledger.events(generation, "choose")
    missing = [e for e in chosen if run.ledger.find(generation, "train", e.index) is None]
    jobs: list[tuple[int, TrainJob]] = []
    for event in missing:
        program = run.state.programs[event.payload["candidate"]]
        known = _known_result(run, program)
        if known is not None:
            run.ledger.record([_known_event(generation, event.index, program, known)])
        else:
            jobs.append((event.index, job_of(run, program, run.training_seed)))
    jobs.sort(key=lambda job: -_macs(run, job[1].candidate))  # the long ones first: no idle worker
    if jobs:
        run.record_each(_train_jobs(run, generation, jobs, total=len(chosen)))
    for event in run.ledger.events(generation, "train"):
        run.take(event)


def archive(run: Run, generation: int) -> None:
    """Offer each result to its cell, in the order of the slots."""
    for event in run.ledger.events(generation, "train"):
        program = run.state.programs[event.payload["candidate"]]
        if event.kind == "failed" or program.screened is None or program.accuracy is None:
            continue
        figures, accuracy = program.screened, program.accuracy
        placement = run.archive.add(
            program.id, accuracy, figures.parameters, figures.macs, figures.depth
        )
        payload: Json = {
            "candidate": program.id,
            "cell": list(placement.cell),
            "clipped": placement.clipped,
            "status": placement.status,
            "accuracy": accuracy,
            "replaced": placement.replaced,
        }
        run.once(generation, "archive", event.index, lambda p=payload: ("archived", p, {}))


def job_of(run: Run, program: Program, seed: int, split: str = "validation") -> TrainJob:
    """Return the training job of a screened program."""
    assert program.screened is not None
    name = program.id if split == "validation" else f"{program.id}-{split}-{seed}"
    return TrainJob(
        candidate=program.id,
        source=run.source(program.id),
        graph=program.screened.graph,
        graph_path=str(run.folder / program.screened.graph_path),
        weights_path=str(run.folder / "weights" / f"{name}.safetensors"),
        seed=seed,
        split=split,
    )


def _train_jobs(
    run: Run, generation: int, jobs: list[tuple[int, TrainJob]], total: int
) -> Iterator[Event]:
    done = total - len(jobs)
    run.watch.phase("train", done, total)
    for number, result in run.trainer.train_all([job for _, job in jobs]):
        slot, job = jobs[number]
        done += 1
        run.watch.phase("train", done, total)
        yield trained_event(run, generation, "train", slot, job, result)


def trained_event(
    run: Run, generation: int, stage: str, slot: int, job: TrainJob, result: Trained | Rejected
) -> Event:
    """Return the event of one finished training."""
    if isinstance(result, Rejected):
        payload: Json = {"candidate": job.candidate, **asdict(result)}
        return Event(generation, stage, slot, "failed", payload)
    payload = asdict(result)
    clock = clock_fields({"seconds": payload.pop("seconds"), "device": payload.pop("device")})
    payload["curve"] = [list(point) for point in result.curve]
    payload["recipe"] = run.trainer.recipe_key()
    payload["weights_path"] = job.weights_path.removeprefix(f"{run.folder}/")
    return Event(generation, stage, slot, "trained", payload, clock)


def _macs(run: Run, candidate: str) -> int:
    figures = run.state.programs[candidate].screened
    return figures.macs if figures else 0


def _known_result(run: Run, program: Program) -> Program | None:
    assert program.screened is not None
    key = (program.screened.graph, run.trainer.recipe_key(), run.training_seed)
    known = run.state.results.get(key)
    return run.state.programs[known] if known else None


def _known_event(generation: int, slot: int, program: Program, known: Program) -> Event:
    payload: Json = {
        "candidate": program.id,
        "accuracy": known.accuracy,
        "weights_path": known.weights_path,
        "from": known.id,
    }
    return Event(generation, "train", slot, "known", payload)


def _options(run: Run) -> list[Option]:
    elites = run.archive.elites()
    worst = min((e.accuracy for e in elites), default=0.0)
    options: list[Option] = []
    for candidate in run.state.pool:
        program = run.state.programs[candidate]
        figures, score = program.screened, program.score
        assert figures is not None
        assert score is not None
        cell, _ = run.archive.locate(figures.parameters, figures.macs, figures.depth)
        incumbent = run.archive.incumbent(cell)
        smaller = [e.accuracy for e in elites if e.parameters <= figures.parameters]
        options.append(
            Option(
                candidate=candidate,
                mean=score.mean,
                spread=score.spread,
                prior=score.prior,
                cell=cell,
                cell_best=worst if incumbent is None else incumbent,
                front_best=max(smaller, default=0.0),
            )
        )
    return options
