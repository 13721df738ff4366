"""The shipped model: small, ours, and a writer of edits that can be applied and mostly run."""

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
import torch
from transformers import AutoTokenizer

from evoprompt.candidate import (
    Parent,
    Prompt,
    Rejected,
    Reply,
    Sampling,
    Screened,
    TaskShape,
    candidate_id,
)
from evoprompt.config import ProposerSettings, ScreenSettings
from evoprompt.grammar.breakage import breakage
from evoprompt.grammar.canonical import own_lines, source_of
from evoprompt.grammar.edits import END
from evoprompt.grammar.shapes import totals
from evoprompt.grammar.spec import Spec
from evoprompt.grammar.spec import render as program
from evoprompt.grammar.variation import random_spec
from evoprompt.propose.builtin_training import Settings, load, train
from evoprompt.propose.model_files import BUILTIN
from evoprompt.propose.prompting import make_prompts, proposing
from evoprompt.propose.reply import read_reply
from evoprompt.propose.shown import ShownError, shown
from evoprompt.propose.templates import load_templates, render
from evoprompt.propose.transformers_engine import TransformersEngine
from evoprompt.screen import Screener

TASKS = [TaskShape("mnist1d", (1, 40), 10), TaskShape("digits", (1, 8, 8), 10)]
PROPOSING = ("mutate", "cross", "shrink", "grow", "explore")
PROMPTS, SAMPLES = 8, 4  # of each operator and task


class Child(NamedTuple):
    """One reply and what the screen said."""

    prompt: Prompt
    parent: Parent
    source: str | None
    """None: the reply is no edit."""
    parameters: int
    """0: the screen rejects it."""


Children = dict[str, list[Child]]


@pytest.fixture(scope="module")
def engine():
    return TransformersEngine("builtin", threads=1)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(BUILTIN)


def parent_of(spec: Spec) -> Parent:
    source, size = program(spec), totals(spec)
    return Parent(candidate_id(source), source, 0.8, size.parameters, size.macs)


def sizes_of(folder: Path, task: TaskShape, sources: list[str | None]) -> list[int]:
    """Parameters of the programs by the real screen; 0 for those that it rejects."""
    settings = ScreenSettings(workers=1, seconds_limit=60.0, cpu_seconds=30)
    screener = Screener(settings, task, folder)
    try:
        answers = iter(screener.screen_all([source for source in sources if source]))
    finally:
        screener.close()
    found = [next(answers) if source else None for source in sources]
    return [each.parameters if isinstance(each, Screened) else 0 for each in found]


def program_in(prompt: Prompt, reply: Reply) -> str | None:
    child = read_reply(prompt, reply)
    return None if isinstance(child, Rejected) else child[0]


@pytest.fixture(scope="module")
def children(engine, tmp_path_factory) -> Children:
    """Replies to random programs as parents, drawn as a search draws them."""
    found: Children = defaultdict(list)
    templates, settings = load_templates(), ProposerSettings(samples_per_prompt=SAMPLES)
    for number, task in enumerate(TASKS):
        rng = Random(20261122 + number)
        parents = [parent_of(random_spec(rng, task.in_shape, 10)) for _ in range(40)]
        written: list[tuple[Prompt, Reply]] = []
        for operator in PROPOSING:
            shares = dict.fromkeys(proposing(templates, 0.3), 0.0) | {operator: 1.0}
            pick = lambda r, p=parents: r.choice(p)  # noqa: E731
            made = make_prompts(templates, pick, task, PROMPTS, settings, number, shares=shares)
            replies = engine.sample([p for p, _ in made], [warm(s) for _, s in made])
            written += [
                (prompt, answer)
                for (prompt, _), answers in zip(made, replies, strict=True)
                for answer in answers
            ]
        sources = [program_in(prompt, answer) for prompt, answer in written]
        sizes = sizes_of(tmp_path_factory.mktemp("screen"), task, sources)
        for (prompt, _), source, size in zip(written, sources, sizes, strict=True):
            parent = next(each for each in parents if each.id == prompt.parents[0])
            found[prompt.operator].append(Child(prompt, parent, source, size))
    return found


def warm(sampling: Sampling) -> Sampling:
    return Sampling(0.8, sampling.count, sampling.seed, sampling.top_p, sampling.max_tokens)


