"""A search whose steps a test takes by hand, with a writer that says what the test tells it to.

Ledger, state, archive, templates, jail and screen are real; only the language model is scripted,
and nothing is trained: elites are put into the archive with accuracies of the test's choosing.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from evoprompt.archive import Archive
from evoprompt.candidate import Prompt, Reply, Screened, TaskShape
from evoprompt.config import SearchSettings, smoke
from evoprompt.ledger import Event, Ledger
from evoprompt.propose.templates import load_templates
from evoprompt.screen import Screener
from evoprompt.steps.canonical import write_canonically
from evoprompt.steps.propose import Answer, plant, propose, proposed_event
from evoprompt.steps.repair import repair
from evoprompt.steps.run import Run
from evoprompt.steps.screen import screen

TASK = TaskShape("digits", (1, 8, 8), 10)
Script = Callable[[Prompt, int], str]


class Scripted:
    """Writes what a function says of prompt and sample; remembers what it was asked."""

    version, base, notes = "base", None, ()

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Prompt] = []

    def sample(self, prompts, samplings):
        self.asked += prompts
        return [
            [Reply(self.script(prompt, i), 10, True) for i in range(sampling.count)]
            for prompt, sampling in zip(prompts, samplings, strict=True)
        ]

    def close(self) -> None: ...


class Nobody:
    """Looks on and trains nothing."""

    def phase(self, *_: object) -> None: ...

    def event(self, *_: object) -> None: ...

    def note(self, *_: object) -> None: ...

    def close(self) -> None: ...


def proposer(**changes: Any) -> SearchSettings:
    """The smoke preset with other settings of the proposer; one prompt of four replies a round."""
    base = smoke()
    small = {"prompts_per_round": 1, "samples_per_prompt": 4}
    return replace(base, proposer=replace(base.proposer, **(small | changes)))


class ByHand:
    """A run folder with the seeds screened; made anew over an old folder it has resumed."""

    def __init__(
        self,
        folder: Path,
        screener: Screener,
        script: Script = lambda prompt, i: "",
        settings: SearchSettings | None = None,
    ) -> None:
        path = folder / "ledger.sqlite"
        ledger = Ledger(path, writable=True) if path.exists() else Ledger.create(path)
        self.folder = folder
        screener.run_folder = folder
        self.engine = Scripted(script)
        settings = settings or proposer()
        rooms: Any = {"engine": self.engine, "trainer": Nobody(), "surrogate": None}
        self.run = Run(
            folder=folder,
            settings=settings,
            ledger=ledger,
            shape=TASK,
            task_counts={},
            templates=load_templates(),
            screener=screener,
            archive=Archive(settings.archive),
            watch=Nobody(),
            **rooms,
        )
        screen(self.run, 0, plant(self.run))

    def crown(self, candidate: str, accuracy: float = 0.5) -> None:
        """Put a screened program into the archive."""
        figures = self.run.state.programs[candidate].screened
        assert isinstance(figures, Screened)
        sizes = figures.parameters, figures.macs, figures.depth
        self.run.archive.add(candidate, accuracy, *sizes)

    def seed(self, name: str = "reference_cnn") -> str:
        """The id of a seed."""
        return next(p.id for p in self.run.state.programs.values() if p.name == name)

    def round(self, generation: int = 1, number: int = 0) -> tuple[list[Event], list[Event]]:
        """One round up to the repaired children; (proposed, mended)."""
        proposed = propose(self.run, generation, number)
        screen(self.run, generation, proposed)
        mended = repair(self.run, generation, number, proposed)
        screen(self.run, generation, mended)
        return proposed, mended

    def propose(self, source: str, generation: int = 0) -> str:
        """Propose a whole program and screen it; its id."""
        prompt = Prompt("", "", "", "mutate", (), "", reply_format="program")
        index = 100 + len(self.run.ledger.events(generation, "propose"))
        answer = Answer(prompt, Reply(source, 1, True), (source, ()))
        event = proposed_event(self.run, generation, "propose", index, answer)
        self.run.ledger.record([event])
        self.run.take(event)
        screen(self.run, generation, [event])
        return event.payload["candidate"]

    def rewrite(self, *candidates: str, call: int = 0) -> None:
        """Write programs again as parents are, in generation 0."""
        programs = [self.run.state.programs[candidate] for candidate in candidates]
        write_canonically(self.run, 0, call, programs)

    @property
    def events(self) -> list[Event]:
        """All that is recorded; also after `close`."""
        with Ledger(self.folder / "ledger.sqlite") as ledger:
            return ledger.events()

    def verdicts(self, events: list[Event]) -> list[Event | None]:
        """What the screen said of each proposal."""
        return [self.run.ledger.find(e.generation, "screen", e.index) for e in events]

    def close(self) -> None:
        """Give the ledger back; the jail serves others."""
        self.run.ledger.close()
