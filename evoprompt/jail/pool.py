"""Several workers, each driven by a thread of its own while a list of jobs is worked off.

In: jobs. Out: their results, in the order in which they end. Not promised: any order; jobs that
were running when the caller stops listening are killed and lost.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from evoprompt.jail.limits import Limits, Outcome
from evoprompt.jail.zygote import Zygote

Job = tuple[str, bytes, Limits]
JobT = TypeVar("JobT", contravariant=True)
ResultT = TypeVar("ResultT", covariant=True)


class Worker(Protocol[JobT, ResultT]):
    """Does one job at a time; it holds one zygote or several."""

    def start(self) -> tuple[str, ...]:
        """Start; what this machine cannot give, in sentences for a person."""
        ...

    def run(self, job: JobT) -> ResultT:
        """Do one job; after a `close` in another thread it raises JailError."""
        ...

    def close(self) -> None:
        """End everything that runs."""
        ...


class Pool(Generic[JobT, ResultT]):
    """`workers` workers in parallel, started at the first use.

    With more than one driver a worker is asked to run as many jobs at a time: it may do one part of
    a job while another part of the next one waits.
    """

    def __init__(
        self, workers: int, new_worker: Callable[[], Worker[JobT, ResultT]], drivers: int = 1
    ) -> None:
        self._new_worker = new_worker
        self._drivers = drivers
        self._workers = [new_worker() for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def imap(self, jobs: Sequence[Any]) -> Iterator[tuple[int, ResultT]]:
        """Yield (position in `jobs`, result) in the order of completion.

        Raises:
            JailError: As `Zygote.run`; the other jobs are given up.
        """
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        for index in range(len(jobs)):
            waiting.put(index)

        drivers = [
            threading.Thread(target=_drive, args=(worker, jobs, waiting, ended), daemon=True)
            for _ in range(self._drivers)
            for worker in self._workers[: len(jobs)]
        ]
        for driver in drivers:
            driver.start()
        is_complete = False
        try:
            for _ in jobs:
                index, result = ended.get()
                if isinstance(result, BaseException):
                    raise result
                yield index, result
            is_complete = True
        finally:
            if not is_complete:
                self._start_over(waiting)
            for driver in drivers:
                driver.join()

    def start(self) -> tuple[str, ...]:
        """Start all workers at once; what this machine cannot give, in sentences for a person.

        Raises:
            JailError: As `Zygote.start`.
        """
        with ThreadPoolExecutor(len(self._workers)) as starters:
            found = list(starters.map(lambda worker: worker.start(), self._workers))
        return found[0]

    def close(self) -> None:
        """End all workers and whatever they run."""
        for worker in self._workers:
            worker.close()

    def _start_over(self, waiting: queue.SimpleQueue[int]) -> None:
        """Drop the jobs that wait, kill those that run, take fresh workers for the next call."""
        while not waiting.empty():
            try:
                waiting.get_nowait()
            except queue.Empty:
                break
        self.close()
        self._workers = [self._new_worker() for _ in self._workers]


def _drive(
    worker: Worker[Any, Any],
    jobs: Sequence[Any],
    waiting: queue.SimpleQueue[int],
    ended: queue.SimpleQueue[tuple[int, Any]],
) -> None:
    """Give one worker jobs until none waits; its error goes to the caller, who raises it."""
    while True:
        try:
            index = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            ended.put((index, worker.run(jobs[index])))
        except BaseException as error:
            ended.put((index, error))
            return


class _OneZygote:
    """A worker that runs every job in its zygote."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote

    def start(self) -> tuple[str, ...]:
        self._zygote.start()
        return self._zygote.missing

    def run(self, job: Job) -> Outcome:
        return self._zygote.run(*job)

    def close(self) -> None:
        self._zygote.close()


class JailPool(Pool[Job, Outcome]):
    """`workers` zygotes; see `Zygote` for the other arguments."""

    def __init__(self, workers: int, warm: Sequence[str], **settings: Any) -> None:
        super().__init__(workers, lambda: _OneZygote(Zygote(warm, **settings)))
