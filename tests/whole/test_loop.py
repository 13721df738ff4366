"""What stands between proposing and scoring: known programs, repairs, parents written again."""

import re
import shutil

import pytest

from evoprompt.ledger import Event, content_hash
from evoprompt.screen import Screener
from evoprompt.state import Spent
from evoprompt.steps.novelty import line_news
from evoprompt.steps.parents import as_parent
from evoprompt.steps.propose import template_shares
from evoprompt.steps.repair import MENDED
from tests.whole.by_hand import TASK, ByHand, proposer

ONE_PARENT = {"cross_share": 0.0, "choose_templates": "weights"}


@pytest.fixture(scope="module")
def screener(tmp_path_factory):
    """One jail for all tests of this file."""
    screener = Screener(proposer().screen, TASK, tmp_path_factory.mktemp("graphs"))
    yield screener
    screener.close()


@pytest.fixture(scope="module")
def planted(tmp_path_factory, screener):
    """A run folder with nothing but the seeds."""
    folder = tmp_path_factory.mktemp("planted")
    ByHand(folder, screener).close()
    return folder


@pytest.fixture
def by_hand(tmp_path, planted, screener):
    """Opens searches by hand in one folder, one after another, and closes the last one."""
    opened = []

    def start(script=lambda prompt, i: "", name="run", **changes):
        if opened:
            opened[-1].close()
        if not (tmp_path / name).exists():
            shutil.copytree(planted, tmp_path / name)
        settings = proposer(**(ONE_PARENT | changes))
        opened.append(ByHand(tmp_path / name, screener, script, settings))
        opened[-1].crown(opened[-1].seed())
        return opened[-1]

    yield start
    opened[-1].close()


def kinds(by, events):
    return [e.kind if e else None for e in by.verdicts(events)]


def layer_line(prompt, name="nn.ReLU(),"):
    """The number of the first line of the numbered view that reads so."""
    return int(re.search(rf"^L(\d+)\s*{re.escape(name)}$", prompt.text, re.M)[1])


def replaced(new):
    return lambda prompt, i: f"@L{layer_line(prompt)}\n{new[i]}\n@end"


def test_programs_that_are_known_are_dropped_before_the_screen(by_hand):
    by = by_hand(replaced(["nn.GELU(),", "nn.GELU(),", "nn.GELU(),  # smooth", "nn.SiLU(),"]))
    proposed, mended = by.round()
    assert kinds(by, proposed) == ["screened", "duplicate", "duplicate", "screened"]
    first, *known, _ = (e.payload for e in by.verdicts(proposed))
    assert [k["how"] for k in known] == ["source", "lines"]
    assert {k["of"] for k in known} == {first["candidate"]}
    assert mended == []
    again, _ = by.round(number=1)
    assert kinds(by, again) == ["duplicate"] * 4


def test_a_program_in_another_layout_counts_as_valid_and_not_as_new(by_hand):
    by = by_hand(replaced(["nn.GELU(),", "nn.GELU(),  # smooth"]), samples_per_prompt=2)
    proposed, _ = by.round()
    first, second = (by.run.state.programs[e.payload["candidate"]] for e in proposed)
    assert first.known_graph is None
    assert second.screened == first.screened
    assert second.known_graph == first.id


def test_a_child_with_the_graph_of_its_parent_is_known(by_hand):
    by = by_hand(replaced(["nn.Sequential(nn.ReLU()),"]), samples_per_prompt=1)
    proposed, _ = by.round()
    (verdict,) = by.verdicts(proposed)
    assert verdict.kind == "screened"
    assert verdict.payload["known_graph"] == by.seed()


BREAKS = ["nn.Gelu(),", "nn.GELU()", "nn.LazyLinear(0.5),", "nn.GELU(),"]


def mending(prompt, i):
    """Breaks a program in three ways, and mends what comes back."""
    if prompt.operator != "repair":
        return replaced(BREAKS)(prompt, i)
    broken = next(b for b in BREAKS if re.search(rf"^L\d+\s*{re.escape(b)}$", prompt.text, re.M))
    fixed = {"nn.Gelu(),": "nn.CELU(),", "nn.GELU()": "nn.SELU(),"}.get(broken, "nn.Worse(),")
    return f"@L{layer_line(prompt, broken)}\n{fixed}\n@end"


