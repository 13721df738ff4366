"""A run in progress: its folder, settings, ledger, state and the rooms that do the work.

`Run.once` and `Run.batch` are the whole of resuming: what is recorded is not done again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from evoprompt.archive import Archive
from evoprompt.candidate import TaskShape
from evoprompt.chance import derive
from evoprompt.config import SearchSettings
from evoprompt.ledger import Event, Json, Ledger
from evoprompt.propose.engine import Engine
from evoprompt.propose.templates import Template
from evoprompt.screen import Screener
from evoprompt.state import State
from evoprompt.train import Trainer
from surrogate import Surrogate

START_VERSION = "v000"
"""The adapter that a run was given to begin with; tuned versions are counted from v001."""
Made = tuple[str, Json, Json]
"""Kind, payload and clock of an event."""


class Watch(Protocol):
    """Whoever looks on while a search runs."""

    def phase(self, name: str, done: int, total: int) -> None:
        """Say how far a stage has come."""
        ...

    def event(self, event: Event) -> None:
        """Take note of a recorded fact."""
        ...

    def note(self, text: str) -> None:
        """Say something once."""
        ...


@dataclass
class Run:
    """Everything a step needs."""

    folder: Path
    settings: SearchSettings
    ledger: Ledger
    shape: TaskShape
    task_counts: dict[str, int]
    templates: dict[str, Template]
    engine: Engine
    screener: Screener
    trainer: Trainer
    archive: Archive
    surrogate: Surrogate
    watch: Watch
    state: State = field(default_factory=State)

    def once(self, generation: int, stage: str, index: int, make: Callable[[], Made]) -> Event:
        """Return the event at a key, making and recording it if it is missing."""
        event = self.ledger.find(generation, stage, index)
        if event is None:
            event = Event(generation, stage, index, *make())
            self.ledger.record([event])
        self.take(event)
        return event

    def batch(
        self,
        generation: int,
        stage: str,
        first: int,
        count: int,
        make: Callable[[], list[Event]],
        *,
        ends_with: str | None = None,
    ) -> list[Event]:
        """Return the events of a range of indices, recorded together or found together.

        Once the generation has events of the stage `ends_with`, nothing is made any more: a run
        from before there was this stage stays as it was.
        """
        events = self.ledger.events(generation, stage, first=first, count=count)
        is_past = ends_with is not None and self.ledger.find(generation, ends_with, 0) is not None
        if not events and not is_past:
            events = make()
            self.ledger.record(events)
        for event in events:
            self.take(event)
        return events

    def record_each(self, events: Iterable[Event]) -> None:
        """Record events as they arrive; the caller takes them in order afterwards."""
        for event in events:
            self.ledger.record([event])

    def take(self, event: Event) -> None:
        """Let the state and the onlooker know of an event."""
        self.state.apply(event)
        self.watch.event(event)

    def source(self, candidate: str) -> str:
        """Return the source of a candidate."""
        return self.source_path(candidate).read_text(encoding="utf-8")

    def shown_source(self, candidate: str) -> str:
        """Return the source that prompts show of a program: its own, or its canonical form."""
        return self.source(self.state.shown(candidate))

    def source_path(self, candidate: str) -> Path:
        """Return where the source of a candidate stands."""
        return self.folder / "sources" / f"{candidate}.py"

    def proposer_folder(self, version: str) -> Path | None:
        """Return where an adapter stands, or None for the base model."""
        return None if version == "base" else self.folder / "proposer" / version

    @property
    def start_adapter(self) -> Path | None:
        """Return where the adapter stands with which the run began, or None."""
        begun = self.settings.proposer.adapter is not None
        return self.proposer_folder(START_VERSION) if begun else None

    def seed(self, *names: str | int) -> int:
        """Return the seed of a named place in this run."""
        return derive(self.settings.seed, *names)

    @property
    def training_seed(self) -> int:
        """The seed with which every candidate of the run is trained."""
        return self.seed("train") % 2**31

    def close(self) -> None:
        """Close rooms and ledger; nothing is left running."""
        self.engine.close()
        self.screener.close()
        self.trainer.close()
        self.ledger.close()
