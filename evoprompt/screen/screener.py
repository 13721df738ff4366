"""From sources to graphs, on as many workers as the settings say.

In: sources. Out: `Screened` or `Rejected`, in the order of the sources; each graph is a file of
the run folder, named by its candidate. Equal programs are run once. The same source gives
the same record and the same bytes; only a rejection for a time limit depends on the clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from evoprompt.candidate import Rejected, Screened, TaskShape
from evoprompt.config import ScreenSettings
from evoprompt.jail.pool import Pool
from evoprompt.screen.line import Claims, Line, Verdict
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
        self._lines = Pool(settings.workers, lambda: Line(settings, shape, confined), Line.DRIVERS)

    def start(self) -> tuple[str, ...]:
        """Start all workers; what this machine's jail lacks, in sentences for a person.

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
        claims = Claims()
        verdicts: list[Verdict | None] = [None] * len(sources)
        answers: dict[str, Screened | Rejected] = {}
        jobs = [(source, claims) for source in sources]
        for done, (index, verdict) in enumerate(self._lines.imap(jobs), start=1):
            if isinstance(verdict.answer, Screened):
                write_atomically(self.run_folder / verdict.answer.graph_path, verdict.graph)
            if verdict.answer is not None and verdict.candidate:
                answers[verdict.candidate] = verdict.answer
            verdicts[index] = replace(verdict, graph=b"")
            if progress is not None:
                progress(done)
        return [_answer(verdict, answers) for verdict in verdicts if verdict is not None]

    def close(self) -> None:
        """End the zygotes and whatever they run."""
        self._lines.close()


def _answer(verdict: Verdict, answers: dict[str, Screened | Rejected]) -> Screened | Rejected:
    answer = verdict.answer or answers[verdict.candidate]
    if isinstance(answer, Screened):
        return replace(answer, adapted=verdict.adapted)
    return answer
