"""The append-only record of a run: one SQLite file, one writer, all else is replayed from it.

An event is a fact at a key (generation, stage, index). A key is written once; asking for it again
after a kill gives what was recorded, which is all that resuming is. What depends on the clock or
the machine stands in `clock` and does not enter the content hash. Large things are files named
by their candidate, written before the event that mentions them.
"""

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evoprompt.errors import LedgerError, StorageError

FORMAT = 1
"""Raised when an old run folder could no longer be continued."""
STAGES = (
    "start", "propose", "repair", "screen", "score", "choose", "train", "archive", "rewrite",
    "learn", "final", "end",
)  # fmt: skip
_APPLICATION = 0x45564F50  # "EVOP", SQLite's application_id
_SCHEMA = """
CREATE TABLE events (
    generation INTEGER NOT NULL,
    stage TEXT NOT NULL,
    idx INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    clock TEXT NOT NULL,
    PRIMARY KEY (generation, stage, idx)
)
"""

Json = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One recorded fact."""

    generation: int
    stage: str
    index: int
    kind: str
    payload: Json
    clock: Json = field(default_factory=dict[str, Any])

    @property
    def key(self) -> tuple[int, str, int]:
        """What makes the event unique in its run."""
        return (self.generation, self.stage, self.index)


class Ledger:
    """The events of one run.

    Raises (all methods):
        LedgerError: The file is missing, damaged, of another version, or in another's hands.
        StorageError: The disk is full; what was recorded before stays recorded.
    """

    def __init__(self, path: Path, *, writable: bool = False):
        self.path = path
        self._lock: int | None = None
        if not path.exists():
            raise LedgerError(
                f"no ledger at {path}. Expected a run folder made by `evoprompt search`. "
                "Check the name; `ls runs` shows the runs."
            )
        if writable:
            self._lock = _take_lock(path)
        self._database = self._connect(writable)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new, empty ledger and open it for writing."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with sqlite3.connect(path) as database:
                database.execute(_SCHEMA)
                database.execute(f"PRAGMA user_version = {FORMAT}")
                database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.close()
        except (OSError, sqlite3.OperationalError) as error:
            raise _full(path, error) from error
        return cls(path, writable=True)

    def _connect(self, writable: bool) -> sqlite3.Connection:
        mode = "rw" if writable else "ro"
        damaged = (
            f"{self.path} is not a readable ledger ({{}}). Expected the SQLite file of a run. "
            "Restore the file from a copy, or start the search again under a new name."
        )
        try:
            database = sqlite3.connect(
                f"file:{self.path}?mode={mode}", uri=True, timeout=30, check_same_thread=False
            )
            if writable:
                database.execute("PRAGMA synchronous = FULL")
            application = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
            check = database.execute("PRAGMA quick_check").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise LedgerError(damaged.format(error)) from error
        if application != _APPLICATION or check != "ok":
            raise LedgerError(damaged.format("not written by evoprompt, or " + str(check)[:100]))
        if version != FORMAT:
            raise LedgerError(
                f"{self.path} was written in format {version}; this version reads format {FORMAT}. "
                "Use the version of evoprompt that made the run, or start a new one."
            )
        return database

    def record(self, events: Sequence[Event]) -> None:
        """Append events, all or none; durable when this returns."""
        rows = [(e.generation, e.stage, e.index, e.kind, _dump(e.payload), _dump(e.clock))
                for e in events]  # fmt: skip
        try:
            with self._database:
                self._database.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise _full(self.path, error) from error

    def find(self, generation: int, stage: str, index: int) -> Event | None:
        """Return the event at a key, or None."""
        found = self.events(generation, stage, first=index, count=1)
        return found[0] if found else None

    def events(
        self,
        generation: int | None = None,
        stage: str | None = None,
        *,
        first: int = 0,
        count: int = 1 << 60,
    ) -> list[Event]:
        """Return events in the order of their keys, of one generation and stage if given."""
        rows = self._database.execute(
            "SELECT generation, stage, idx, kind, payload, clock FROM events "
            "WHERE (?1 IS NULL OR generation = ?1) AND (?2 IS NULL OR stage = ?2) "
            "AND idx >= ?3 AND idx - ?3 < ?4",
            (generation, stage, first, count),
        ).fetchall()
        events = [Event(g, s, i, k, _load(p), _load(c)) for g, s, i, k, p, c in rows]
        return sorted(events, key=lambda e: (e.generation, STAGES.index(e.stage), e.index))

    def content_hash(self) -> str:
        """Return the SHA-256 over all events without their clock fields."""
        return content_hash(self.events())

    def close(self) -> None:
        """Close the file and give up the right to write."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def content_hash(events: Iterable[Event]) -> str:
    """Return the SHA-256 over events in the given order, without their clock fields."""
    digest = hashlib.sha256()
    for event in events:
        digest.update(_dump([*event.key, event.kind, event.payload]).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _load(text: str) -> Json:
    value: Json = json.loads(text)
    return value


def _take_lock(path: Path) -> int:
    handle = os.open(path.with_name("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise LedgerError(
            f"{path.parent} is being written by another process. Expected one writer. "
            "Wait for that search to end, or stop it."
        ) from None
    return handle


def _full(path: Path, error: Exception) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error}. Expected a writable disk with free space. "
        "Free some space; what was recorded is kept, and `evoprompt resume` goes on from there."
    )


def clock_fields(values: Mapping[str, Any]) -> Json:
    """Return the given clock values as a plain dict, rounded to milliseconds."""
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}
