"""Does tuning help? The proposer tuned by one run against the frozen one, children really trained.

    python benchmarks/tuning.py [--runs runs/A runs/B ...] [--seeds 5] [--parents 64] [--tokens 40]

Each seed has a tuning ledger: a run of `evoprompt search mnist1d` (made here if none are named),
and parents that this ledger does not hold: children of the other seeds' runs, then programs of the
grammar. Frozen and tuned proposers answer the same prompts with equal tokens; every new graph is
trained once, with the search's recipe. Primary figure, fixed beforehand: gain in front hypervolume
(`evoprompt.learn.gain`) over the parent per proposal. A child that is invalid, equals its parent or
an earlier child of this parent, fails to train, or stands in the tuning ledger counts zero.
The last line is one JSON object with `gain` as [low, middle, high] above the frozen proposer.
The command can be stopped and started again.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tuning_children import Arm, find_parents, prompts_for, write_children
from tuning_figures import Proposal, difference, sums, table
from tuning_store import Store

from evoprompt.candidate import Rejected, Screened, TrainJob
from evoprompt.chance import derive
from evoprompt.config import LearnSettings
from evoprompt.errors import ConfigError, EvoPromptError
from evoprompt.learn.gain import Point, gain
from evoprompt.learn.lessons import Lessons
from evoprompt.learn.pairs import preferences
from evoprompt.learn.proposer import tune
from evoprompt.propose.engine import Engine, open_engine
from evoprompt.propose.templates import load_templates, template_folder
from evoprompt.screen import Screener
from evoprompt.settings_file import to_dict
from evoprompt.steps.ledgers import PastRun, read_run
from evoprompt.steps.lessons import replay_for
from evoprompt.train import Trainer, open_task

FROZEN = "frozen"
METHODS = ("dpo", "sft", "soft_prompt")
TRAINING_SEED = derive(0, "tuning benchmark") % 2**31


def main(arguments: list[str] | None = None) -> None:
    given = _options(arguments)
    try:
        print(json.dumps(measure(given)))
    except EvoPromptError as error:
        print(f"tuning: {error}", file=sys.stderr)
        sys.exit(2)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="tuning ledgers")
    parser.add_argument("--out", type=Path, default=Path("runs/tuning"))
    parser.add_argument("--preset", default="mnist1d", help="of the runs that are made here")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parents", type=int, default=64, help="for each seed")
    parser.add_argument("--tokens", type=int, default=40, help="to write for each parent")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--steps", type=int, default=LearnSettings.steps, help="of each tuning")
    parser.add_argument("--resamples", type=int, default=4000, help="of the bootstrap")
    return parser.parse_args(arguments)


def measure(given: argparse.Namespace) -> dict:
    """Do what is not done yet and return the figures."""
    past = _runs(given)
    facts = {
        "runs": [str(run.folder) for run in past],
        "task": past[0].shape.name,
        "train": to_dict(past[0].settings)["train"],
        "base": past[0].base,
        "learn": asdict(LearnSettings()),
        "parents": given.parents,
        "tokens": given.tokens,
        "steps": given.steps,
    }
    store = Store(given.out.resolve(), facts)
    own = [past[seed % len(past)] for seed in range(given.seeds)]
    _write_everything(given, past, own, store)
    methods = [FROZEN, *given.methods]
    proposals = [p for s, run in enumerate(own) for m in methods for p in judged(store, run, s, m)]
    for row in table(proposals, methods):
        print(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}))
    frozen = sums(proposals, FROZEN, given.seeds, given.parents)
    found = {
        method: difference(
            sums(proposals, method, given.seeds, given.parents), frozen, given.resamples
        )
        for method in given.methods
    }
    return {
        "gain": {method: [round(value, 6) for value in ends] for method, ends in found.items()},
        "frozen_gain": round(float(frozen.gain_SP.sum() / frozen.count_SP.sum()), 6),
        "seeds": given.seeds,
        "parents": given.parents,
        "proposals": len(proposals),
        "trained_graphs": len(store.trainings),
    }


def _write_everything(
    given: argparse.Namespace, past: list[PastRun], own: list[PastRun], store: Store
) -> None:
    """Parents, children and trainings of all seeds and methods."""
    settings = past[0].settings
    task = open_task(settings.task, store.folder / "data")
    screener = Screener(settings.screen, task.shape, store.folder)
    trainer = Trainer(replace(settings.train), task, settings.screen.unsafe)
    engine = open_engine(replace(settings.proposer, adapter=None))
    chosen = settings.proposer
    templates = load_templates(template_folder(chosen.prompts, chosen.model))

    def train(jobs: Sequence[tuple[str, Screened]]) -> None:
        train_graphs(store, trainer, jobs)

    try:
        screener.start()
        for seed, run in enumerate(own):
            _say(f"seed {seed}: parents")
            find_parents(seed, past, run, given.parents, (store, screener, train))
        for seed, run in enumerate(own):
            asked = prompts_for(seed, store, run, templates)
            for method in (FROZEN, *given.methods):
                if (seed, method) in store.children:
                    continue
                adapter = _adapter(store, engine, run, method, seed, given.steps)
                engine.use(f"{method}-{seed}", adapter)
                write_children(
                    Arm(seed, method, run),
                    asked,
                    given.tokens * given.parents,
                    (store, screener, engine),
                    lambda done, total, m=method, s=seed: _say(
                        f"seed {s} {m}: {done}/{total} tokens"
                    ),
                )
        train(_untrained(store, own))
    finally:
        engine.close()
        screener.close()
        trainer.close()


def _runs(given: argparse.Namespace) -> list[PastRun]:
    """The tuning ledgers, made here where none are named; all of one task and recipe."""
    folders = given.runs or [Path("runs") / f"tuning-ledger-{seed}" for seed in range(given.seeds)]
    if not given.runs:
        for seed, folder in enumerate(folders):
            _search(folder, given.preset, seed)
    past = [read_run(folder) for folder in folders]
    for run in past[1:]:
        for part in ("task", "train"):
            if getattr(run.settings, part) != getattr(past[0].settings, part):
                raise ConfigError(
                    f"{run.folder} and {past[0].folder} differ in their {part} settings. Expected "
                    "one task and one recipe, or accuracies mean different things. Name others."
                )
        if run.base != past[0].base:
            raise ConfigError(
                f"{run.folder} and {past[0].folder} were written by different models. Expected "
                "one base model. Name runs of one of them."
            )
    return past


def _search(folder: Path, preset: str, seed: int) -> None:
    """Run the search of a tuning ledger, or what is missing of it, its proposer left as it is."""
    words = ["search", preset, "--runs", str(folder.parent), "--run", folder.name]
    words += ["--seed", str(seed), "--control", "frozen-proposer"]
    if folder.exists():
        words = ["resume", str(folder)]
    subprocess.run([sys.executable, "-m", "evoprompt", *words], check=True)


def _adapter(
    store: Store, engine: Engine, run: PastRun, method: str, seed: int, steps: int
) -> Path | None:
    """The adapter tuned by a seed's ledger; None for the frozen proposer."""
    if method == FROZEN:
        return None
    folder = store.folder / "adapters" / f"{method}-{seed}"
    if folder.exists() or engine.base is None:
        return folder
    lessons = Lessons(preferences(run.siblings), replay_for(engine.base, run.siblings, seed))
    settings = replace(LearnSettings(), method=method, steps=steps)
    threads = run.settings.proposer.threads
    report = tune(engine.base, lessons, settings, seed, folder, threads)
    if not report.weights:
        raise ConfigError(
            f"{run.folder}: no pairs to tune on. Expected siblings of which one was better. "
            "Name longer runs."
        )
    _say(
        f"seed {seed} {method}: {report.pairs} pairs, {report.steps} steps ({report.stopped}), "
        f"held-out pairs ranked right {report.preference_accuracy}"
    )
    return folder


