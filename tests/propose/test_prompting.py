from dataclasses import replace

import pytest

from evoprompt.candidate import Parent, TaskShape
from evoprompt.config import ProposerSettings
from evoprompt.errors import ConfigError, TemplateError
from evoprompt.propose.prompting import can_be_parent, make_prompts
from evoprompt.propose.templates import load_templates, size

TASK = TaskShape("mnist1d", (1, 40), 10)
SETTINGS = ProposerSettings(samples_per_prompt=4, cross_share=0.4)
LONG = Parent("long", "class Net:\n" + "    x = 1\n" * 200, 0.9, 100, 100)


@pytest.fixture(scope="module")
def templates():
    return load_templates()


def made(templates, parents, seed=0, count=30, settings=SETTINGS):
    return make_prompts(templates, lambda rng: rng.choice(parents), TASK, count, settings, seed)


def test_the_same_seed_gives_the_same_prompts_and_another_gives_others(templates, parents):
    assert made(templates, parents) == made(templates, parents)
    assert made(templates, parents) != made(templates, parents, seed=1)


def test_a_prompt_depends_on_its_index_and_not_on_how_many_are_asked(templates, parents):
    assert made(templates, parents, count=5) == made(templates, parents, count=30)[:5]


def test_prompts_carry_what_their_records_need(templates, parents):
    by_id = {parent.id: parent for parent in parents}
    operators = set()
    for prompt, sampling in made(templates, parents):
        template = templates[prompt.template]
        first = by_id[prompt.parents[0]]
        operators.add(prompt.operator)
        assert prompt.parent_source == first.source
        assert prompt.template_hash == template.hash
        assert len(prompt.parents) == template.parent_count
        assert bool(prompt.donor) == (prompt.operator == "cross")
        known = {"any"} | {size(f * first.parameters) for f in (0.5, 1.0, 2.0)}
        assert prompt.target in known
        assert prompt.target in prompt.text
        assert sampling.temperature in template.temperatures
        assert (sampling.count, sampling.top_p) == (4, SETTINGS.top_p)
    assert operators == {"mutate", "cross"}


def test_every_prompt_has_a_seed_of_its_own(templates, parents):
    seeds = {sampling.seed for _, sampling in made(templates, parents)}
    assert len(seeds) == 30
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_parents_that_cannot_be_numbered_are_passed_over(templates, parents):
    assert not can_be_parent(LONG.source)
    assert not can_be_parent("class Net(:\n")
    assert can_be_parent(parents[0].source)
    prompts = [prompt for prompt, _ in made(templates, [LONG, *parents])]
    assert all("long" not in prompt.parents for prompt in prompts)
    with pytest.raises(ConfigError, match="99 lines"):
        made(templates, [LONG], count=1)


def test_a_needed_operator_without_template_is_said(templates, parents):
    only = {name: t for name, t in templates.items() if t.operator == "mutate"}
    with pytest.raises(TemplateError, match="no template for the operator 'cross'"):
        made(only, parents)
    assert made(only, parents, settings=replace(SETTINGS, cross_share=0.0))
