"""From sources to graphs, on as many workers as the settings say.

In: sources. Out: `Screened` or `Rejected`, in the order of the sources; each graph is a file of
the run folder, named by its candidate. A program that was screened before is not run again. The
same source gives the same record and the same bytes; only a rejection for a time limit depends on
the clock.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from evoprompt.candidate import Rejected, Screened, TaskShape, candidate_id
from evoprompt.config import ScreenSettings
from evoprompt.jail.pool import Pool
from evoprompt.screen.line import Line, Verdict
from evoprompt.screen.rules import Prepared, prepare
from evoprompt.storage import write_atomically


class Screener:
    """Holds the warmed zygotes of one run; they start with the first source.

    `confined=False` leaves the jail's walls away, for tests and benchmarks.
    """

    def __init__(
        self,
        settings: ScreenSettings,
        shape: TaskShape,
        run_folder: Path,
        *,
        confined: bool = True,
    ) -> None:
        self.settings = settings
        self.shape = shape
        self.run_folder = run_folder
        self._lines = Pool(settings.workers, lambda: Line(settings, shape, confined))
        self._known: dict[str, Screened | Rejected] = {}

    def start(self) -> tuple[str, ...]:
        """Start one worker; what this machine's jail lacks, in sentences for a person.

        Raises:
            JailError: The machine gives no safe jail, and `unsafe` is not set.
        """
        return self._lines.start()

    def prepare(self, source: str) -> Prepared | Rejected:
        """Apply the static rules; see `rules.prepare`."""
        return prepare(source)

    def screen_all(
        self, sources: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> list[Screened | Rejected]:
        """Screen many sources; equal ones are run once. `progress` hears how many are done.

        Raises:
            JailError: The zygotes do not start or keep dying.
            StorageError: A graph cannot be written.
        """
        batch = _Batch(self.prepare, sources, self._known)
        done = 0
        for index, verdict in self._lines.imap(batch):
            ...
        return []

    def close(self) -> None:
        """End the zygotes and whatever they run."""
        self._lines.close()