def test_rejected_children_go_back_once_with_reason_and_line(by_hand):
    by = by_hand(mending)
    proposed, mended = by.round()
    assert [e.index for e in mended] == [MENDED, MENDED + 1, MENDED + 2]
    assert kinds(by, mended) == ["screened", "screened", "rejected"]
    line = layer_line(by.engine.asked[0])
    by_reason = {p.text.split("rejected ")[1].split()[0]: p for p in by.engine.asked[1:]}
    assert {"build_error", "syntax"} < set(by_reason)
    assert f"rejected build_error L{line}" in by_reason["build_error"].text
    for child, broken in zip(mended, proposed, strict=False):
        assert child.payload["operator"] == child.payload["template"] == "repair"
        assert child.payload["parents"] == broken.payload["parents"] == [by.seed()]
        assert child.payload["repairs"]["index"] == broken.index
        assert child.payload["repairs"]["template"] == broken.payload["template"]


def test_nothing_goes_back_twice(by_hand):
    by = by_hand(mending)
    by.round()
    asked = len(by.engine.asked)
    proposed, mended = by.round(number=1)
    assert mended == []
    assert len(by.engine.asked) == asked + 1
    assert all(e.payload["candidate"] is None or v.kind == "duplicate"
               for e, v in zip(proposed, by.verdicts(proposed), strict=True))  # fmt: skip


def test_an_edit_that_cannot_be_applied_leaves_nothing_to_mend(by_hand):
    replies = ["@L99\nnn.GELU(),\n@end", "hello", "", "@L1"]
    by = by_hand(lambda prompt, i: replies[i])
    proposed, mended = by.round()
    assert {e.payload["rejected"]["stage"] for e in proposed} == {"parse"}
    assert mended == []


def test_at_most_so_many_repairs_and_none_if_there_should_be_none(by_hand):
    by = by_hand(mending, repairs_per_round=2)
    _, mended = by.round()
    assert len(mended) == 2
    by = by_hand(mending, repairs_per_round=0)
    _, mended = by.round(number=1)
    assert mended == []


def test_a_resumed_search_does_nothing_again_and_goes_on_in_the_same_way(by_hand):
    by = by_hand(mending, repairs_per_round=2)
    by.round()
    by.round(number=1)
    before = by.run.ledger.events()

    def silent(prompt, i):
        raise AssertionError("asked again")

    resumed = by_hand(silent, repairs_per_round=2)
    resumed.round()
    resumed.round(number=1)
    assert resumed.run.ledger.events() == before
    assert resumed.run.state == by.run.state
    other = by_hand(mending, "other", repairs_per_round=2)
    other.round()
    other.round(number=1)
    assert other.run.ledger.content_hash() == content_hash(before)


FOREIGN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        layers = []
        for width in (6, {width}):  # two of them
            layers += [nn.LazyConv2d(width, 3, padding=1), nn.ReLU()]
        self.layers = nn.ModuleList(layers)
        self.out = nn.LazyLinear(num_classes)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.out(torch.flatten(x, 1))