def train_graphs(store: Store, trainer: Trainer, jobs: Sequence[tuple[str, Screened]]) -> None:
    """Train every graph that is not trained yet, once, and record each result as it arrives."""
    wanted = {a.graph: (s, a) for s, a in reversed(jobs) if a.graph not in store.trainings}
    ordered = sorted(wanted.values(), key=lambda job: -job[1].macs)
    started = time.monotonic()
    for done, (place, result) in enumerate(
        trainer.train_all([_job(store, source, answer) for source, answer in ordered]), 1
    ):
        accuracy = None if isinstance(result, Rejected) else result.accuracy
        seconds = None if isinstance(result, Rejected) else round(result.seconds, 3)
        store.add_training(
            {"graph": ordered[place][1].graph, "accuracy": accuracy, "seconds": seconds}
        )
        if done % 20 == 0 or done == len(ordered):
            left = (len(ordered) - done) * (time.monotonic() - started) / done / 60
            _say(f"trained {done} of {len(ordered)} graphs, about {left:.0f} minutes left")


def _job(store: Store, source: str, answer: Screened) -> TrainJob:
    return TrainJob(
        candidate=answer.candidate,
        source=source,
        graph=answer.graph,
        graph_path=str(store.folder / answer.graph_path),
        weights_path=str(store.folder / "weights" / f"{answer.candidate}.safetensors"),
        seed=TRAINING_SEED,
        split="validation",
    )


def _untrained(store: Store, own: list[PastRun]) -> list[tuple[str, Screened]]:
    """The children whose training decides something: not those that count zero anyway."""
    found: list[tuple[str, Screened]] = []
    for (seed, _), written in store.children.items():
        graphs = own[seed].graphs if seed < len(own) else set()
        for row in written["rows"]:
            graph = row.get("graph", "")
            if graph and graph not in graphs and graph not in store.trainings:
                figures = (graph, row["graph_path"], row["parameters"], row["macs"])
                answer = Screened(row["candidate"], *figures, 0, 0, "")
                found.append((store.source(row["candidate"]), answer))
    return found


def judged(store: Store, run: PastRun, seed: int, method: str) -> list[Proposal]:
    """Every proposal of one seed and method with its gain."""
    parents, chance = store.parents[seed]["parents"], 1.0 / run.shape.num_classes
    graphs = run.graphs
    seen: set[tuple[int, str]] = set()
    found: list[Proposal] = []
    for row in store.children[seed, method]["rows"]:
        place, graph = row["parent"], row.get("graph", "")
        parent = parents[place]
        known = graph in graphs or graph == parent["graph"] or (place, graph) in seen
        is_new = bool(graph) and not known
        accuracy = store.trainings[graph]["accuracy"] if is_new else None
        worth = 0.0
        if accuracy is not None:
            before = Point(parent["accuracy"], parent["parameters"])
            worth = gain(before, Point(accuracy, row["parameters"]), chance)
        seen.add((place, graph))
        obeys = _obeys(row, parent)
        found.append(
            Proposal(method, seed, place, worth, row["tokens"], bool(graph), is_new, obeys)
        )
    return found


def _obeys(row: dict, parent: dict) -> bool | None:
    if not row.get("graph") or row["operator"] not in ("shrink", "grow"):
        return None
    smaller = row["parameters"] < parent["parameters"]
    larger = row["parameters"] > parent["parameters"]
    return smaller if row["operator"] == "shrink" else larger


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
