"""Small searches for the tests of this folder: in this process, or in one that can be killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from evoprompt.config import Budget, smoke
from evoprompt.ledger import Event, Ledger
from evoprompt.search import search
from evoprompt.steps.finish import write_results
from evoprompt.steps.opening import create, resume


class Silent:
    """An onlooker that keeps the notes."""

    def __init__(self):
        self.notes = []

    def phase(self, name, done, total): ...

    def event(self, event): ...

    def note(self, text):
        self.notes.append(text)


def tiny(**changes):
    """The smoke preset with one generation."""
    return replace(smoke(), budget=Budget(generations=1), **changes)


def run_search(folder: Path, settings, results: bool = False) -> list[Event]:
    """Search in this process; return the events."""
    run = create(folder, settings, Silent())
    try:
        search(run)
        if results:
            write_results(run)
    finally:
        run.close()
    return events_of(folder)


def run_resume(folder: Path) -> list[Event]:
    """Resume in this process; return the events."""
    run = resume(folder, Silent())
    try:
        search(run)
    finally:
        run.close()
    return events_of(folder)


def events_of(folder: Path) -> list[Event]:
    with Ledger(folder / "ledger.sqlite") as ledger:
        return ledger.events()


class Killable:
    """A search in a process group of its own."""

    def __init__(self, folder: Path, *flags: str):
        if (folder / "ledger.sqlite").exists():
            words = ["resume", str(folder)]
        else:
            words = ["search", "smoke", "--runs", str(folder.parent), "--run", folder.name, *flags]
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evoprompt", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )

    def wait_for_new_event_of(self, stage: str, seconds: float) -> bool:
        """Return True once another event of the stage is recorded; False if the search ended."""
        before = self.count(stage)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.count(stage) > before:
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        raise TimeoutError(f"no new event of stage {stage} within {seconds} s")

    def count(self, stage: str) -> int:
        """How many events of a stage are recorded; 0 while there is no ledger yet."""
        path = self.folder / "ledger.sqlite"
        if not path.exists():
            return 0
        try:
            database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
            query = "SELECT count(*) FROM events WHERE stage = ?"
            return database.execute(query, (stage,)).fetchone()[0]
        except sqlite3.OperationalError:
            return 0

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def finish(self, seconds: float) -> None:
        _, errors = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, errors.decode()[-3000:]