"""


def test_a_parent_in_a_foreign_style_is_shown_in_the_canonical_one(by_hand):
    by = by_hand()
    foreign = by.propose(FOREIGN.format(width=8))
    by.rewrite(foreign)
    (event,) = by.run.ledger.events(0, "rewrite")
    program = by.run.state.programs[foreign]
    assert event.payload["graph"] == program.screened.graph
    source = by.run.shown_source(foreign)
    assert source != by.run.source(foreign)
    assert "self.body = nn.Sequential(" in source
    (verdict,) = by.run.screener.screen_all([source])
    assert verdict.graph == program.screened.graph
    parent = as_parent(by.run, program)
    assert (parent.id, parent.source) == (foreign, source)


def test_a_program_with_a_body_of_layers_is_left_as_it_is(by_hand):
    by = by_hand()
    source = by.run.source(by.seed()).replace("nn.ReLU(),", "nn.Softshrink(0.3),", 1)
    unknown = by.propose(source)
    by.rewrite(unknown, *(p.id for p in by.run.state.programs.values() if p.is_seed))
    assert by.run.ledger.events(0, "rewrite") == []
    assert by.run.shown_source(unknown) == source


def test_what_was_written_again_is_not_written_again_and_resumes_as_it_was(by_hand):
    by = by_hand()
    foreign = by.propose(FOREIGN.format(width=8))
    by.rewrite(foreign, by.seed())
    source = by.run.shown_source(foreign)
    by.rewrite(foreign, call=1)
    assert len(by.run.ledger.events(0, "rewrite")) == 1
    resumed = by_hand()
    for event in by.events:
        resumed.run.take(event)
    resumed.rewrite(foreign, by.seed())
    assert resumed.run.shown_source(foreign) == source
    assert resumed.run.ledger.content_hash() == content_hash(by.events)


def test_the_canonical_form_of_a_known_program_is_known(by_hand):
    by = by_hand()
    foreign = by.propose(FOREIGN.format(width=8))
    by.rewrite(foreign)
    again = by.propose(by.run.shown_source(foreign).replace("nn.ReLU(),", "nn.ReLU(),  # same"))
    verdict = by.run.ledger.events(0, "screen")[-1]
    assert (verdict.kind, verdict.payload["candidate"]) == ("duplicate", again)
    assert verdict.payload["of"] == foreign


def test_lines_that_an_ancestor_had_and_its_child_lost_are_counted_when_they_come_back(by_hand):
    old, new, other = (f"nn.LazyConv2d({width}, 5, 2, 1)," for width in (25, 30, 35))
    by = by_hand(
        lambda prompt, i: f"@L{layer_line(prompt, old)}\n{new}\n@end", samples_per_prompt=1
    )
    ((event,), _) = by.round()
    assert event.payload["lines"] == {"added": 1, "again": 0}
    child = event.payload["candidate"]
    source = by.run.source(child)
    assert line_news(by.run, source.replace(new, other), source, (child,))["again"] == 0
    back = source.replace(new, old).replace("nn.ReLU(),", "nn.SiLU(),")
    assert line_news(by.run, back, source, (child,)) == {"added": 2, "again": 1}
    assert line_news(by.run, back, source, (child, by.seed())) == {"added": 2, "again": 0}


def test_a_template_whose_children_enter_the_archive_is_drawn_more_often(by_hand):
    by = by_hand(choose_templates="bandit")
    before = template_shares(by.run, 5)
    assert before == template_shares(by.run, 5)
    state = by.run.state
    for name in before:
        state.spent[1, name] = Spent(1000, 8 if name == "shrink" else 1)
    after = template_shares(by.run, 5)
    assert after["shrink"] > 2 * before["shrink"]
    assert "repair" not in after
    by = by_hand(choose_templates="weights")
    by.run.state.spent = state.spent
    assert template_shares(by.run, 5)["shrink"] == pytest.approx(before["shrink"], abs=0.05)


def test_what_a_template_spent_and_brought_is_read_off_the_events(by_hand):
    by = by_hand(mending)
    proposed, mended = by.round()
    template = proposed[0].payload["template"]
    assert by.run.state.spent[1, template].token_count == 10 * (len(proposed) + len(mended))
    child = mended[0].payload["candidate"]
    payload = {"candidate": child, "status": "improved"}
    by.run.take(Event(1, "archive", 0, "archived", payload))
    by.run.take(Event(1, "archive", 1, "archived", {**payload, "status": "kept"}))
    assert by.run.state.spent[1, template].entered_count == 1


def test_generations_of_runs_from_before_are_left_as_they_are(by_hand):
    by = by_hand(mending, repairs_per_round=0)
    by.round()
    foreign = by.propose(FOREIGN.format(width=8))
    by.run.once(0, "learn", 0, lambda: ("old", {}, {}))
    by.run.once(1, "choose", 0, lambda: ("old", {}, {}))
    before = by.events
    resumed = by_hand(mending)
    resumed.round()
    for event in before:
        resumed.run.take(event)
    resumed.rewrite(foreign)
    assert resumed.events == before