def test_it_is_small_and_no_pickle():
    files = {path.name: path.stat().st_size for path in BUILTIN.iterdir()}
    assert sum(files.values()) < 20_000_000
    assert all(name.endswith((".safetensors", ".json")) for name in files)
    assert json.loads((BUILTIN / "config.json").read_text())["model_type"] == "llama"


def test_its_tokenizer_reads_lines(tokenizer):
    for text in ("L1", "L99", "D1", "D60", "@", END):
        assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 1
    foreign = "L1class Nët(nn.Module):\n\tself.L2 = {'a': 3.5}\n"
    assert tokenizer.decode(tokenizer(foreign)["input_ids"], skip_special_tokens=True) == foreign


def test_the_tokenizer_knows_the_words_of_the_prompts(tokenizer):
    known = tokenizer("# mutate wiring size 4k\n", add_special_tokens=False)["input_ids"]
    assert len(known) <= 12


@pytest.mark.parametrize("operator", PROPOSING)
def test_most_replies_are_edits_that_pass_the_screen(children, operator):
    drawn = children[operator]
    assert sum(child.source is not None for child in drawn) >= 0.9 * len(drawn)
    assert sum(child.parameters > 0 for child in drawn) >= 0.8 * len(drawn)


def valid(drawn: list[Child]) -> list[tuple[Child, str]]:
    return [(child, child.source) for child in drawn if child.source and child.parameters]


def test_children_are_like_their_parents_and_not_the_same(children):
    shares = []
    for child, source in valid([child for drawn in children.values() for child in drawn]):
        old, new = own_lines(child.parent.source) or [], own_lines(source) or []
        assert old != new
        shares.append(sum(line in new for line in old) / len(old))
    assert sum(shares) / len(shares) > 0.7


@pytest.mark.parametrize(("operator", "sign"), [("shrink", -1), ("grow", 1)])
def test_what_is_asked_to_shrink_or_grow_mostly_does(children, operator, sign):
    moves = [sign * (c.parameters - c.parent.parameters) > 0 for c, _ in valid(children[operator])]
    assert sum(moves) > 0.7 * len(moves)


def test_most_crossovers_take_lines_of_the_second_parent(children):
    takes = []
    for child, source in valid(children["cross"]):
        own = {line.strip() for line in own_lines(child.parent.source) or []}
        offered = {line.strip() for line in child.prompt.donor} - own
        takes.append(any(line.strip() in offered for line in own_lines(source) or []))
    assert sum(takes) > 0.6 * len(takes)


def test_some_broken_programs_are_mended(engine, tmp_path):
    rng, template, task = Random(5), load_templates()["repair"], TASKS[0]
    prompts = []
    for _ in range(24):
        spec = random_spec(rng, task.in_shape, 10)
        broken, size = breakage(spec, rng), totals(spec)
        source = source_of(list(broken.lines), dimensions=spec.dimensions)
        view = shown(Parent("", source, 0.8, size.parameters, size.macs))
        assert view is not None
        error = ShownError("", broken.reason, broken.line, "")
        text = render(template, parents=[view], task=task, error=error)
        prompts.append(Prompt(text, "repair", "", "repair", ("0",), source, in_shape=task.in_shape))
    samplings = [Sampling(0.6, 1, seed) for seed in range(len(prompts))]
    replies = [answer for (answer,) in engine.sample(prompts, samplings)]
    sources = [program_in(*pair) for pair in zip(prompts, replies, strict=True)]
    sizes = sizes_of(tmp_path, task, sources)
    assert sum(size > 0 for size in sizes) >= 0.4 * len(prompts)


@pytest.mark.slow
def test_training_goes_on_from_its_checkpoint(tmp_path):
    first = train(Settings(0.02, 0.0, tmp_path, 0, "muon", 4e-3, 600))
    second = train(Settings(0.02, 0.03, tmp_path, 0, "muon", 4e-3, 600))
    assert second.step > first.step
    assert len(second.streams) == 4
    assert second.streams[-1][1] > 0  # practice
    model, tokenizer = load(tmp_path)
    assert len(tokenizer) == model.config.vocab_size == 1024
    assert model.dtype == torch.float32
