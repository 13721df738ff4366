import io
import re
import threading
from pathlib import Path

import pytest
from rich.console import Console

from evoprompt.errors import LedgerError
from evoprompt.ledger import Event
from evoprompt.view.history import open_history, replay
from evoprompt.view.live import LiveView
from evoprompt.view.report import render
from evoprompt.view.terminal import front_table, show
from tests.view.synthetic_run import Builder, without_intervals, write_run

HOSTILE = "[bold]x[/] [link=http://evil]\x1b[31mred\x1b]0;title\x07\x9b2J[/nothing]"


def plain_console(width: int = 120) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width), out


def terminal_console() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=100, height=30, force_terminal=True), out


def test_show_prints_archive_front_funnel_and_comparison(tmp_path: Path) -> None:
    builder = Builder()
    folder = write_run(tmp_path / "run", builder, builder.build())
    console, out = plain_console()
    show(folder, console)
    history = open_history(folder)
    text = out.getvalue()
    assert f"{len(history.cells_at(5))} of 96 cells" in text
    for candidate in history.front():
        assert f"{candidate.id[:8]}" in text
    for word in ("forbidden name", "not chosen", "judge prior", "promoted", "refused",
                 "95 % interval", history.content_hash):  # fmt: skip
        assert word in text
    assert "resume" not in text


def test_show_says_how_many_results_the_intervals_held(tmp_path: Path) -> None:
    builder = Builder()
    folder = write_run(tmp_path / "run", builder, builder.build())
    console, out = plain_console()
    show(folder, console)
    assert "90 % intervals held 30 of 35 results, by lot 9 of 10" in " ".join(
        out.getvalue().split()
    )


def test_a_ledger_from_before_there_were_intervals_is_shown_without_them(tmp_path: Path) -> None:
    builder = Builder(generations=2)
    events = [without_intervals(event) for event in builder.build()]
    folder = write_run(tmp_path / "run", builder, events)
    console, out = plain_console()
    show(folder, console)
    watch_run(LiveView(console, Clock()), events)
    page = render(open_history(folder))
    assert "tau +0.38, prior +0.33" in out.getvalue()
    assert "intervals held" not in out.getvalue()
    assert "intervals held" not in page


def test_show_of_a_half_written_run_says_how_to_resume(tmp_path: Path) -> None:
    builder = Builder(generations=3)
    events = builder.build()
    for share in (1, 3, 20, len(events) // 2):
        folder = write_run(tmp_path / f"run{share}", builder, events[:share])
        console, out = plain_console()
        show(folder, console)
        text = "".join(out.getvalue().split())
        assert f"evopromptresume{folder}" in text


def test_show_of_no_run_is_an_error_with_a_message(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no run folder"):
        show(tmp_path / "nothing", plain_console()[0])


def test_nothing_hostile_reaches_the_terminal(tmp_path: Path) -> None:
    builder = Builder(generations=2, proposals=32, hostile=HOSTILE)
    folder = write_run(tmp_path / "run", builder, builder.build())
    console, out = terminal_console()
    show(folder, console)
    text = out.getvalue()
    escapes = re.findall("\x1b(?!\\[[0-9;]*m)", text)
    assert escapes == []
    assert "\x9b" not in text
    assert "title" not in text
    assert "[bold]x[/]" in text


def test_the_archive_in_colour_has_a_block_for_every_elite(tmp_path: Path) -> None:
    builder = Builder(generations=2)
    folder = write_run(tmp_path / "run", builder, builder.build())
    out = io.StringIO()
    show(
        folder,
        Console(file=out, width=120, force_terminal=True, color_system="truecolor", no_color=False),
    )
    # rich keeps the codes that a style had on the first console, so any depth of colour may come
    background = "(?:48;[25];[0-9;]+|4[0-7]|10[0-7])m"
    blocks = re.findall(f"\x1b\\[[0-9;]*{background}([^\x1b]*)", out.getvalue())
    assert len(" ".join(blocks).split()) == len(builder.cells)


def test_front_table_is_best_first() -> None:
    builder = Builder(generations=2)
    table = front_table(replay(builder.build()))
    shares = [float(str(cell).split()[0]) for cell in table.columns[1].cells]
    assert shares == sorted(shares, reverse=True)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def watch_run(view: LiveView, events: list[Event]) -> None:
    with view:
        view.note("preparing \x1b[31m[bold]data[/]")
        for event in events:
            if event.stage == "train" and event.index == 0:
                for done in range(8):
                    view.phase("train", done, 7)
            view.event(event)


def test_without_a_terminal_the_live_view_prints_plain_lines() -> None:
    events = Builder(generations=3).build()
    console, out = plain_console(80)
    watch_run(LiveView(console, Clock()), events)
    lines = out.getvalue().splitlines()
    assert lines[0] == "preparing [bold]data[/]"
    assert "\x1b" not in out.getvalue()
    phases = [row for row in lines if "train: 7 of 7" in row]
    assert len(phases) == 4
    closed = [row for row in lines if row.startswith(("seeds  ", "generation "))]
    assert [row.split("  ")[0] for row in closed] == ["seeds"] + [
        f"generation {g}" for g in (1, 2, 3)
    ]
    assert "tau +0.47, prior +0.34" in closed[-1]
    assert "90 % intervals held 18 of 21 results" in closed[-1]
    assert "reference 90.5" in closed[-1]
    assert "proposed" not in closed[0]
    assert lines[-1] == "ended: generations"


def test_the_counts_of_the_live_view_are_those_of_the_history() -> None:
    events = Builder(generations=3).build()
    view = LiveView(plain_console()[0], Clock())
    watch_run(view, events)
    text = dict(view._rows())["funnel"]
    counts = replay(events).funnel().counts
    for step in ("proposed", "parsed", "valid", "new graph", "scored", "trained", "elite"):
        assert f"{step} {counts[step]}" in text


def test_time_left_follows_the_recorded_pace_of_generations() -> None:
    clock = Clock()
    view = LiveView(plain_console()[0], clock)
    for event in Builder(generations=5).build():
        if event.generation > 3:
            break
        view.event(event)
    clock.now += 30
    # generations of 80 s (synthetic clock), the third has run for 30 s, two of five are to come
    assert view.seconds_left() == pytest.approx(50 + 2 * 80)


def test_time_left_takes_the_budget_that_ends_first() -> None:
    builder = Builder(generations=5)
    events = builder.build()
    events[0].payload["settings"]["budget"]["hours"] = 100 / 3600
    clock = Clock()
    view = LiveView(plain_console()[0], clock)
    for event in events:
        if event.generation > 2:
            break
        view.event(event)
    clock.now += 40
    assert view.seconds_left() == pytest.approx(60)


def test_on_a_terminal_many_threads_may_report() -> None:
    events = Builder(generations=2, proposals=32).build()
    console, out = terminal_console()
    view = LiveView(console)
    with view:
        threads = [
            threading.Thread(target=lambda k=k: [view.phase(f"p{k}", i, 50) for i in range(51)])
            for k in range(6)
        ]
        for thread in threads:
            thread.start()
        for event in events:
            view.event(event)
        view.note("hello")
        for thread in threads:
            thread.join()
    text = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "hello" in text
    assert "after generation 2" in text
    assert "with at most 5,210 (reference 90.5" in text


def test_leaving_early_by_an_error_gives_the_terminal_back() -> None:
    console, out = terminal_console()
    with pytest.raises(KeyboardInterrupt), LiveView(console):
        raise KeyboardInterrupt
    assert out.getvalue().count("\x1b[?25h") >= 1
