"""What a person sees while a search runs: one small table that refreshes itself.

In: events, phases and notes from the search, from any thread. Out: the terminal; where there is
none (a pipe, CI), one plain line per finished phase and per generation. It reads a clock for the
time left and gives nothing back, so no decision can depend on it.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evoprompt.ledger import Event
from evoprompt.view.replay import Replay
from evoprompt.view.words import clean, count, duration, held, percent, share, short_count, tau

_REFRESHES = 4  # per second

# which kind of event moves a proposal to which step of the funnel
_STEP_OF = {
    "screened": "valid",
    "scored": "scored",
    "trained": "trained",
    "known": "trained",
}


class LiveView:
    """A view of a running search, as a context manager."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console = console or Console()
        self._clock = clock
        self._opened = clock()
        self._lock = threading.RLock()
        self._replay = Replay()
        self._counts: Counter[str] = Counter()
        self._templates: Counter[str] = Counter()
        """Proposals of the generation under way by template."""
        self._sent_back: set[tuple[int, int]] = set()
        self._mended: set[str] = set()
        self._generation = 0
        self._is_closing = False
        self._starts: list[float] = []
        self._phase: tuple[str, int, int] = ("starting", 0, 0)
        self._phase_began = self._opened
        self._generation_began = self._opened
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Take the terminal, if there is one."""
        if self.console.is_terminal:
            self._live = Live(
                console=self.console,
                get_renderable=self._render,
                refresh_per_second=_REFRESHES,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the terminal back; the last state stays readable."""
        with self._lock:
            live, self._live = self._live, None
        if live is not None:
            live.stop()
            if self._replay.started is not None:
                self.console.print(self._render())

    def phase(self, name: str, done: int, total: int) -> None:
        """Say how far a stage has come."""
        with self._lock:
            is_same = self._phase[0] == name and self._phase[1] <= done
            if not is_same:
                self._phase_began = self._clock()
            was_done = is_same and self._phase[1:] == (done, total)
            self._phase = (name, done, total)
            spent = self._clock() - self._phase_began
            ends = done >= total and not was_done
        if ends and self._live is None:
            where = f"generation {self._generation}  " if self._generation else ""
            where = "" if self._is_closing else where
            self._line(f"  {where}{clean(name)}: {done} of {total}, {duration(spent)}")

    def event(self, event: Event) -> None:
        """Take note of a recorded fact."""
        with self._lock:
            self._replay.add(event)
            self._count(event)
            if event.kind == "generation":
                self._begin(event)
            summary = self._summary(event) if self._live is None else ""
        if summary:
            self._line(summary)

    def note(self, text: str) -> None:
        """Say something once, above the table."""
        self._line(clean(text))

    def _line(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True, highlight=False)

    def _begin(self, event: Event) -> None:
        """Start a generation; its recorded time makes a resumed run's estimate right, too."""
        self._is_closing = not event.payload.get("go")
        if not self._is_closing:
            self._generation = event.generation
            self._templates.clear()
        self._generation_began = self._clock()
        moment = event.clock.get("time")
        if isinstance(moment, int | float):
            self._starts.append(float(moment))

    def _count(self, event: Event) -> None:
        payload = event.payload
        self._counts["tokens"] += payload.get("token_count") or 0
        if event.generation == 0 or self._is_mended(event):
            return
        if event.kind == "proposed":
            self._counts["proposed"] += 1
            self._counts["parsed"] += payload.get("candidate") is not None
            self._templates[payload.get("template") or ""] += 1
        elif event.kind in _STEP_OF and event.stage != "final":
            self._counts[_STEP_OF[event.kind]] += 1
            if event.kind == "screened":
                self._counts["new graph"] += payload.get("known_graph") is None
        elif event.kind == "archived":
            self._counts["elite"] += payload.get("status") != "kept"

    def _is_mended(self, event: Event) -> bool:
        """Count rejected children that went back apart, whatever becomes of them."""
        key, candidate = (event.generation, event.index), event.payload.get("candidate")
        if event.payload.get("repairs"):
            self._sent_back.add(key)
            self._counts["sent back"] += 1
            return True
        if event.kind == "proposed":  # perhaps a mended one once more
            return False
        if key in self._sent_back and event.kind == "screened":
            self._mended.add(str(candidate))
            self._counts["mended"] += 1
        return key in self._sent_back or candidate in self._mended

    def seconds_left(self) -> float | None:
        """Return a guess at the seconds until the budget is spent; None before there is one."""
        with self._lock:
            guesses = [g for g in (self._by_generations(), *self._by_amounts()) if g is not None]
        return min(guesses, default=None)

    def _budget(self) -> dict[str, float | None]:
        started = self._replay.started
        settings = started.payload.get("settings") if started else None
        return ((settings or {}).get("budget") or {}) if isinstance(settings, dict) else {}

    def _by_generations(self) -> float | None:
        wanted = self._budget().get("generations")
        gaps = [b - a for a, b in zip(self._starts, self._starts[1:], strict=False) if b > a]
        if not wanted or not gaps:
            return None
        one = median(gaps)
        spent = self._clock() - self._generation_began
        return max(0.0, one - spent) + one * max(0.0, wanted - self._generation)

    def _by_amounts(self) -> list[float | None]:
        """Guess from budgets of tokens, trained children and hours, at the speed so far."""
        budget, elapsed = self._budget(), self._clock() - self._opened
        guesses: list[float | None] = []
        gaps = [b - a for a, b in zip(self._starts, self._starts[1:], strict=False) if b > a]
        passed = sum(gaps)
        for name, done in (
            ("tokens", self._counts["tokens"]),
            ("trained", self._replay.trained_count),
        ):
            wanted = budget.get(name)
            if wanted and done and passed:
                guesses.append(max(0.0, passed * (wanted - done) / done))
        hours = budget.get("hours")
        guesses.append(max(0.0, hours * 3600 - elapsed) if hours else None)
        return guesses

    def _render(self) -> Group:
        with self._lock:
            name, done, total = self._phase
            left = self.seconds_left()
            clock = f"{duration(self._clock() - self._opened)} elapsed"
            if left is not None:
                clock += f", about {duration(left)} left"
            head = Text(f"{self._title()}  ", style="bold")
            head.append(f"{clean(name)} {done} of {total}" if total else clean(name))
            table = Table.grid(padding=(0, 2))
            table.add_column(style="dim", no_wrap=True, min_width=10)
            table.add_column()
            table.add_row("", ProgressBar(total=max(1, total), completed=done, width=48))
            for label, value in self._rows():
                table.add_row(label, Text(value))
            table.add_row("time", Text(clock))
        return Group(head, table)

    def _title(self) -> str:
        wanted = self._budget().get("generations")
        if self._is_closing:
            return f"after generation {self._generation}"
        if not self._generation:
            return "seeds" if self._replay.started else "starting"
        return f"generation {self._generation}" + (f" of {wanted}" if wanted else "")

    def _rows(self) -> list[tuple[str, str]]:
        counts, replay = self._counts, self._replay
        steps = ("proposed", "parsed", "valid", "new graph", "scored", "trained", "elite")
        rows: list[tuple[str, str]] = []
        if counts["proposed"]:
            rows.append(("funnel", "  ".join(f"{s} {count(counts[s])}" for s in steps)))
        if self._counts["sent back"]:
            rows.append(("repairs", f"{counts['mended']} of {counts['sent back']} mended"))
        if len(self._templates) > 1:
            whole = self._templates.total()
            shares = (f"{clean(n)} {share(c, whole)}" for n, c in self._templates.most_common())
            rows.append(("templates", "  ".join(shares)))
        rows += self._bests()
        if replay.audits and replay.audits[-1].pairs:
            audit = replay.audits[-1]
            text = (
                f"tau {tau(audit.tau_predictor)}, prior {tau(audit.tau_prior)}, by lot "
                f"{tau(audit.tau_predictor_reserve)} and {tau(audit.tau_prior_reserve)} "
                f"({audit.pairs} pairs), judge: {clean(audit.judge)}"
            )
            text += f", {held(audit)}" if held(audit) else ""
            rows.append(("predictor", text))
        if replay.tunings:
            tuning = replay.tunings[-1]
            verdict = {True: "promoted", False: "refused", None: "not tuned"}[tuning.promoted]
            text = f"serving {clean(tuning.serving)}; last tried {clean(tuning.version)}: {verdict}"
            rows.append(("proposer", text))
        if counts["tokens"]:
            rows.append(("tokens", short_count(counts["tokens"])))
        return rows

    def _bests(self) -> list[tuple[str, str]]:
        replay = self._replay
        if not replay.progress:
            return []
        last, reference = replay.progress[-1], replay.reference
        best = replay.candidates.get(last.best_candidate or "")
        size = f" with {count(best.parameters)} parameters" if best else ""
        rows = [("best", f"{percent(last.best)}{size}")]
        if reference and last.small is not None:
            text = (
                f"{percent(last.small)} with at most {count(reference.parameters)} "
                f"(reference {percent(reference.accuracy)})"
            )
            rows.append(("best small", text))
        return rows

    def _summary(self, event: Event) -> str:
        """One plain line for the generation that the next one's beginning closes."""
        if event.kind == "ended":
            return f"ended: {clean(event.payload.get('reason'))}"
        if event.kind != "generation":
            return ""
        rows = "; ".join(f"{label}: {value}" for label, value in self._rows())
        left = self.seconds_left() if event.payload.get("go") else None
        guess = f"; about {duration(left)} left" if left is not None else ""
        name = "seeds" if event.generation == 1 else f"generation {event.generation - 1}"
        return f"{name}  {rows}{guess}"
