"""Several zygotes, each driven by a thread of its own while a list of jobs is worked off.

In: jobs. Out: their outcomes, in the order in which they end. Not promised: any order; jobs that
were running when the caller stops listening are killed and lost.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from evoprompt.jail.limits import Limits, Outcome
from evoprompt.jail.zygote import Zygote

Job = tuple[str, bytes, Limits]
_Ended = queue.SimpleQueue[tuple[int, Outcome | BaseException]]


class JailPool:
    """`workers` zygotes, started at the first use, in parallel; see `Zygote` for the arguments."""

    def __init__(
        self,
        workers: int,
        warm: Sequence[str],
        *,
        threads: int = 1,
        pass_gpu: bool = False,
        confined: bool = True,
    ) -> None:
        def new_zygote() -> Zygote:
            return Zygote(warm, threads=threads, pass_gpu=pass_gpu, confined=confined)

        self._new_zygote = new_zygote
        self._zygotes = [new_zygote() for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def imap(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Yield (position in `jobs`, outcome) in the order of completion.

        Raises:
            JailError: As `Zygote.run`; the other jobs are given up.
        """
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        ended: _Ended = queue.SimpleQueue()
        for index in range(len(jobs)):
            waiting.put(index)

        drivers = [
            threading.Thread(target=_drive, args=(zygote, jobs, waiting, ended), daemon=True)
            for zygote in self._zygotes[: len(jobs)]
        ]
        for driver in drivers:
            driver.start()
        is_complete = False
        try:
            for _ in jobs:
                index, outcome = ended.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield index, outcome
            is_complete = True
        finally:
            if not is_complete:
                self._start_over(waiting)
            for driver in drivers:
                driver.join()

    def close(self) -> None:
        """End all zygotes and whatever they run."""
        for zygote in self._zygotes:
            zygote.close()

    def _start_over(self, waiting: queue.SimpleQueue[int]) -> None:
        """Drop the jobs that wait, kill those that run, take fresh zygotes for the next call."""
        while not waiting.empty():
            try:
                waiting.get_nowait()
            except queue.Empty:
                break
        self.close()
        self._zygotes = [self._new_zygote() for _ in self._zygotes]


def _drive(
    zygote: Zygote, jobs: Sequence[Job], waiting: queue.SimpleQueue[int], ended: _Ended
) -> None:
    """Give one zygote jobs until none waits; its error goes to the caller, who raises it."""
    while True:
        try:
            index = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            ended.put((index, zygote.run(*jobs[index])))
        except BaseException as error:
            ended.put((index, error))
            return
