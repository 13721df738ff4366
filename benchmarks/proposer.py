"""What the proposer can do: one run for each input shape, through the real screen.

    python benchmarks/proposer.py [--model builtin|FOLDER] [--samples 1000] [--case mnist1d]

Parents are programs that training never saw (another seed, and looked up in the corpus drawn
again); prompts, sampling settings and limits of the screen are those of a search with the preset
of the case; replies count as sampled, none is drawn again. Temperature .8 unless said otherwise.
A reply may name existing lines only, by a mask on the address tokens, and a class of the library
that it uses but lacks is added; both are part of the protocol.

- valid_t08, valid_t10: share of the replies that pass the screen, at temperatures .8 and 1.0.
  valid_t08_unmasked: without the mask. added: share of the replies to which a class was added.
- new: share of all replies that are valid, with a graph unlike their parents' and every other
  sample's of the run (of equal ones none counts), and whose canonical lines are no program of the
  training corpus. new_first: the same, but of equal ones the first counts.
- structural: share of the valid ones that differ from the first parent in operators or wiring (see
  proposer_structure.py: lines without numbers and graph without sizes must both differ).
- heredity: how much more children's lines are their own parents' than another prompt's, as a share
  of that of the grammar's own children of the same parents (evoprompt/learn/heredity.py).
- shrink, grow: of the valid children of those templates, the share with fewer, more parameters than
  the parent; shrink_of_all, grow_of_all: of all replies to them.
- cross_both: share of the valid crossovers with at least one line that only the first parent has
  and one that only the second has.
- repair: share of programs broken by the grammar, each confirmed as rejected by the screen, that
  one reply to the screen's message makes valid. repair_own: the same of the model's own rejected
  children, both temperatures, where there is a program to mend.
- valid_new_per_s: valid new children by the wall seconds of sampling and screening, both cores,
  round after round as in a search, at the templates' temperatures (proposer_speed.py).
- token_share: tokens written for each valid new child (as new_first), over the tokens of such a
  child's own canonical lines without numbers.
- foreign_valid: share of valid replies where the parents are the programs of tests/programs, in
  the canonical style as far as it can be had, by all templates (proposer_foreign.py).

Figures are over both cases together; each case's own stand under its name. The last line is one
JSON object. On a busy machine valid_new_per_s says nothing.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import proposer_figures as figures
from proposer_asking import Sample, at_temperature, judged, prompts_for, template_plan, written
from proposer_case import SHAPES, Case, opened, parents
from proposer_corpus import Corpus, read_corpus, streams_read
from proposer_foreign import foreign_parents, foreign_samples
from proposer_repair import BROKEN_SHARE, Mended, broken_by_grammar, broken_by_model, mended
from proposer_speed import Speed, timed

from evoprompt.propose.model_files import base_folder
from evoprompt.propose.templates import Template, load_templates
from evoprompt.propose.transformers_engine import TransformersEngine

COOL, WARM = 0.8, 1.0


@dataclass
class Found:
    """All samples of one case."""

    cool: list[Sample] = field(default_factory=list)
    warm: list[Sample] = field(default_factory=list)
    unmasked: list[Sample] = field(default_factory=list)
    foreign: list[Sample] = field(default_factory=list)
    foreign_counts: tuple[int, int, int] = (0, 0, 0)
    """Programs, with a numbered view, in the canonical style."""
    mended: list[Mended] = field(default_factory=list)
    mended_own: list[Mended] = field(default_factory=list)
    speed: Speed | None = None


@dataclass(frozen=True)
class Bench:
    """What all parts of the benchmark share."""

    templates: dict[str, Template]
    engine: TransformersEngine
    unmasked: TransformersEngine
    corpus: Corpus
    samples: int
    progress: Progress

    def bar(self, words: str, total: int) -> Callable[[int], None]:
        """A progress bar; what it returns hears how much is done."""
        self.progress.console.print(f"{time.strftime('%H:%M:%S')} {words}")
        task = self.progress.add_task(words, total=total)
        return lambda done: self.progress.update(task, completed=done)


def measured(bench: Bench, case: Case) -> Found:
    """Everything about one case, in turn."""
    prompts = -(-bench.samples // case.proposer.samples_per_prompt)
    pool_size = 2 * prompts + 20
    found = Found()
    for temperature, samples in ((COOL, found.cool), (WARM, found.warm)):
        words = f"{case.name} at {temperature}"
        pool = parents(case, words, pool_size, bench.corpus, bench.bar(f"{words}: parents", 0))
        plan = template_plan(bench.templates, case.proposer.cross_share, prompts)
        asked, shown = prompts_for(case, bench.templates, plan, pool, words)
        asked = at_temperature(asked, temperature)
        size, rounds = prompts * case.proposer.samples_per_prompt, case.proposer.prompts_per_round
        for engine, name, into in (
            (bench.engine, "", samples),
            (bench.unmasked, ", no mask", found.unmasked),
        ):
            if engine is bench.unmasked and temperature != COOL:
                continue
            replies = written(engine, asked, rounds, bench.bar(f"{words}{name}: sampling", size))
            advance = bench.bar(f"{words}{name}: screening", size)
            into += judged(case, asked, shown, replies, advance)
    _measure_repair(bench, case, found)
    _measure_foreign(bench, case, found)
    words = f"{case.name}: rounds against the clock"
    pool = parents(case, words, pool_size, bench.corpus, bench.bar(f"{words}: parents", 0))
    advance = bench.bar(words, bench.samples)
    found.speed = timed(case, bench.templates, pool, bench.engine, bench.samples, advance)
    return found


def _measure_repair(bench: Bench, case: Case, found: Found) -> None:
    template = next(each for each in bench.templates.values() if each.operator == "repair")
    count = max(8, bench.samples // BROKEN_SHARE)
    advance = bench.bar(f"{case.name}: repair", 0)
    pool = parents(case, "broken", count, bench.corpus, advance)
    broken = broken_by_grammar(case, pool)
    found.mended = mended(case, bench.engine, template, broken)
    broken = broken_by_model([*found.cool, *found.warm])
    found.mended_own = mended(case, bench.engine, template, broken)


def _measure_foreign(bench: Bench, case: Case, found: Found) -> None:
    foreign = foreign_parents(case)
    found.foreign_counts = foreign.count, len(foreign.parents), foreign.rewritten
    each = max(1, round(bench.samples / max(1, len(foreign.parents) * 5)))
    advance = bench.bar(f"{case.name}: foreign parents", 0)
    found.foreign = foreign_samples(
        case, bench.templates, bench.engine, foreign, each, COOL, advance
    )


def summary(found: Sequence[Found], corpus: Corpus, count: figures.CountTokens) -> dict:
    """All figures of some cases together."""
    cool = [each for one in found for each in one.cool]
    warm = [each for one in found for each in one.warm]
    unmasked = [each for one in found for each in one.unmasked]
    foreign = [each for one in found for each in one.foreign]
    own = [each for one in found for each in one.mended_own]
    run = [*cool, *warm]
    new = figures.new_ones(cool, run, corpus)
    first = figures.different_ones(cool, corpus)
    shrink, shrink_of_all = figures.moved(cool, "shrink")
    grow, grow_of_all = figures.moved(cool, "grow")
    counts = [sum(column) for column in zip(*(one.foreign_counts for one in found), strict=True)]
    return {
        "valid_t08": figures.valid(cool),
        "valid_t10": figures.valid(warm),
        "new": round(len(new) / len(cool), 4),
        "structural": figures.structural(cool),
        "heredity": figures.inheritance(cool),
        "shrink": shrink,
        "grow": grow,
        "cross_both": figures.cross_both(cool),
        "repair": figures.share(each.is_valid for one in found for each in one.mended),
        **speeds([one.speed for one in found if one.speed is not None]),
        "token_share": figures.token_share(cool, first, count),
        "foreign_valid": figures.valid(foreign),
        "valid_t08_unmasked": figures.valid(unmasked),
        "added": figures.share(each.added for each in cool),
        "new_first": round(len(first) / len(cool), 4),
        "new_t10": round(len(figures.new_ones(warm, run, corpus)) / len(warm), 4),
        "structural_t10": figures.structural(warm),
        "heredity_t10": figures.inheritance(warm),
        "shrink_of_all": shrink_of_all,
        "grow_of_all": grow_of_all,
        "repair_own": figures.share(each.is_valid for each in own),
        "repair_own_new": figures.share(each.is_new for each in own),
        "repair_own_count": len(own),
        "tokens_per_reply": round(sum(s.reply.token_count for s in cool) / len(cool), 1),
        "foreign_programs": counts[0],
        "foreign_shown": counts[1],
        "foreign_canonical": counts[2],
        "samples": len(cool),
        "rejections_t08": dict(figures.rejections(cool).most_common()),
        "rejections_t10": dict(figures.rejections(warm).most_common()),
        "rejections_foreign": dict(figures.rejections(foreign).most_common()),
        "valid_by_template": _by_template(cool),
        "foreign_by_template": _by_template(foreign),
        "not_mended": _not_mended(found),
    }


def speeds(timed: Sequence[Speed]) -> dict:
    """Children a second, and where the time went."""
    seconds = sum(each.seconds for each in timed)
    samples = sum(each.samples for each in timed)
    return {
        "valid_new_per_s": round(sum(each.valid_new for each in timed) / seconds, 2),
        "samples_per_s": round(samples / seconds, 2),
        "tokens_per_s": round(
            sum(s.tokens for s in timed) / sum(s.sampling_seconds for s in timed)
        ),
        "sampling_share": round(sum(each.sampling_seconds for each in timed) / seconds, 3),
        "screening_share": round(sum(each.screening_seconds for each in timed) / seconds, 3),
        "valid_new_share_mixed": round(sum(each.valid_new for each in timed) / samples, 4),
    }


def _by_template(samples: Sequence[Sample]) -> dict[str, float | None]:
    names = sorted({each.prompt.template for each in samples})
    return {
        name: figures.valid([each for each in samples if each.prompt.template == name])
        for name in names
    }


def _not_mended(found: Sequence[Found]) -> dict[str, str]:
    """Reason -> mended of how many, of the programs that the grammar broke."""
    every = [each for one in found for each in one.mended]
    out = {}
    for reason in sorted({each.reason for each in every}):
        of = [each.is_valid for each in every if each.reason == reason]
        out[reason] = f"{sum(of)} of {len(of)}"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="What the proposer can do.")
    parser.add_argument("--model", default="builtin", help="builtin or a folder")
    parser.add_argument("--samples", type=int, default=1000, help="for each case and temperature")
    parser.add_argument("--case", choices=tuple(SHAPES), help="one of them; all if not given")
    parser.add_argument("--corpus", type=int, default=1_500_000, help="most corpus edits looked at")
    given = parser.parse_args()
    console = Console()
    engine = TransformersEngine(given.model, 1)
    unmasked = TransformersEngine(given.model, 1, masks_addresses=False)
    folder = base_folder(given.model)
    streams = streams_read(folder)
    if streams is None:
        console.print(f"{folder} has no progress.json: newness against its corpus is not checked")
    found: dict[str, Found] = {}
    with Progress(console=console, transient=True) as progress:
        total = min(given.corpus, sum(edits for _, edits in streams or ()))
        task = progress.add_task("corpus", total=total)
        corpus = read_corpus(
            streams or (), given.corpus, lambda done: progress.update(task, completed=done)
        )
        console.print(f"corpus: {len(corpus.programs)} programs of {corpus.edits} edits")
        bench = Bench(load_templates(), engine, unmasked, corpus, given.samples, progress)
        for name in (given.case,) if given.case else tuple(SHAPES):
            with opened(name, given.model) as case:
                found[name] = measured(bench, case)
    print(json.dumps(report(found, corpus, engine)))


def report(found: dict[str, Found], corpus: Corpus, engine: TransformersEngine) -> dict:
    """The last line: both cases together, each by itself, and what was looked at."""

    def count(text: str) -> int:
        base = engine.base
        assert base is not None
        return len(base.encode_reply(text))

    return {
        **summary([*found.values()], corpus, count),
        "corpus_programs": len(corpus.programs),
        "corpus_share": round(corpus.share, 4),
        "cases": {name: summary([one], corpus, count) for name, one in found.items()},
    }


if __name__ == "__main__":
    main()
