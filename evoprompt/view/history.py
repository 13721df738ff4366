"""A run as it can be looked at: everything here is replayed from the ledger's events.

In: the events of a run, finished, running or cut off anywhere. Out: `History`, whose fields are
frozen records and whose methods answer what pages and reports ask: cells at a generation, front,
funnel, lineage. It never writes; sources are read from the run folder when they are asked for.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoprompt.errors import LedgerError
from evoprompt.ledger import Event, Ledger, content_hash
from evoprompt.view.funnel import funnel
from evoprompt.view.records import (
    Audit,
    Candidate,
    Cell,
    Comparison,
    Failure,
    Funnel,
    Placement,
    Progress,
    Proposal,
    Tested,
    Totals,
    Tuning,
)
from evoprompt.view.replay import Replay

_SOURCE_LIMIT = 200_000  # bytes of a source that are ever read; the screen refuses longer ones


@dataclass(frozen=True)
class History:
    """One run, replayed."""

    folder: Path | None
    started: Mapping[str, Any]
    """Payload of the first event: settings, task, templates; empty if it is not there."""
    clock: Mapping[str, Any]
    """Time, host and versions of the start."""
    candidates: Mapping[str, Candidate]
    proposals: tuple[Proposal, ...]
    placements: tuple[Placement, ...]
    progress: tuple[Progress, ...]
    audits: tuple[Audit, ...]
    tunings: tuple[Tuning, ...]
    tested: tuple[Tested, ...]
    final_failures: tuple[tuple[str, Failure], ...]
    comparisons: tuple[Comparison, ...]
    totals: Totals
    generation: int
    """The last generation in which a candidate was proposed; 0 is the seeds."""
    stop_reason: str | None
    """Why the search stopped: generations, trained, hours or tokens."""
    clock_dependent: bool
    """A decision read a clock, so the content hash is not promised."""
    state: str
    """running, stopped or ended."""
    content_hash: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """The run's settings as nested mappings."""
        return self.started.get("settings") or {}

    @property
    def task(self) -> Mapping[str, Any]:
        """Name, shapes and counts of the task."""
        return self.started.get("task") or {}

    @property
    def reference(self) -> Candidate | None:
        """The network that the search is compared with."""
        return self.candidates.get(self.started.get("reference") or "")

    @property
    def seeds(self) -> list[Candidate]:
        """The candidates of generation 0."""
        return [c for c in self.candidates.values() if c.is_seed]

    @property
    def measured(self) -> list[Candidate]:
        """Candidates with a measured accuracy."""
        return [c for c in self.candidates.values() if c.measured]

    @property
    def rewritten_count(self) -> int:
        """Programs of which prompts showed a canonical form instead of their own."""
        return sum(c.rewritten is not None for c in self.candidates.values())

    @property
    def name(self) -> str:
        """The run's name, or a word for a history without a folder."""
        return self.folder.name if self.folder else "run"

    def cells_at(self, generation: int) -> dict[Cell, Candidate]:
        """Return the elites at the end of a generation."""
        cells: dict[Cell, Candidate] = {}
        for placement in self.placements:
            if placement.generation <= generation and placement.status != "kept":
                candidate = self.candidates.get(placement.candidate)
                if candidate is not None:
                    cells[placement.cell] = candidate
        return cells

    def changed_in(self, generation: int) -> dict[Cell, str]:
        """Return the cells that got an elite in a generation: cell -> new or improved."""
        return {
            p.cell: p.status
            for p in self.placements
            if p.generation == generation and p.status != "kept"
        }

    def quality_diversity(self, generation: int) -> float:
        """Return the QD-score: the sum of the elites' accuracies."""
        return sum(c.accuracy or 0.0 for c in self.cells_at(generation).values())

    def front(self) -> list[Candidate]:
        """Return the measured candidates that no smaller one equals, by parameters."""
        sized = [c for c in self.measured if c.parameters is not None]
        sized.sort(key=lambda c: (c.parameters or 0, -(c.accuracy or 0.0), c.generation, c.index))
        front: list[Candidate] = []
        for candidate in sized:
            if not front or (candidate.accuracy or 0.0) > (front[-1].accuracy or 0.0):
                front.append(candidate)
        return front

    def funnel(self, generation: int | None = None) -> Funnel:
        """Return the funnel of one generation, or of all children if none is given.

        Mended children are left out; `repairs` counts them.
        """
        if generation is None:
            return self.funnel_of(is_child)
        return self.funnel_of(lambda p: p.generation == generation and not p.is_repair)

    def repairs(self) -> Funnel:
        """Return the funnel of the rejected children that went back once."""
        return self.funnel_of(lambda p: p.is_repair)

    def funnel_of(self, wanted: Callable[[Proposal], bool]) -> Funnel:
        """Return the funnel of the proposals that a test accepts (a template, a version...)."""
        return funnel((p for p in self.proposals if wanted(p)), self.candidates)

    def versions(self) -> list[str]:
        """Return the proposer versions that wrote children, in the order of their first."""
        return list(dict.fromkeys(p.version for p in self.proposals if p.generation > 0))

    def lineage(self, candidate: str) -> list[Candidate]:
        """Return the way from a seed to a candidate, along the parent whose lines were edited."""
        way: list[Candidate] = []
        seen: set[str] = set()
        current = self.candidates.get(candidate)
        while current is not None and current.id not in seen:
            seen.add(current.id)
            way.append(current)
            current = self.candidates.get(current.parents[0]) if current.parents else None
        return way[::-1]

    def winners(self) -> list[Candidate]:
        """Return the winners of the final comparison, or the two best so far before it."""
        ids = list(dict.fromkeys(t.candidate for t in self.tested if t.role != "reference"))
        if not ids and self.progress:
            last = self.progress[-1]
            ids = [i for i in dict.fromkeys((last.best_candidate, last.small_candidate)) if i]
        return [self.candidates[i] for i in ids if i in self.candidates]

    def source(self, candidate: str) -> str | None:
        """Return a candidate's source from the run folder; None if it is not there."""
        return self._read(candidate) if candidate in self.candidates else None

    def shown_source(self, candidate: str) -> str | None:
        """Return what prompts showed of a candidate: its source, or its canonical form."""
        known = self.candidates.get(candidate)
        return self._read(known.rewritten or known.id) if known else None

    def _read(self, name: str) -> str | None:
        if self.folder is None or not _is_hash(name):
            return None
        try:
            with (self.folder / "sources" / f"{name}.py").open("rb") as file:
                return file.read(_SOURCE_LIMIT).decode("utf-8", "replace")
        except OSError:
            return None

    def label(self, candidate: str) -> str:
        """Return a seed's name, or the first eight digits of the id."""
        known = self.candidates.get(candidate)
        return known.name if known and known.name else candidate[:8]


