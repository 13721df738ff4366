"""Programs in other styles than the grammar's as parents: are their children valid?

In: the folder of programs (tests/programs; the first line of each names its input shape). Out: a
sample for every reply. As in a search, a program is screened and adapted, then rewritten in the
canonical style from its recorded graph; the rewriting is kept only if the screen finds the same
graph, else the program stays as it is. One without a numbered view (over 99 lines) has no children
and is told. Every template that proposes children asks each of them; the second parent of a
crossover is the next of the programs.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from proposer_asking import Sample, at_temperature, judged, prompts_for, written
from proposer_case import SEED, Case, Known, known

from evoprompt.candidate import Rejected, Screened
from evoprompt.chance import generator
from evoprompt.propose.engine import Engine
from evoprompt.propose.prompting import proposing
from evoprompt.propose.templates import Template
from evoprompt.rewrite import rewrite

PROGRAMS = Path(__file__).resolve().parents[1] / "tests" / "programs"
_MARK = "# in_shape "


@dataclass(frozen=True)
class Foreign:
    """The programs of one case as parents."""

    parents: tuple[Known, ...]
    """Those with a numbered view."""
    count: int
    """All that the screen takes."""
    rewritten: int
    """In the canonical style by now."""


def foreign_parents(case: Case, folder: Path = PROGRAMS) -> Foreign:
    """The programs of the case's shape, screened and rewritten."""
    rng = generator(SEED, case.name, "foreign")
    texts = [path.read_text() for path in sorted(folder.glob("*.py"))]
    sources = [text for text in texts if shape_of(text) == case.task.in_shape]
    prepared = [case.screener.prepare(source) for source in sources]
    sources = [each.source for each in prepared if not isinstance(each, Rejected)]
    answers = case.screener.screen_all(sources)
    own = [(s, a) for s, a in zip(sources, answers, strict=True) if isinstance(a, Screened)]
    canonical = _rewritten(case, own)
    found = [
        known(canonical.get(answer.graph, source), answer, rng.randint(20, 99) / 100)
        for source, answer in own
    ]
    return Foreign(tuple(each for each in found if each.lines), len(found), len(canonical))


def shape_of(text: str) -> tuple[int, ...] | None:
    """The input shape that the first line names."""
    first = text.split("\n", 1)[0]
    return ast.literal_eval(first.removeprefix(_MARK)) if first.startswith(_MARK) else None


def _rewritten(case: Case, own: Sequence[tuple[str, Screened]]) -> dict[str, str]:
    """Graph -> canonical source, of those that keep their graph."""
    sources: dict[str, str] = {}
    for _, answer in own:
        graph = (case.screener.run_folder / answer.graph_path).read_bytes()
        source = rewrite(graph, case.task.in_shape, case.task.num_classes)
        if source is not None:
            sources[answer.graph] = source
    answers = case.screener.screen_all([*sources.values()])
    return {
        graph: source
        for (graph, source), answer in zip(sources.items(), answers, strict=True)
        if isinstance(answer, Screened) and answer.graph == graph
    }


def foreign_samples(
    case: Case,
    templates: Mapping[str, Template],
    engine: Engine,
    foreign: Foreign,
    per_prompt: int,
    temperature: float,
    advance: Callable[[int], None],
) -> list[Sample]:
    """Every template's children of every program."""
    asked, shown = [], {}
    small = replace(case, proposer=replace(case.proposer, samples_per_prompt=per_prompt))
    for place in range(len(foreign.parents)):
        turned = [*foreign.parents[place:], *foreign.parents[:place]]
        for name in proposing(templates, case.proposer.cross_share):
            more, seen = prompts_for(small, templates, [name], turned, f"foreign {place} {name}")
            asked += at_temperature(more, temperature)
            shown |= seen
    replies = written(engine, asked, case.proposer.prompts_per_round, advance)
    return judged(case, asked, shown, replies)
