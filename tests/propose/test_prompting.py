from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from evoprompt.candidate import Parent, TaskShape
from evoprompt.config import ProposerSettings
from evoprompt.errors import ConfigError, TemplateError
from evoprompt.grammar.variation import ANY, PARTS
from evoprompt.grammar.view import donor_of
from evoprompt.propose.prompting import (
    can_be_parent,
    make_grammar_prompts,
    make_prompts,
    proposing,
)
from evoprompt.propose.shown import Target, size
from evoprompt.propose.templates import load_templates, template_folder

TASK = TaskShape("mnist1d", (1, 40), 10)
SETTINGS = ProposerSettings(samples_per_prompt=4, cross_share=0.4)
LONG = Parent("long", "class Net:\n" + "    x = 1\n" * 200, 0.9, 100, 100)
SIZED = {"shrink": (0.7, 0.5, 0.35), "grow": (1.4, 2.0, 3.0), "mutate": (1.0,), "cross": (1.0,)}
"""Operator -> the shares of the parent's parameters that a prompt may ask for."""


@pytest.fixture(scope="module")
def templates():
    return load_templates()


def made(templates, parents, seed=0, count=40, settings=SETTINGS, **rest):
    pick = lambda rng: rng.choice(parents)  # noqa: E731
    return make_prompts(templates, pick, TASK, count, settings, seed, **rest)


def test_the_same_seed_gives_the_same_prompts_and_another_gives_others(templates, parents):
    assert made(templates, parents) == made(templates, parents)
    assert made(templates, parents) != made(templates, parents, seed=1)


def test_a_prompt_depends_on_its_index_and_not_on_how_many_are_asked(templates, parents):
    assert made(templates, parents, count=5) == made(templates, parents, count=30)[:5]


def test_prompts_carry_what_their_records_need(templates, parents):
    by_id = {parent.id: parent for parent in parents}
    for prompt, sampling in made(templates, parents, count=120):
        template = templates[prompt.template]
        first = by_id[prompt.parents[0]]
        assert prompt.operator == template.operator
        assert prompt.parent_source == first.source
        assert prompt.template_hash == template.hash
        assert prompt.in_shape == TASK.in_shape
        assert prompt.reply_format == "edits"
        assert len(prompt.parents) == template.parent_count
        if prompt.operator == "cross":
            second = by_id[prompt.parents[1]].source
            assert prompt.donor == donor_of(second, first.source).lines
        else:
            assert prompt.donor == ()
        assert sampling.temperature in template.temperatures
        assert (sampling.count, sampling.top_p) == (4, SETTINGS.top_p)
        assert sampling.max_tokens == SETTINGS.max_tokens


def test_a_target_is_of_its_operator_and_stands_in_the_text(templates, parents):
    by_id = {parent.id: parent for parent in parents}
    seen = set()
    for prompt, _ in made(templates, parents, count=200):
        if prompt.operator == "explore":
            continue
        first = by_id[prompt.parents[0]]
        known = {"any"} | {size(share * first.parameters) for share in SIZED[prompt.operator]}
        assert prompt.target in known
        last = prompt.text.splitlines()[-1]
        assert last.startswith(f"# {prompt.operator} {prompt.part}")
        assert (f" size {prompt.target}" in last) == (prompt.target != "any")
        seen.add((prompt.operator, prompt.target == "any"))
    assert len(seen) == 8  # every operator with and without a size


def test_every_part_is_asked_of_a_mutation(templates, parents):
    asked = Counter((p.operator, p.part) for p, _ in made(templates, parents, count=600))
    assert {part for operator, part in asked if operator == "mutate"} == {ANY, *PARTS}
    for operator in ("cross", "explore"):
        assert {part for name, part in asked if name == operator} == {ANY}
    for operator in ("shrink", "grow"):
        assert {ANY, "width", "depth"} <= {part for name, part in asked if name == operator}


def test_templates_are_drawn_by_their_weights_and_crosses_by_their_share(templates, parents):
    drawn = Counter(p.template for p, _ in made(templates, parents, count=600))
    assert set(drawn) == {"mutate", "cross", "shrink", "grow", "explore"}
    assert 0.32 < drawn["cross"] / 600 < 0.48
    assert drawn["mutate"] > drawn["shrink"] > drawn["explore"] / 2 > 0
    weights = proposing(templates, 0.4)
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["cross"] == pytest.approx(0.4)
    assert weights["mutate"] == pytest.approx(2 * weights["shrink"])


