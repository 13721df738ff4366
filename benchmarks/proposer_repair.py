"""Repair: broken programs go to the proposer with the screen's message, once, as in a search.

In: a case, parents, an engine. Out: how many came back as programs that pass the screen. Two kinds
of broken programs: the grammar's (`breakage`, each first confirmed as rejected by the real screen)
and the model's own rejected children. A reply that could not be applied leaves no program to mend
and is not among the latter; how many there were is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from proposer_asking import Asked, Sample, written
from proposer_case import SEED, Case, Known

from evoprompt.candidate import Rejected, Sampling, Screened
from evoprompt.chance import derive, generator
from evoprompt.grammar.breakage import breakage
from evoprompt.grammar.canonical import source_of
from evoprompt.propose.engine import Engine
from evoprompt.propose.repairing import Broken, can_be_mended, make_repair_prompt
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import Template

BROKEN_SHARE = 4  # one broken program of the grammar for so many samples


@dataclass(frozen=True)
class Mended:
    """What came of one broken program."""

    reason: str
    is_valid: bool
    is_new: bool
    """Valid, with another graph than the parent's."""


def broken_by_grammar(case: Case, pool: Sequence[Known]) -> list[tuple[Broken, Known]]:
    """A broken program of each parent, of those that the screen does reject."""
    rng = generator(SEED, case.name, "breakage")
    specs = [(known, known.spec) for known in pool if known.spec is not None]
    sources = [
        source_of(list(breakage(spec, rng).lines), dimensions=spec.dimensions) for _, spec in specs
    ]
    answers = case.screener.screen_all(sources)
    return [
        (Broken(source, answer, (known.parent.id,), "any", ""), known)
        for source, answer, (known, _) in zip(sources, answers, specs, strict=True)
        if isinstance(answer, Rejected)
    ]


def broken_by_model(samples: Sequence[Sample]) -> list[tuple[Broken, Known]]:
    """The rejected children among the samples, each program once."""
    found: dict[str, tuple[Broken, Known]] = {}
    for each in samples:
        if isinstance(each.answer, Rejected) and each.source and can_be_mended(each.answer):
            told = each.prompt.parents, each.prompt.target, each.prompt.part
            broken = Broken(each.source, each.answer, *told)
            found.setdefault(each.source, (broken, each.parents[0]))
    return [*found.values()]


def mended(
    case: Case, engine: Engine, template: Template, broken: Sequence[tuple[Broken, Known]]
) -> list[Mended]:
    """One reply to each broken program; one that cannot be shown counts as not mended."""
    asked: list[Asked] = []
    places: list[int] = []
    for place, (each, known) in enumerate(broken):
        prompt = make_repair_prompt(template, each, known.parent, case.task)
        if prompt is not None:
            seed = derive(SEED, case.name, "repair", place)
            temperature = template.temperatures[place % len(template.temperatures)]
            settings = case.proposer
            told = settings.top_p, settings.max_tokens
            asked.append((prompt, Sampling(temperature, 1, seed, *told)))
            places.append(place)
    children: list[str | None] = [None] * len(broken)
    replies = written(engine, asked, 64, lambda done: None)
    for place, (prompt, _), (reply,) in zip(places, asked, replies, strict=True):
        child = read_reply(prompt, reply)
        children[place] = None if isinstance(child, Rejected) else child[0]
    readable = [child for child in children if child is not None]
    answers = iter(case.screener.screen_all(readable))
    out: list[Mended] = []
    for (each, known), child in zip(broken, children, strict=True):
        result = Mended(each.rejected.reason, False, False)
        answer = None if child is None else next(answers)
        if isinstance(answer, Screened):
            is_new = answer.graph != known.screened.graph
            result = replace(result, is_valid=True, is_new=is_new)
        out.append(result)
    return out
