"""`evoprompt learn proposer runs/A runs/B --out FOLDER`: one tuned proposer from several runs.

In: run folders whose children were written by the same base model. Out: an adapter folder that
`evoprompt search --proposer.adapter FOLDER` begins with, and tuning.json with what it learned from.
Not promised: that the adapter writes better programs; here it is judged by held-out pairs alone.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from evoprompt.commands.files import split_words
from evoprompt.config import LearnSettings
from evoprompt.errors import ConfigError
from evoprompt.storage import write_atomically

if TYPE_CHECKING:
    from evoprompt.learn.lessons import Lessons
    from evoprompt.learn.proposer import TuneReport
    from evoprompt.propose.local_base import LocalBase
    from evoprompt.steps.ledgers import PastRun

SUBJECTS = ("proposer",)


@dataclass(frozen=True)
class LearnCommand:
    """Tune a proposer on the siblings of one or several runs."""

    out: Path | None = None
    """Folder for the adapter; it must not exist yet."""
    start: Path | None = None
    """Folder of an adapter to go on from; the base model if not given."""
    seed: int = 0
    """Decides batches, what is held out, and what is replayed."""
    threads: int = 1
    """CPU threads."""
    learn: LearnSettings = field(default_factory=lambda: LearnSettings(steps=120))
    """How; the settings of the probe and of the gate are not used here."""


def run_learn(given: list[str]) -> None:
    """Tune, write, and say what came of it."""
    import tyro

    words, flags = split_words(given)
    command = tyro.cli(
        LearnCommand, args=flags, prog="evoprompt learn proposer RUN...", description=__doc__
    )
    runs = _runs_of(words)
    if command.out is None:
        raise ConfigError(
            "no --out given. Expected a folder for the adapter: evoprompt learn proposer "
            f"{' '.join(map(str, runs))} --out runs/tuned"
        )
    report, lessons = learn_proposer(runs, command.out, command)
    _tell(command.out, report, lessons)


def learn_proposer(
    runs: list[Path], out: Path, command: LearnCommand
) -> "tuple[TuneReport, Lessons]":
    """Tune on all runs together and write the adapter.

    Raises:
        ConfigError: The folder exists, or the runs are of different base models.
        LedgerError: A run is missing or holds no siblings.
        ModelError: The base model or the adapter to go on from cannot be used.
        StorageError: The adapter cannot be written.
    """
    from evoprompt.learn.lessons import Lessons
    from evoprompt.learn.pairs import preferences
    from evoprompt.learn.proposer import tune
    from evoprompt.propose.model_files import check_adapter
    from evoprompt.steps.ledgers import read_run
    from evoprompt.steps.lessons import replay_for

    if out.exists():
        raise ConfigError(f"{out} exists already. Expected a new folder. Choose another --out.")
    read = [read_run(run) for run in runs]
    base = _base_of(read)
    if command.start is not None:
        check_adapter(command.start, base.fingerprint)
    siblings = [sibling for past in read for sibling in past.siblings]
    found = preferences(siblings)
    if not found:
        raise ConfigError(
            f"{', '.join(map(str, runs))}: no two siblings of which one was better. Expected "
            "prompts with several replies. Name more runs, or longer ones."
        )
    lessons = Lessons(found, replay_for(base, siblings, command.seed))
    with _Bar() as bar:
        report = tune(
            base, lessons, command.learn, command.seed, out, command.threads,
            start=command.start, progress=bar.step,
        )  # fmt: skip
    if not report.weights:
        raise ConfigError(
            f"{out}: nothing was learned from {len(found)} pairs in {command.learn.steps} steps. "
            "Expected pairs of different replies and at least one step. See --learn.steps."
        )
    _write_facts(runs, out, command, report, lessons)
    return report, lessons


def _write_facts(
    runs: list[Path],
    out: Path,
    command: LearnCommand,
    report: "TuneReport",
    lessons: "Lessons",
) -> None:
    """Write what the adapter learned from beside it."""
    from evoprompt.learn.pairs import count_by_evidence

    facts = {
        "runs": [str(run) for run in runs],
        "start": str(command.start) if command.start else None,
        "seed": command.seed,
        "learn": asdict(command.learn),
        "pairs": count_by_evidence(lessons.preferences),
        "report": asdict(report),
    }
    write_atomically(out / "tuning.json", (json.dumps(facts, indent=2) + "\n").encode())


def _runs_of(words: list[Path]) -> list[Path]:
    if not words or str(words[0]) not in SUBJECTS:
        named = f"{str(words[0])!r}" if words else "nothing"
        raise ConfigError(
            f"{named} cannot learn. Expected: evoprompt learn proposer RUN... --out FOLDER"
        )
    if len(words) == 1:
        raise ConfigError(
            "no run given. Expected run folders: evoprompt learn proposer runs/A --out FOLDER"
        )
    if len(set(words)) < len(words):
        raise ConfigError("a run is named twice. Expected each once. Leave one away.")
    return words[1:]


def _base_of(read: "list[PastRun]") -> "LocalBase":
    """The one base model of all runs."""
    from evoprompt.propose.local_base import open_base

    models = {past.settings.proposer.model: past.folder for past in read}
    known = {past.base: past.folder for past in read if past.base}
    if len(models) > 1 or len(known) > 1:
        named = [
            f"{run} by {what[:40]}" for what, run in (models if len(models) > 1 else known).items()
        ]
        raise ConfigError(
            f"the runs are of different base models: {'; '.join(named)}. Expected one model, "
            "because an adapter fits no other. Name the runs of one of them."
        )
    base = open_base(next(iter(models)))
    if known and base.fingerprint not in known:
        written, run = next(iter(known.items()))
        raise ConfigError(
            f"{run} was written by another version of the model {next(iter(models))} (fingerprint "
            f"{written[:12]}, now {base.fingerprint[:12]}). Expected the same weights. Name runs "
            "that the present model has written."
        )
    return base


class _Bar:
    """A progress bar in the terminal."""

    def __init__(self) -> None:
        from rich.progress import Progress

        self._progress = Progress()
        self._task = self._progress.add_task("tuning", total=None)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, done: int, total: int) -> None:
        """Show how far it has come."""
        self._progress.update(self._task, completed=done, total=total)


def _tell(out: Path, report: "TuneReport", lessons: "Lessons") -> None:
    from evoprompt.learn.pairs import count_by_evidence

    counts = ", ".join(f"{n} {k}" for k, n in count_by_evidence(lessons.preferences).items() if n)
    accuracy = report.preference_accuracy
    print(f"{report.pairs} pairs trained on, {report.held_out} held out ({counts})")
    print(f"{report.steps} steps kept; stopped by: {report.stopped}; {report.seconds:.0f} seconds")
    print(f"loss {report.first_loss:.3f} to {report.last_loss:.3f}")
    if accuracy is not None:
        print(f"held-out pairs ranked right: {accuracy:.0%} (chance 50 %)")
    print(f"{out}; begin a search with it: --proposer.adapter {out}")