def test_shares_take_the_place_of_weights(templates, parents):
    shares = dict.fromkeys(proposing(templates, 0.4), 0.0) | {"grow": 1.0}
    assert {p.template for p, _ in made(templates, parents, shares=shares)} == {"grow"}


def test_an_explorer_asks_for_an_empty_cell(templates, parents):
    only = dict.fromkeys(proposing(templates, 0.4), 0.0) | {"explore": 1.0}
    cells = [Target(512, 65536), Target(8192, None)]
    prompts = made(templates, parents, shares=only, empty_cells=cells)
    lasts = {prompt.text.splitlines()[-1] for prompt, _ in prompts}
    assert lasts == {"# explore any size 512 macs 64k", "# explore any size 8k"}
    assert {prompt.target for prompt, _ in prompts} == {"512", "8k"}


def test_without_empty_cells_an_explorer_asks_for_a_quarter_or_four_times(templates, parents):
    only = dict.fromkeys(proposing(templates, 0.4), 0.0) | {"explore": 1.0}
    by_id = {parent.id: parent for parent in parents}
    for prompt, _ in made(templates, parents, shares=only):
        first = by_id[prompt.parents[0]]
        lasts = [
            f"# explore any size {size(f * first.parameters)} macs {size(f * first.macs)}"
            for f in (0.25, 4)
        ]
        assert prompt.text.splitlines()[-1] in lasts


def test_every_prompt_has_a_seed_of_its_own(templates, parents):
    seeds = {sampling.seed for _, sampling in made(templates, parents)}
    assert len(seeds) == 40
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_parents_that_cannot_be_numbered_are_passed_over(templates, parents):
    assert not can_be_parent(LONG.source)
    assert not can_be_parent("")
    assert can_be_parent(parents[0].source)
    prompts = [prompt for prompt, _ in made(templates, [LONG, *parents])]
    assert all("long" not in prompt.parents for prompt in prompts)
    with pytest.raises(ConfigError, match="99 lines"):
        made(templates, [LONG], count=1)


def test_two_parents_are_two_programs_where_there_are_two(templates, parents):
    only = dict.fromkeys(proposing(templates, 0.4), 0.0) | {"cross": 1.0}
    for prompt, _ in made(templates, parents, shares=only):
        assert len(set(prompt.parents)) == 2
        assert prompt.donor
    alone = made(templates, parents[:1], shares=only, count=3)
    assert {prompt.parents for prompt, _ in alone} == {(parents[0].id,) * 2}


def test_a_needed_template_that_is_missing_is_said(templates, parents):
    single = {name: t for name, t in templates.items() if t.parent_count == 1}
    double = {name: t for name, t in templates.items() if t.parent_count == 2}
    with pytest.raises(TemplateError, match=r"no template with two parents .* 40% .*Known: expl"):
        made(single, parents)
    with pytest.raises(TemplateError, match=r"no template with one parent"):
        made(double, parents)
    assert made(single, parents, settings=replace(SETTINGS, cross_share=0.0))
    assert made(double, parents, settings=replace(SETTINGS, cross_share=1.0))


def test_a_template_may_name_its_longest_reply(templates, parents):
    chat = load_templates(template_folder(model="a chat model"))
    for prompt, sampling in made(chat, parents):
        assert prompt.reply_format == "program"
        assert sampling.max_tokens == chat[prompt.template].max_tokens == 2048
        assert parents[0].source.splitlines()[0] in prompt.text


def test_the_control_arm_gets_parents_and_no_text(parents):
    prompts = make_grammar_prompts(lambda rng: rng.choice(parents), 60, SETTINGS, 3)
    operators = Counter(prompt.operator for prompt, _ in prompts)
    assert set(operators) == {"grammar-mutate", "grammar-cross"}
    assert 10 < operators["grammar-cross"] < 40
    assert {prompt.text for prompt, _ in prompts} == {""}
    assert prompts == make_grammar_prompts(lambda rng: rng.choice(parents), 60, SETTINGS, 3)


def test_prompts_follow_the_generator_that_picks(templates, parents):
    picked: list[float] = []

    def pick(rng: Random) -> Parent:
        picked.append(rng.random())
        return parents[0]

    make_prompts(templates, pick, TASK, 5, SETTINGS, 7)
    again = list(picked)
    picked.clear()
    make_prompts(templates, pick, TASK, 5, SETTINGS, 7)
    assert picked == again
