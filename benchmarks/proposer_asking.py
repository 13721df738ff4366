"""Prompts as a search would send them, and what became of each reply.

In: a case, parents that are used once each, an engine, a temperature. Out: one `Sample` for every
reply, as sampled: read by the search's own reader and put through the real screen, none drawn
again. Templates come in the shares that their weights give, so that every run has all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from proposer_case import SEED, Case, Known

from evoprompt.candidate import Parent, Prompt, Rejected, Reply, Sampling, Screened
from evoprompt.chance import derive
from evoprompt.grammar.view import shown_lines
from evoprompt.propose.engine import Engine
from evoprompt.propose.prompting import make_prompts, proposing
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import Template

Asked = tuple[Prompt, Sampling]


@dataclass(frozen=True)
class Sample:
    """One reply and what became of it."""

    case: str
    prompt: Prompt
    parents: tuple[Known, ...]
    """The first one's lines were edited."""
    reply: Reply
    source: str
    """The child; empty if the reply could not be read."""
    added: bool
    """Whether a class of the library was added that the reply used and the parent lacked."""
    answer: Screened | Rejected

    @property
    def is_valid(self) -> bool:
        """Whether it passed the screen."""
        return isinstance(self.answer, Screened)

    @property
    def screened(self) -> Screened:
        """The figures of a valid one."""
        assert isinstance(self.answer, Screened)
        return self.answer

    @property
    def lines(self) -> list[str]:
        """Numbered lines of the child; none where it has no such view."""
        return shown_lines(self.source) or []


def template_plan(templates: Mapping[str, Template], cross_share: float, count: int) -> list[str]:
    """The template of each of `count` prompts: shares by weight, the rare ones at least once."""
    shares = proposing(templates, cross_share)
    total = sum(shares.values())
    plan = {name: max(1, round(count * share / total)) for name, share in shares.items()}
    most = max(plan, key=lambda name: plan[name])
    plan[most] = max(1, plan[most] + count - sum(plan.values()))
    return [name for name, number in plan.items() for _ in range(number)]


def prompts_for(
    case: Case,
    templates: Mapping[str, Template],
    plan: Sequence[str],
    pool: Iterable[Known],
    purpose: str,
) -> tuple[list[Asked], dict[str, Known]]:
    """One prompt for each template of the plan, and its parents by id.

    Every parent of the pool is shown in one prompt at most.
    """
    waiting = iter(pool)
    shown: dict[str, Known] = {}

    def pick(_: Random) -> Parent:
        known = next(waiting)
        shown[known.parent.id] = known
        return known.parent

    asked: list[Asked] = []
    names = proposing(templates, case.proposer.cross_share)
    for number, name in enumerate(plan):
        shares = {each: float(each == name) for each in names}
        seed = derive(SEED, case.name, purpose, number)
        asked += make_prompts(templates, pick, case.task, 1, case.proposer, seed, shares=shares)
    return asked, shown


def at_temperature(asked: Iterable[Asked], temperature: float) -> list[Asked]:
    """The same prompts with one temperature for all."""
    return [(prompt, replace(sampling, temperature=temperature)) for prompt, sampling in asked]


def written(
    engine: Engine, asked: Sequence[Asked], per_round: int, advance: Callable[[int], None]
) -> list[list[Reply]]:
    """The replies to each prompt, asked in rounds as a search does."""
    replies: list[list[Reply]] = []
    for start in range(0, len(asked), per_round):
        part = asked[start : start + per_round]
        replies += engine.sample([prompt for prompt, _ in part], [each for _, each in part])
        advance(sum(map(len, replies)))
    return replies


def judged(
    case: Case,
    asked: Sequence[Asked],
    shown: Mapping[str, Known],
    replies: Sequence[Sequence[Reply]],
    advance: Callable[[int], None] | None = None,
) -> list[Sample]:
    """Read every reply and screen what could be read."""
    pairs = [
        (prompt, reply)
        for (prompt, _), group in zip(asked, replies, strict=True)
        for reply in group
    ]
    read = [read_reply(prompt, reply) for prompt, reply in pairs]
    sources = [child[0] for child in read if not isinstance(child, Rejected)]
    answers = iter(case.screener.screen_all(sources, advance))
    out: list[Sample] = []
    for (prompt, reply), child in zip(pairs, read, strict=True):
        parents = tuple(shown[each] for each in prompt.parents)
        if isinstance(child, Rejected):
            out.append(Sample(case.name, prompt, parents, reply, "", False, child))
            continue
        source, notes = child
        added = any(note.startswith("added ") for note in notes)
        out.append(Sample(case.name, prompt, parents, reply, source, added, next(answers)))
    return out
