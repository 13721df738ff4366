import io

import pytest
from rich.console import Console

from evoprompt.ledger import Event
from evoprompt.view.choices import by_part, by_template
from evoprompt.view.history import History, is_child, open_history, replay
from evoprompt.view.lineage import story
from evoprompt.view.novelty import duplicates, lines
from evoprompt.view.report import render
from evoprompt.view.terminal import show
from tests.view.synthetic_run import Builder, write_run

NEW_FIELDS = ("part", "lines", "repairs", "broken", "canonical", "prompt_tokens", "of", "how")


@pytest.fixture(scope="module")
def history() -> History:
    return replay(Builder(generations=4).build())


def test_templates_add_up_to_the_funnel(history: History) -> None:
    rows = by_template(history)
    assert {row.name for row in rows} == {"mutate", "cross", "repair"}
    chosen = [row for row in rows if row.share is not None]
    counts = history.funnel().counts
    for name, step in (("proposed", "proposed"), ("valid", "valid"), ("new", "new graph"),
                       ("trained", "trained"), ("entered", "elite")):  # fmt: skip
        assert sum(getattr(row, name) for row in chosen) == counts[step]
    assert sum(row.share or 0 for row in chosen) == pytest.approx(1)
    assert sum(row.last_share or 0 for row in chosen) == pytest.approx(1)
    children = [p for p in history.proposals if p.generation > 0]
    assert sum(row.token_count for row in rows) == sum(p.token_count for p in children)


def test_repairs_are_counted_apart(history: History) -> None:
    (row,) = [row for row in by_template(history) if row.name == "repair"]
    counts = history.repairs().counts
    assert (row.proposed, row.valid) == (counts["proposed"], counts["valid"]) == (12, 8)
    assert row.share is None
    assert history.funnel().counts["proposed"] == 4 * 64
    versions = [history.funnel_of(lambda p, v=v: is_child(p) and p.version == v).counts
                for v in history.versions()]  # fmt: skip
    assert sum(each["proposed"] for each in versions) == 4 * 64


def test_parts_add_up_to_the_proposals(history: History) -> None:
    rows = by_part(history)
    assert {row.name for row in rows} == {"width", "depth", "any"}
    assert sum(row.proposed for row in rows) == history.funnel().counts["proposed"]


def test_duplicates_are_counted_by_kind(history: History) -> None:
    known = duplicates(history)
    assert known.proposed == history.totals.proposal_count
    kinds = dict(known.kinds())
    assert kinds["a known source"] > 0
    assert kinds["known lines in another layout"] > 0
    assert kinds["the graph of another program"] > 0
    counts = history.funnel().counts
    repeated = counts["parsed"] - counts["new source"] + counts["valid"] - counts["new graph"]
    assert known.total == repeated


def test_a_graph_that_a_parent_has_is_a_kind_of_its_own() -> None:
    events = Builder(generations=1, proposals=16, trained=3).build()
    parents = {e.payload["candidate"]: e.payload["parents"] for e in events if e.kind == "proposed"}
    for place, event in enumerate(events):
        if event.kind == "screened" and event.payload["known_graph"]:
            first = parents[event.payload["candidate"]][0]
            payload = {**event.payload, "known_graph": first}
            events[place] = Event(*event.key, event.kind, payload, event.clock)
    known = duplicates(replay(events))
    assert known.parents_graph > 0
    assert known.known_graph == 0


def test_new_lines_are_summed(history: History) -> None:
    told = [p for p in history.proposals if p.added_lines is not None]
    counted = lines(history)
    assert counted.added == 4 * len(told)
    assert 0 < counted.again < len(told)


def shown(folder) -> str:
    out = io.StringIO()
    show(folder, Console(file=out, width=160))
    return out.getvalue()


def test_report_and_terminal_tell_all_of_it(tmp_path) -> None:
    builder = Builder(generations=4)
    folder = write_run(tmp_path / "run", builder, builder.build())
    page, text = render(replay(builder.events)), shown(folder)
    known, mended = duplicates(replay(builder.events)), "8 of 12 mended"
    for word in ("parts to change", "templates", mended, "from an earlier ancestor"):
        assert word in text
    for kind, number in known.kinds():
        assert f"{kind} {number}" in text or not number
        assert kind in page
    assert "12 went back" in page
    assert "part to change" in page


def test_a_ledger_from_before_is_shown_without_them(tmp_path) -> None:
    builder = Builder(generations=2)
    old = []
    for event in builder.build():
        if event.index < 1_000_000:
            payload = {k: v for k, v in event.payload.items() if k not in NEW_FIELDS}
            old.append(Event(*event.key, event.kind, payload, event.clock))
    folder = write_run(tmp_path / "run", builder, old)
    page, text = render(replay(old)), shown(folder)
    for word in ("part to change", "earlier ancestor", "went back"):
        assert word not in page
        assert word not in text
    assert "templates" in text
    assert duplicates(replay(old)).source > 0


def test_the_difference_to_a_parent_is_that_to_what_was_shown_of_it(tmp_path) -> None:
    builder = Builder(generations=1)
    events = builder.build()
    child = next(e for e in events if e.kind == "proposed" and e.generation and e.payload["parents"]
                 and e.payload["candidate"])  # fmt: skip
    parent = child.payload["parents"][0]
    shown_as = "f" * 64
    builder.sources[shown_as] = "# written again\n" + builder.sources[parent]
    payload = {"candidate": parent, "graph": "g", "source": shown_as, "reason": None}
    events.append(Event(0, "rewrite", 0, "rewritten", payload))
    history = open_history(write_run(tmp_path / "run", builder, events))
    step = story(history, child.payload["candidate"])[-1]
    assert any(line.text == "-# written again" for line in step.lines)