def is_child(proposal: Proposal) -> bool:
    """Say whether a proposal is neither a seed nor a mended child."""
    return proposal.generation > 0 and not proposal.is_repair


def replay(
    events: Iterable[Event], folder: Path | None = None, *, is_running: bool = False
) -> History:
    """Build the history of a run from its events, in the order of their keys."""
    recorded = list(events)
    state = Replay()
    for event in recorded:
        state.add(event)
    last = state.last_generation
    ended = state.ended
    reason = ended.payload.get("reason") if ended else None
    return History(
        folder=folder,
        started=state.started.payload if state.started else {},
        clock=state.started.clock if state.started else {},
        candidates=state.candidates,
        proposals=tuple(state.proposals.values()),
        placements=tuple(state.placements),
        progress=tuple(state.progress),
        audits=tuple(state.audits),
        tunings=tuple(state.tunings),
        tested=tuple(state.tested),
        final_failures=tuple(state.final_failures),
        comparisons=tuple(state.comparisons),
        totals=_totals(state),
        generation=max((p.generation for p in state.proposals.values()), default=0),
        stop_reason=reason or (last[2] if last and not last[1] else None),
        clock_dependent=bool(ended and ended.payload.get("clock_dependent")),
        state="ended" if ended else "running" if is_running else "stopped",
        content_hash=content_hash(recorded),
    )


def _totals(state: Replay) -> Totals:
    proposals: Sequence[Proposal] = list(state.proposals.values())
    return Totals(
        proposal_count=sum(p.generation > 0 for p in proposals),
        trained_count=state.trained_count,
        seed_count=state.seed_count,
        token_count=sum(p.token_count for p in (*proposals, *state.tunings)),
        prompt_token_count=sum(p.prompt_token_count for p in (*proposals, *state.tunings)),
        cache_hit_count=state.cache_hit_count,
        clipped_count=sum(c.is_clipped for c in state.candidates.values()),
        seconds=dict(state.seconds),
    )


def open_history(run_folder: Path) -> History:
    """Replay a run folder, without writing to it and without stopping its writer.

    Raises:
        LedgerError: The folder is missing, is no run, is damaged, or of another version.
    """
    if not run_folder.is_dir():
        raise LedgerError(
            f"no run folder at {run_folder}. Expected a folder made by `evoprompt search`. "
            "Check the name; `ls runs` shows the runs."
        )
    try:
        with Ledger(run_folder / "ledger.sqlite") as ledger:
            events = ledger.events()
        history = replay(events, run_folder, is_running=is_locked(run_folder / "lock"))
    except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:
        raise LedgerError(
            f"{run_folder} holds an event that cannot be read ({error}). Expected the events of "
            "a search. Restore ledger.sqlite from a copy, or start the search again."
        ) from error
    if not events or events[0].kind != "started":
        raise LedgerError(
            f"{run_folder} is half written: its ledger holds {len(events)} events and does not "
            "begin with the start of a search. Expected a run that has begun. If the search is "
            "just starting, try again; otherwise start it anew under another name."
        )
    return history


def is_locked(path: Path) -> bool:
    """Say whether another process holds the run's lock; looking does not take it (Linux)."""
    try:
        inode = path.stat().st_ino
        held = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(
        field.endswith(f":{inode}") for row in held.splitlines() for field in row.split()[5:6]
    )


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)
