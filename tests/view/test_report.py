import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evoprompt.config import PRESETS, ServerSettings
from evoprompt.settings_file import to_dict
from evoprompt.view import figures
from evoprompt.view.heatmap import heatmap, strip
from evoprompt.view.history import open_history, replay
from evoprompt.view.lineage import difference, story
from evoprompt.view.report import render, verdict, write_report
from evoprompt.view.svg import colour, standalone, ticks
from evoprompt.view.words import clean, search_command
from tests.view.synthetic_run import Builder, write_run

HOSTILE = (
    "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\"'>&{{ 7 * 7 }}"
    "{% raw %}\x1b[31mred\x1b]0;title\x07\x00\u202etxt\ud800</details></svg>]]>"
)
VOID = {"meta", "br", "img", "link", "input", "hr"}
SHAPES = {"rect", "line", "circle", "path"}


class Tags(HTMLParser):
    """Collects elements and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        optional = {"tr", "td", "th", "tbody", "thead", "p"}
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag or tag in optional


def parse(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    builder = Builder()
    return write_run(tmp_path_factory.mktemp("runs") / "first", builder, builder.build())


def test_the_report_counts_results_inside_the_intervals(folder: Path) -> None:
    page = render(open_history(folder))
    assert "judge: predictor; 90 % intervals held 30 of 35 results, by lot 9 of 10" in page
    for held in ("6 of 7", "1 of 2", "30 of 35", "9 of 10"):
        assert f"<td>{held}</td>" in page


def test_the_report_is_one_file_that_needs_nothing_else(folder: Path) -> None:
    page = write_report(folder, Builder().build()).read_text(encoding="utf-8")
    assert page == (folder / "report.html").read_text(encoding="utf-8")
    shown = page.replace(ServerSettings().url, "")  # a setting's value, as plain text
    assert not re.search(r"https?://|//[a-z]|url\(|@import", shown)
    tags = parse(page)
    names = {tag for tag, _ in tags.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "a", "form"}
    assert all(not name.startswith("on") and name not in ("src", "href")
               for _, attributes in tags.seen for name in attributes)  # fmt: skip
    assert list(folder.glob(".report*")) == []


def test_the_report_names_what_was_found(folder: Path) -> None:
    history = open_history(folder)
    page = render(history)
    for candidate in [*history.front(), *history.winners()]:
        assert candidate.id[:8] in page
    for word in ("forbidden name", "not chosen", "v004", history.content_hash, "--seed 3"):
        assert word in page
    assert "evoprompt resume" not in page
    assert "beats it on 10,000 test samples" in verdict(history)


def test_hostile_texts_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    builder = Builder(generations=3, proposals=32, hostile=HOSTILE)
    events = builder.build()
    folder = tmp_path / "run"
    (folder / "sources").mkdir(parents=True)
    for candidate, source in builder.sources.items():
        path = folder / "sources" / f"{candidate}.py"
        path.write_bytes(source.encode("utf-8", "surrogatepass"))
    page = write_report(folder, events).read_text(encoding="utf-8")
    names = {tag for tag, _ in parse(page).seen}
    assert not names & {"script", "img"}
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7 * 7 }}" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800]", page)


def test_a_report_of_a_stopped_run_says_how_to_go_on(tmp_path: Path) -> None:
    builder = Builder(generations=3)
    events = builder.build()
    folder = write_run(tmp_path / "run", builder, events[: len(events) * 2 // 3])
    page = render(open_history(folder))
    assert "not finished" in page
    assert f"evoprompt resume {folder}" in page
    assert "Not made yet" in page


def test_a_report_is_made_without_sources(tmp_path: Path) -> None:
    builder = Builder(generations=2)
    folder = write_run(tmp_path / "run", builder, builder.build())
    shutil.rmtree(folder / "sources")
    assert "Where the winners come from" in render(open_history(folder))


@pytest.mark.parametrize("width", [1040, 342])
def test_the_heatmap_has_a_box_for_every_cell(folder: Path, width: int) -> None:
    history = open_history(folder)
    picture = heatmap(history, width)
    filled = len(history.cells_at(history.generation))
    assert picture.count('class="cell filled"') == filled
    assert picture.count('class="cell empty"') == 12 * 8 - filled
    assert len(re.findall(r'class="seed"', picture)) == len(history.cells_at(0))
    assert all(label in picture for label in (">100<", ">1k<", ">10k<", ">100k<", ">1M<"))


def test_an_older_heatmap_shows_only_what_was_there(folder: Path) -> None:
    history = open_history(folder)
    assert heatmap(history, generation=0).count("cell filled") == len(history.cells_at(0))


def test_the_strip_ends_with_the_last_generation(folder: Path) -> None:
    history = open_history(folder)
    picture = strip(history)
    titles = re.findall(r">(seeds|generation \d+)<", picture)
    assert titles == ["seeds"] + [f"generation {g}" for g in range(1, 6)]
    fewer = re.findall(r">(seeds|generation \d+)<", strip(history, limit=3))
    assert fewer[0] == "seeds"
    assert fewer[-1] == "generation 5"


def test_the_strip_alone_is_a_picture_file(folder: Path) -> None:
    picture = standalone(strip(open_history(folder)))
    assert picture.startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    assert "prefers-color-scheme:dark" in picture
    parse(picture)


def test_pictures_of_an_empty_run_are_drawn(folder: Path) -> None:
    empty = replay([])
    for draw in (figures.best_so_far, figures.front_scatter, figures.predicted_measured,
                 figures.correlation, heatmap, strip):  # fmt: skip
        parse(draw(empty, 342))
    parse(figures.funnel_bars(empty.funnel()))


def test_no_mark_lies_outside_its_picture(folder: Path) -> None:
    history = open_history(folder)
    for draw in (figures.best_so_far, figures.front_scatter, figures.predicted_measured,
                 figures.correlation, heatmap, strip):  # fmt: skip
        for width in (500, 342):
            tags = parse(draw(history, width)).seen
            height = float(tags[0][1]["height"] or 0)
            for tag, at in tags:
                if tag in SHAPES | {"text"}:
                    for name, end in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                        assert 0 <= float(at.get(name) or 0) <= end + 0.1, (draw, tag, at)


def test_the_story_tells_each_change(folder: Path) -> None:
    history = open_history(folder)
    winner = history.winners()[0]
    steps = story(history, winner.id)
    assert steps[0].parent is None
    assert steps[-1].candidate == winner
    for step in steps[1:]:
        assert step.added == 2
        assert step.removed == 1
        assert step.parent is not None


def test_a_difference_is_cleaned_and_cut() -> None:
    lines = difference("a\n" * 3, "a\x1b[31m\n" + "b\n" * 5000)
    assert len(lines) == 401
    assert lines[-1].text == "\u2026"
    assert not any("\x1b" in x.text for x in lines)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_command_that_repeats_a_preset_is_the_preset(preset: str) -> None:
    command = search_command(to_dict(PRESETS[preset]()), "again")
    assert command == f"evoprompt search {preset} --run again"


def test_the_command_that_repeats_a_run_names_its_changes() -> None:
    settings = to_dict(PRESETS["smoke"]())
    settings["control"] = "grammar"
    settings["learn"]["gate_prompts"] = 3
    settings["archive"]["cells"] = [6, 4]
    settings["proposer"]["model"] = "it's a; model"
    command = search_command(settings, "again")
    assert command.startswith("evoprompt search smoke --run again ")
    for flag in ("--control grammar", "--learn.gate-prompts 3", "--archive.cells 6 4",
                 "--proposer.model 'it'\\''s a; model'"):  # fmt: skip
        assert flag in command


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;never closed", ""),
        ("a\x9b31mb", "a\ufffd31mb"),
        ("nul\x00 bell\x07", "nul\ufffd bell\ufffd"),
        ("tab\tline\nend\r\n", "tab\tline\nend\n"),
        ("\u202eevil \ud800", "\ufffdevil \ufffd"),
    ],
)
def test_control_characters_are_taken_out(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_colours_grow_lighter_with_accuracy() -> None:
    def lightness(place: float) -> float:
        text = colour(place)
        red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    steps = [lightness(i / 20) for i in range(21)]
    assert steps == sorted(steps)


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0.81, 0.97, 4) == pytest.approx([0.85, 0.9, 0.95])
    assert ticks(3, 3) == [3]
