"""Who are the parents, and what does a proposer write for them with a given number of tokens?

In: ledgers of runs, a model and an adapter. Out: for each seed its parents (programs that the
seed's tuning ledger does not hold, trained), and for each seed and method the replies, read and
screened. All methods see the same prompts and the same random numbers.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from tuning_store import Store

from evoprompt.candidate import Parent, Prompt, Rejected, Reply, Sampling, Screened, candidate_id
from evoprompt.chance import derive, generator
from evoprompt.config import ProposerSettings
from evoprompt.errors import ConfigError
from evoprompt.grammar.spec import render
from evoprompt.grammar.variation import random_spec
from evoprompt.propose.engine import Engine
from evoprompt.propose.prompting import can_be_parent, make_prompts
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import Template
from evoprompt.screen import Screener
from evoprompt.steps.ledgers import PastRun

AT_ONCE = 2  # replies to each prompt between two looks at the tokens
LEAST = 2.0  # times chance: what a parent's accuracy must be
TRIES = 30  # candidates for each parent before it gives up
Train = Callable[[Sequence[tuple[str, Screened]]], None]
"""Trains (source, its record), each graph once, into the store."""


@dataclass(frozen=True)
class Arm:
    """One proposer to be measured: which seed's, tuned by which method."""

    seed: int
    method: str
    run: PastRun


def find_parents(
    seed: int,
    past: Sequence[PastRun],
    own: PastRun,
    count: int,
    rooms: tuple[Store, Screener, Train],
) -> None:
    """Record the parents of a seed: children of other runs first, then programs of the grammar."""
    store, screener, train = rooms
    if seed in store.parents:
        return
    rng = generator(seed, "parents")
    candidates = itertools.chain(_of_other_runs(past, own, rng), _of_grammar(own, rng))
    known = set(own.graphs)
    found: list[dict] = []
    tried = 0
    while len(found) < count:
        sources = list(itertools.islice(candidates, count - len(found)))
        tried += len(sources)
        if tried > TRIES * count:
            raise ConfigError(
                f"{own.folder}: {len(found)} of {count} parents after {tried} candidates. Expected "
                f"programs that reach {LEAST / own.shape.num_classes:.0%} with the run's recipe. "
                "Name runs that train longer."
            )
        screened = [
            (source, answer)
            for source, answer in zip(sources, screener.screen_all(sources), strict=True)
            if isinstance(answer, Screened) and can_be_parent(source)
        ]
        fresh = {a.graph: (s, a) for s, a in reversed(screened) if a.graph not in known}
        known |= set(fresh)
        train([*fresh.values()])
        for source, answer in fresh.values():
            accuracy = store.trainings[answer.graph]["accuracy"]
            if accuracy is not None and accuracy > LEAST / own.shape.num_classes:
                store.keep_source(answer.candidate, source)
                found.append(_parent_row(answer, accuracy))
    store.add_parents({"seed": seed, "parents": found[:count]})


def _parent_row(answer: Screened, accuracy: float) -> dict:
    return {
        "candidate": answer.candidate,
        "graph": answer.graph,
        "accuracy": accuracy,
        "parameters": answer.parameters,
        "macs": answer.macs,
    }


def _of_other_runs(past: Sequence[PastRun], own: PastRun, rng: Random) -> Iterator[str]:
    """Sources of trained children of the other runs, in random order."""
    others = [each for each in past if each.folder != own.folder]
    found = [
        run.folder / "sources" / f"{program.id}.py"
        for run in others
        for program in run.state.trained()
        if not program.is_seed
    ]
    rng.shuffle(found)
    for path in found:
        yield path.read_text(encoding="utf-8")


def _of_grammar(own: PastRun, rng: Random) -> Iterator[str]:
    while True:
        yield render(random_spec(rng, own.shape.in_shape, own.shape.num_classes))


def prompts_for(
    seed: int, store: Store, own: PastRun, templates: dict[str, Template]
) -> list[tuple[Prompt, Sampling]]:
    """One prompt for each parent of a seed; donors of crossovers are drawn among the others."""
    parents = [
        Parent(
            p["candidate"], store.source(p["candidate"]), p["accuracy"], p["parameters"], p["macs"]
        )
        for p in store.parents[seed]["parents"]
    ]
    settings = replace(own.settings.proposer, samples_per_prompt=AT_ONCE)
    return [
        _prompt(place, parents, own, templates, settings, derive(seed, "tuning", place))
        for place in range(len(parents))
    ]


def _prompt(
    place: int,
    parents: list[Parent],
    own: PastRun,
    templates: dict[str, Template],
    settings: ProposerSettings,
    seed: int,
) -> tuple[Prompt, Sampling]:
    asked = itertools.count()

    def pick(rng: Random) -> Parent:
        return parents[place] if next(asked) == 0 else rng.choice(parents)

    return make_prompts(templates, pick, own.shape, 1, settings, seed)[0]


def write_children(
    arm: Arm,
    prompts: list[tuple[Prompt, Sampling]],
    budget: int,
    rooms: tuple[Store, Screener, Engine],
    say: Callable[[int, int], None],
) -> None:
    """Let the engine answer until the tokens are spent, screen what it wrote, and record it."""
    store, screener, engine = rooms
    written = _written(prompts, budget, engine, say)
    sources: dict[int, str] = {}
    for number, (place, reply) in enumerate(written):
        child = read_reply(prompts[place][0], reply)
        prepared = child if isinstance(child, Rejected) else screener.prepare(child[0])
        if not isinstance(prepared, Rejected):
            sources[number] = prepared.source
    verdicts = dict(zip(sources, screener.screen_all([*sources.values()]), strict=True))
    rows = []
    for number, (place, reply) in enumerate(written):
        answer = verdicts.get(number)
        row = {"parent": place, "tokens": reply.token_count, "operator": prompts[place][0].operator}
        if isinstance(answer, Screened):
            store.keep_source(candidate_id(sources[number]), sources[number])
            row |= {
                "candidate": answer.candidate,
                "graph": answer.graph,
                "graph_path": answer.graph_path,
                "parameters": answer.parameters,
                "macs": answer.macs,
            }
        rows.append(row)
    store.add_children({"seed": arm.seed, "method": arm.method, "rows": rows})


def _written(
    prompts: list[tuple[Prompt, Sampling]],
    budget: int,
    engine: Engine,
    say: Callable[[int, int], None],
) -> list[tuple[int, Reply]]:
    """(place of the prompt, reply) until the tokens are spent.

    Every prompt is answered once before any is answered twice; the reply that spends the last token
    still counts, so that methods differ by at most one reply's length.
    """
    written: list[tuple[int, Reply]] = []
    spent = 0
    for chunk in itertools.count():
        if spent >= budget:
            break
        asked = [
            replace(sampling, seed=derive(sampling.seed, "chunk", chunk) % 2**31)
            for _, sampling in prompts
        ]
        answers = engine.sample([prompt for prompt, _ in prompts], asked)
        for number, (place, group) in itertools.product(range(AT_ONCE), enumerate(answers)):
            if spent < budget:
                written.append((place, group[number]))
                spent += max(1, group[number].token_count)  # a refused prompt ends as well
        say(min(spent, budget), budget)
    return written
