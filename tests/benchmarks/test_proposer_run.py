"""The proposer's benchmark in small, with the real model and the real screen."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from proposer_asking import at_temperature, judged, prompts_for, template_plan, written
from proposer_case import Case, opened, parents
from proposer_corpus import Corpus
from proposer_foreign import PROGRAMS, foreign_parents, foreign_samples
from proposer_repair import broken_by_grammar, broken_by_model, mended
from proposer_report import KEYS, Found, report, write_log
from proposer_speed import timed

from evoprompt.candidate import Reason
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.view import shown_lines
from evoprompt.propose.templates import load_templates
from evoprompt.propose.transformers_engine import TransformersEngine

NOTHING = Corpus(frozenset())
TEMPLATES = load_templates()


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    with opened("digits", "builtin") as whole:
        yield replace(whole, proposer=replace(whole.proposer, samples_per_prompt=2))


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine("builtin", 1)


def ignore(done: int) -> None:
    """Progress that nobody watches."""


def test_parents_are_valid_different_and_not_in_the_corpus(case: Case) -> None:
    pool = parents(case, "a test", 6, NOTHING, ignore)
    assert len({each.screened.graph for each in pool}) == 6
    assert all(each.parent.parameters == each.screened.parameters for each in pool)
    corpus = Corpus(frozenset({hash("\n".join(pool[0].lines))}))
    again = parents(case, "a test", 6, corpus, ignore)
    assert pool[0].lines not in {each.lines for each in again}
    assert pool[1].lines in {each.lines for each in again}


def test_every_reply_has_a_verdict_and_every_figure_is_there(
    case: Case, engine: TransformersEngine, tmp_path: Path
) -> None:
    found = Found()
    pool = parents(case, "whole", 16, NOTHING, ignore)
    plan = template_plan(TEMPLATES, case.proposer.cross_share, 8)
    asked, shown = prompts_for(case, TEMPLATES, plan, pool, "whole")
    for temperature, into in ((0.8, found.cool), (1.0, found.warm), (0.8, found.unmasked)):
        warmed = at_temperature(asked, temperature)
        into += judged(case, warmed, shown, written(engine, warmed, 4, ignore))
        assert len(into) == 16
    assert found.cool == found.unmasked  # the same engine, asked the same
    assert {each.prompt.template for each in found.cool} == {*TEMPLATES} - {"repair"}
    found.foreign_counts, found.foreign = (0, 0, 0), found.cool[:1]
    broken = broken_by_grammar(case, pool[:6])
    found.mended = mended(case, engine, TEMPLATES["repair"], broken)
    found.mended_own = mended(case, engine, TEMPLATES["repair"], broken_by_model(found.cool))
    assert len(found.mended) == len(broken) > 0
    found.speed = timed(
        case, TEMPLATES, parents(case, "fast", 16, NOTHING, ignore), engine, 8, ignore
    )
    assert found.speed.samples >= 8
    assert found.speed.valid_new <= found.speed.valid <= found.speed.samples
    told = report({"digits": found}, NOTHING, len)
    assert [key for key in KEYS if key not in told] == []
    write_log(tmp_path / "log.jsonl", {"digits": found})
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 49


def test_programs_broken_by_the_grammar_are_rejected_by_the_screen(case: Case) -> None:
    pool = parents(case, "broken", 8, NOTHING, ignore)
    broken = broken_by_grammar(case, pool)
    assert len(broken) >= 6
    assert all(isinstance(each.rejected.reason, Reason) for each, _ in broken)


def test_foreign_programs_become_canonical_and_are_asked_by_every_template(
    case: Case, engine: TransformersEngine, tmp_path: Path
) -> None:
    for path in PROGRAMS.glob("*.py"):
        if path.name[:2] in ("02", "05", "17", "19"):
            shutil.copy(path, tmp_path)
    foreign = foreign_parents(case, tmp_path)
    assert foreign.count == foreign.rewritten > 1
    assert all(each.parent.source not in seeds((1, 8, 8), 10).values() for each in foreign.parents)
    assert all(
        tuple(shown_lines(each.parent.source) or ()) == each.lines for each in foreign.parents
    )
    found = foreign_samples(case, TEMPLATES, engine, foreign, 1, 0.8, ignore)
    assert len(found) == len(foreign.parents) * (len(TEMPLATES) - 1)
    crossed = [each for each in found if each.prompt.operator == "cross"]
    assert all(len({known.parent.id for known in each.parents}) == 2 for each in crossed)
