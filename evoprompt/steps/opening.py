"""Opening a run: rooms are checked before anything is spent, then the folder is made.

A new run whose rooms cannot be opened leaves no folder behind. A run is resumed with the settings
that its ledger holds, never with today's defaults.
"""

import os
import platform
import shutil
import socket
import sys
import time
from pathlib import Path

from evoprompt import __version__
from evoprompt.archive import Archive
from evoprompt.candidate import candidate_id
from evoprompt.config import ProposerSettings, SearchSettings
from evoprompt.errors import LedgerError, ModelError
from evoprompt.grammar.seeds import seeds
from evoprompt.ledger import FORMAT, Event, Json, Ledger
from evoprompt.propose.engine import Engine, open_engine
from evoprompt.propose.grammar_engine import GrammarEngine
from evoprompt.propose.prompt_room import check_room
from evoprompt.propose.prompting import proposing
from evoprompt.propose.templates import Template, load_templates, template_folder
from evoprompt.screen import Screener
from evoprompt.settings_file import from_dict, to_dict
from evoprompt.steps.learn import load_predictor
from evoprompt.steps.propose import REFERENCE
from evoprompt.steps.run import START_VERSION, Run, Watch
from evoprompt.storage import storage_error, write_atomically
from evoprompt.train import Trainer, open_task


def create(folder: Path, settings: SearchSettings, watch: Watch) -> Run:
    """Make a run folder and open its rooms.

    Raises:
        LedgerError: The folder exists already.
        EvoPromptError: A room cannot be opened; the folder is removed again.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise LedgerError(
            f"the run {folder} exists already. Expected a new name. Go on with it by "
            f"`evoprompt resume {folder}`, or choose another --run."
        ) from None
    except OSError as error:
        raise storage_error(folder, error) from error
    folder = folder.resolve()
    ledger = None
    try:
        ledger = Ledger.create(folder / "ledger.sqlite")
        run = _open_rooms(folder, settings, ledger, watch)
        _begin_with_adapter(run)
        write_atomically(folder / "config.json", _json(to_dict(settings)))
        run.once(0, "start", 0, lambda: ("started", _started(run), _host()))
        return run
    except BaseException:
        if ledger is not None:
            ledger.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise


def resume(folder: Path, watch: Watch) -> Run:
    """Open an existing run where its ledger ends.

    Raises:
        LedgerError: Missing, half written, damaged, of another version, or in use.
        EvoPromptError: A room cannot be opened; the folder is left as it is.
    """
    if not folder.is_dir():
        raise LedgerError(
            f"no run folder at {folder}. Expected one made by `evoprompt search --run NAME`. "
            f"Check the name; `ls {folder.parent}` shows what is there."
        )
    folder = folder.resolve()
    ledger = Ledger(folder / "ledger.sqlite", writable=True)
    try:
        started = ledger.find(0, "start", 0)
        if started is None:
            raise LedgerError(
                f"the run {folder} is half written: its ledger does not say how it started, so "
                "nothing can be resumed. Remove the folder and start the search again."
            )
        where = f"{folder}/ledger.sqlite"
        settings = from_dict(started.payload["settings"], SearchSettings(), where)
        run = _open_rooms(folder, settings, ledger, watch)
        run.take(started)
        _warn_of_changes(run, started)
        return run
    except BaseException:
        ledger.close()
        raise


def _open_rooms(folder: Path, settings: SearchSettings, ledger: Ledger, watch: Watch) -> Run:
    templates = _templates(settings.proposer)
    proposing(templates, settings.proposer.cross_share)
    if settings.proposer.repairs_per_round and not any(
        template.operator == "repair" for template in templates.values()
    ):
        watch.note("no template of the operator repair: rejected children do not go back")
    watch.note("preparing the data")
    task = open_task(settings.task, folder / "data")
    for note in task.notes:
        watch.note(note)
    watch.note("loading the proposer and the predictor")
    engine: Engine
    if settings.control == "grammar":
        engine = GrammarEngine(task.shape)
    else:
        engine = open_engine(settings.proposer)
        note = check_room(engine, templates, task.shape, settings.proposer)
        for text in (*engine.notes, *([note] if note else [])):
            watch.note(text)
    surrogate = load_predictor(settings.surrogate.model)
    for name in ("sources", "graphs", "weights"):
        (folder / name).mkdir(exist_ok=True)
    screener = _start_screener(Screener(settings.screen, task.shape, folder), watch)
    return Run(
        folder=folder,
        settings=settings,
        ledger=ledger,
        shape=task.shape,
        task_counts={
            "train_count": task.train_count,
            "validation_count": task.validation_count,
            "test_count": task.test_count,
        },
        templates=templates,
        engine=engine,
        screener=screener,
        trainer=Trainer(settings.train, task, settings.screen.unsafe),
        archive=Archive(settings.archive),
        surrogate=surrogate,
        watch=watch,
    )


def _templates(proposer: ProposerSettings) -> dict[str, Template]:
    """Return those of the folder that the settings name, or those that suit the model."""
    served = proposer.server.weights or proposer.model
    model = {"replay": "builtin", "openai": served}.get(proposer.engine, proposer.model)
    return load_templates(template_folder(proposer.prompts, model))


def _begin_with_adapter(run: Run) -> None:
    """See that the engine takes the adapter that the settings name, and copy it into the run."""
    given, kept = run.settings.proposer.adapter, run.start_adapter
    if given is None or kept is None:
        return
    if run.engine.base is None:
        raise ModelError(
            f"{given}: the {run.engine.version} engine takes no adapter. Expected a model that can "
            "be tuned. Leave --proposer.adapter away."
        )
    run.engine.use(START_VERSION, given)
    try:
        shutil.copytree(given, kept)
    except OSError as error:
        raise storage_error(kept, error) from error


def _start_screener(screener: Screener, watch: Watch) -> Screener:
    """Refuse a machine that gives no jail before anything is spent; say what else it lacks."""
    watch.note("starting the jail")
    try:
        for lack in screener.start():
            watch.note(f"the jail does without: {lack}")
    except BaseException:
        screener.close()
        raise
    return screener


def _started(run: Run) -> Json:
    planted = seeds(run.shape.in_shape, run.shape.num_classes)
    return {
        "format": FORMAT,
        "evoprompt": __version__,
        "settings": to_dict(run.settings),
        "task": {
            "name": run.shape.name,
            "in_shape": list(run.shape.in_shape),
            "num_classes": run.shape.num_classes,
            **run.task_counts,
        },
        "templates": {name: template.hash for name, template in sorted(run.templates.items())},
        "reference": candidate_id(planted[REFERENCE]),
        "base": run.engine.base.fingerprint if run.engine.base else None,
        "proposer": START_VERSION if run.start_adapter else "base",
    }


def _host() -> Json:
    import torch

    return {
        "time": time.time(),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "platform": sys.platform,
    }


def _warn_of_changes(run: Run, started: Event) -> None:
    now = {name: template.hash for name, template in run.templates.items()}
    for name, old in started.payload["templates"].items():
        if now.get(name) != old:
            run.watch.note(f"the template {name} has changed since this run started")


def _json(value: Json) -> bytes:
    import json

    return (json.dumps(value, indent=2) + "\n").encode()
