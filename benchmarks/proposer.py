"""What the proposer can do: one run for each input shape, through the real screen.

    python benchmarks/proposer.py [--model builtin|FOLDER] [--samples 1000] [--case mnist1d]
        [--log replies.jsonl]

Parents are programs that training never saw (another seed, and looked up in the corpus drawn
again); prompts, sampling settings and limits of the screen are those of a search with the preset
of the case; replies count as sampled, none is drawn again. Temperature .8 unless said otherwise.
Two things are part of the protocol and reported apart: a mask on the address tokens (a reply names
existing lines, ranges that close the brackets they open, and no line of Net's skeleton), and
classes of the library, which are added where a reply uses one that its parent lacks.

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
  sampling_cpu_ms, screening_cpu_ms: processor time for each reply.
- token_share: tokens written for each valid new child (as new_first), over the tokens of such a
  child's own canonical lines without numbers.
- foreign_valid: share of valid replies where the parents are the programs of tests/programs, in
  the canonical style as far as it can be had, by all templates (proposer_foreign.py).

Further keys are counts, and shares by template and by reason of rejection.
Figures are over both cases together; each case's own stand under its name. The last line is one
JSON object. On a busy machine valid_new_per_s says nothing.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import proposer_figures as figures
from proposer_asking import (
    Asked,
    Sample,
    at_temperature,
    judged,
    prompts_for,
    template_plan,
    written,
)
from proposer_case import SHAPES, Case, Known, opened, parents
from proposer_corpus import Corpus, read_corpus, streams_read
from proposer_foreign import foreign_parents, foreign_samples
from proposer_repair import BROKEN_SHARE, broken_by_grammar, broken_by_model, mended
from proposer_report import Found, report, table, write_log
from proposer_speed import timed

from evoprompt.propose.local_base import open_base
from evoprompt.propose.prompting import proposing
from evoprompt.propose.templates import Template, load_templates
from evoprompt.propose.transformers_engine import TransformersEngine

COOL, WARM = 0.8, 1.0


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
        """A progress bar in place of the last one; what it returns hears how much is done."""
        self.progress.console.print(f"{time.strftime('%H:%M:%S')} {words}")
        for last in self.progress.tasks:
            self.progress.update(last.id, visible=False)
        task = self.progress.add_task(words, total=total)
        return lambda done: self.progress.update(task, completed=done)

    def say(self, words: str) -> None:
        """Print a line above the bar."""
        self.progress.console.print(words)


def measured(bench: Bench, case: Case) -> Found:
    """Everything about one case, in turn."""
    found = Found()
    for temperature, samples in ((COOL, found.cool), (WARM, found.warm)):
        words = f"{case.name} at {temperature}"
        asked, shown = _questions(bench, case, words)
        asked = at_temperature(asked, temperature)
        samples += _answered(bench, case, asked, shown, bench.engine, words)
        if temperature == COOL:
            words = f"{words} without mask"
            found.unmasked += _answered(bench, case, asked, shown, bench.unmasked, words)
    _measure_repair(bench, case, found)
    _measure_foreign(bench, case, found)
    words = f"{case.name} against the clock"
    pool = _pool(bench, case, words, bench.samples)
    advance = bench.bar(f"{words}: rounds", bench.samples)
    found.speed = timed(case, bench.templates, pool, bench.engine, bench.samples, advance)
    bench.say(f"{words}: {found.speed.valid_new / found.speed.seconds:.1f} valid new a second")
    return found


def _pool(bench: Bench, case: Case, words: str, samples: int) -> list[Known]:
    """Parents for so many samples, crossovers' second ones and a few to spare among them."""
    count = 2 * -(-samples // case.proposer.samples_per_prompt) + 20
    return parents(case, words, count, bench.corpus, bench.bar(f"{words}: parents", count))


def _questions(bench: Bench, case: Case, words: str) -> tuple[list[Asked], dict[str, Known]]:
    prompts = -(-bench.samples // case.proposer.samples_per_prompt)
    plan = template_plan(bench.templates, case.proposer.cross_share, prompts)
    pool = _pool(bench, case, words, bench.samples)
    return prompts_for(case, bench.templates, plan, pool, words)


def _answered(
    bench: Bench,
    case: Case,
    asked: list[Asked],
    shown: dict[str, Known],
    engine: TransformersEngine,
    words: str,
) -> list[Sample]:
    size = len(asked) * case.proposer.samples_per_prompt
    advance = bench.bar(f"{words}: sampling", size)
    replies = written(engine, asked, case.proposer.prompts_per_round, advance)
    samples = judged(case, asked, shown, replies, bench.bar(f"{words}: screening", size))
    bench.say(f"{words}: {figures.valid(samples)} valid of {len(samples)}")
    return samples


def _measure_repair(bench: Bench, case: Case, found: Found) -> None:
    template = next(each for each in bench.templates.values() if each.operator == "repair")
    count = max(8, bench.samples // BROKEN_SHARE)
    pool = parents(case, "broken", count, bench.corpus, bench.bar(f"{case.name}: repair", count))
    found.mended = mended(case, bench.engine, template, broken_by_grammar(case, pool))
    own = broken_by_model([*found.cool, *found.warm])
    found.mended_own = mended(case, bench.engine, template, own)


def _measure_foreign(bench: Bench, case: Case, found: Found) -> None:
    foreign = foreign_parents(case)
    found.foreign_counts = foreign.count, len(foreign.parents), foreign.rewritten
    prompts = len(foreign.parents) * len(proposing(bench.templates, case.proposer.cross_share))
    each = max(1, round(bench.samples / max(1, prompts)))
    advance = bench.bar(f"{case.name}: foreign parents", each * prompts)
    found.foreign = foreign_samples(
        case, bench.templates, bench.engine, foreign, each, COOL, advance
    )
    bench.say(f"{case.name}: foreign parents: {figures.valid(found.foreign)} valid")


def main() -> None:
    parser = argparse.ArgumentParser(description="What the proposer can do.")
    parser.add_argument("--model", default="builtin", help="builtin or a folder")
    parser.add_argument("--samples", type=int, default=1000, help="for each case and temperature")
    parser.add_argument("--case", choices=tuple(SHAPES), help="one of them; all if not given")
    parser.add_argument("--corpus", type=int, default=1_500_000, help="most corpus edits looked at")
    parser.add_argument("--log", type=Path, help="file for every reply and its verdict")
    given = parser.parse_args()
    console = Console()
    engine = TransformersEngine(given.model, 1)
    unmasked = TransformersEngine(given.model, 1, masks_addresses=False)
    base = open_base(given.model)
    streams = streams_read(base.folder)
    if streams is None:
        console.print(
            f"{base.folder} has no progress.json: newness against its corpus is not checked"
        )
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
    told = report(found, corpus, lambda text: len(base.encode_reply(text)))
    console.print(table(told, told["cases"]))
    if given.log is not None:
        write_log(given.log, found)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
