"""The end of a search: winners against the reference on the test samples, then report and best/.

The test examples are looked at here and nowhere else. What is written to report.html and best/ is
derived from ledger and run folder, so it can be written again at any time.
"""

import shutil

from evoprompt.archive import Elite, front
from evoprompt.ledger import Event, Json
from evoprompt.state import Program
from evoprompt.steps.propose import REFERENCE
from evoprompt.steps.run import Made, Run
from evoprompt.steps.train import job_of, trained_event
from evoprompt.train.best import write_best
from evoprompt.train.compare import compare as compare_tests

COMPARED = 1000  # first index of the comparisons, behind the single trainings


def compare(run: Run, generation: int) -> None:
    """Train the winners and the reference again with new seeds and compare them on the test set."""
    reference = reference_program(run)
    programs = [*winners(run), reference]
    roles = [f"winner {i + 1}" for i in range(len(programs) - 1)] + ["reference"]
    seeds = [run.seed("final", i) % 2**31 for i in range(run.settings.final.seeds)]
    slots = [(p, role, seed) for p, role in zip(programs, roles, strict=True) for seed in seeds]
    missing = [i for i in range(len(slots)) if run.ledger.find(generation, "final", i) is None]
    jobs = [(i, job_of(run, slots[i][0], slots[i][2], split="test")) for i in missing]
    if jobs:
        done = len(slots) - len(jobs)
        for number, result in run.trainer.train_all([job for _, job in jobs]):
            index, job = jobs[number]
            event = trained_event(run, generation, "final", index, job, result)
            run.ledger.record([_tested(event, slots[index][1])])
            done += 1
            run.watch.phase("final test", done, len(slots))
    for event in run.ledger.events(generation, "final", count=COMPARED):
        run.take(event)
    for index, program in enumerate(programs[:-1]):
        run.once(
            generation,
            "final",
            COMPARED + index,
            lambda program=program: _compared(run, generation, program, reference),
        )


def end(run: Run, generation: int, reason: str) -> Event:
    """Record why the search ended, and whether a clock had a say in it."""
    events = run.ledger.events()
    timed_out = any(e.payload.get("reason") == "time_limit" for e in events)
    payload: Json = {"reason": reason, "clock_dependent": reason == "hours" or timed_out}
    return run.once(generation, "end", 0, lambda: ("ended", payload, {}))


def reference_program(run: Run) -> Program:
    """Return the seed that winners are compared with."""
    return next(p for p in run.state.programs.values() if p.name == REFERENCE)


def winners(run: Run) -> list[Program]:
    """Return the children that are tested: the best one, and the best no larger than the reference.

    Where that is one program, the next ones of the accuracy-parameters front follow. A run whose
    children all failed tests nothing but the reference.
    """
    reference = reference_program(run)
    children = [_elite(p) for p in run.state.trained() if not p.is_seed]
    limit = reference.screened.parameters if reference.screened else 0
    line = sorted(front(children), key=lambda e: -e.accuracy)
    small = sorted(front([e for e in children if e.parameters <= limit]), key=lambda e: -e.accuracy)
    picked: list[str] = []
    for elite in [*line[:1], *small[:1], *line[1:], *small[1:]]:
        if elite.candidate not in picked:
            picked.append(elite.candidate)
    return [run.state.programs[c] for c in picked[: run.settings.final.winners]]


def front_programs(run: Run) -> list[Program]:
    """Return the accuracy-parameters front of everything trained, seeds included."""
    elites = front([_elite(p) for p in run.state.trained()])
    return [run.state.programs[e.candidate] for e in elites]


def write_results(run: Run) -> None:
    """Write report.html and best/, and print the front."""
    from evoprompt.view.report import write_report

    folder = run.folder / "best"
    shutil.rmtree(folder, ignore_errors=True)
    programs = front_programs(run)
    for rank, program in enumerate(reversed(programs), start=1):
        assert program.screened is not None
        assert program.weights_path is not None
        run.watch.phase("write best/", rank, len(programs))
        name = f"{rank:02d}-{program.name or program.id[:12]}"
        agreement = write_best(
            run.trainer,
            folder,
            name,
            run.source(program.id),
            (run.folder / program.screened.graph_path).read_bytes(),
            run.folder / program.weights_path,
        )
        if not agreement.is_agreed:
            difference = "unknown" if agreement.difference is None else f"{agreement.difference:g}"
            run.watch.note(
                f"best/{name}: torch and onnxruntime differ by {difference}; {agreement.detail}"
            )
    report = write_report(run.folder, run.ledger.events())
    run.watch.note(f"report: {report}")
    run.watch.note(f"best programs with weights: {folder}")
    run.watch.note(f"content hash: {run.ledger.content_hash()}")


def _elite(program: Program) -> Elite:
    assert program.screened is not None
    assert program.accuracy is not None
    figures = program.screened
    return Elite(program.id, program.accuracy, figures.parameters, figures.macs, (0, 0))


def _tested(event: Event, role: str) -> Event:
    kind = "tested" if event.kind == "trained" else event.kind
    payload = {**event.payload, "role": role}
    return Event(event.generation, event.stage, event.index, kind, payload, event.clock)


def _compared(run: Run, generation: int, program: Program, reference: Program) -> Made:
    """Compare the test answers of a winner and of the reference."""
    assert program.screened is not None
    assert reference.screened is not None
    tests = [e for e in run.ledger.events(generation, "final") if e.kind == "tested"]
    ours = [e.payload for e in tests if e.payload["candidate"] == program.id]
    theirs = [e.payload for e in tests if e.payload["candidate"] == reference.id]
    payload: Json = {
        "candidate": program.id,
        "reference": reference.id,
        "parameters": program.screened.parameters,
        "reference_parameters": reference.screened.parameters,
        "seeds": len(ours),
    }
    if ours and theirs:
        result = compare_tests(
            [(p["seed"], p["correct"]) for p in ours],
            [(p["seed"], p["correct"]) for p in theirs],
            run.task_counts["test_count"],
            seed=run.seed("compare") % 2**31,
        )
        payload["accuracy"] = result.first_accuracy
        payload["accuracy_reference"] = result.second_accuracy
        payload |= {"difference": result.difference, "low": result.low, "high": result.high}
        payload["standard"] = _mean([p["extra"].get("standard") for p in ours])
        payload["standard_reference"] = _mean([p["extra"].get("standard") for p in theirs])
    return "compared", payload, {}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
