"""From templates and parents to prompts, each with how its replies are drawn.

In: templates, a function that picks a parent, the task, settings, one integer seed. Out: prompts
with their samplings; everything random comes from the seed and the prompt's index. A parent without
a numbered view (unparsable, or over 99 canonical lines) is passed over and another one is picked.
Not promised: that parents differ between prompts; which ones deserve children the caller decides.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from evoprompt.candidate import Parent, Prompt, Sampling, TaskShape
from evoprompt.chance import derive, generator
from evoprompt.config import ProposerSettings
from evoprompt.errors import ConfigError, TemplateError
from evoprompt.grammar.edits import donor_lines
from evoprompt.propose.templates import ShownParent, Target, Template, render, shown, size

Pick = Callable[[Random], Parent]
TARGET_FACTORS = (None, 0.5, 1.0, 2.0)  # of the parent's parameters; None: any size
ATTEMPTS = 100  # picks until a parent that can be shown is found


def make_prompts(
    templates: Mapping[str, Template],
    pick: Pick,
    task: TaskShape,
    count: int,
    settings: ProposerSettings,
    seed: int,
) -> list[tuple[Prompt, Sampling]]:
    """`count` prompts; `settings.cross_share` of them, on average, show a second parent.

    Raises:
        TemplateError: there is no template for an operator that the settings ask for.
        ConfigError: `pick` gives no parent that can be shown.
    """
    by_operator = _by_operator(templates, settings.cross_share)
    made = []
    for index in range(count):
        rng = generator(seed, "prompt", index)
        operator = "cross" if rng.random() < settings.cross_share else "mutate"
        choices = by_operator[operator]
        template = rng.choices(choices, [choice.weight for choice in choices])[0]
        prompt = _prompt(template, pick, task, rng)
        temperature = rng.choice(template.temperatures)
        made.append((prompt, _sampling(settings, temperature, derive(seed, "reply", index))))
    return made


def make_grammar_prompts(
    pick: Pick, count: int, settings: ProposerSettings, seed: int
) -> list[tuple[Prompt, Sampling]]:
    """The control arm's prompts: parents and operator, no text; replies are whole programs."""
    made = []
    for index in range(count):
        rng = generator(seed, "prompt", index)
        is_cross = rng.random() < settings.cross_share
        parent, _ = _pick_shown(pick, rng)
        donor = _pick_shown(pick, rng)[0] if is_cross else None
        prompt = Prompt(
            text="",
            template="grammar",
            template_hash="",
            operator="grammar-cross" if donor else "grammar-mutate",
            parents=(parent.id, donor.id) if donor else (parent.id,),
            parent_source=parent.source,
            donor=tuple(donor.source.splitlines()) if donor else (),
            reply_format="program",
        )
        made.append((prompt, _sampling(settings, 1.0, derive(seed, "reply", index))))
    return made


def can_be_parent(source: str) -> bool:
    """Whether a program has the numbered view that prompts show; a picker may ask beforehand."""
    return shown(Parent("", source, 0.0, 0, 0)) is not None


def _by_operator(
    templates: Mapping[str, Template], cross_share: float
) -> dict[str, Sequence[Template]]:
    shares = {"mutate": 1.0 - cross_share, "cross": cross_share}
    found: dict[str, Sequence[Template]] = {}
    for operator, share in shares.items():
        ordered = sorted(templates.values(), key=lambda template: template.name)
        found[operator] = [t for t in ordered if t.operator == operator and t.weight > 0]
        if share > 0 and not found[operator]:
            raise TemplateError(
                f"no template for the operator '{operator}' with a weight above 0, but "
                f"{share:.0%} of the prompts need one. Known: {', '.join(sorted(templates))}. "
                "Add one to the prompts folder or change --proposer.cross-share."
            )
    return found


def _pick_shown(pick: Pick, rng: Random) -> tuple[Parent, ShownParent]:
    """The first picked parent that has a numbered view."""
    for _ in range(ATTEMPTS):
        parent = pick(rng)
        view = shown(parent)
        if view is not None:
            return parent, view
    raise ConfigError(
        f"no parent can be shown: {ATTEMPTS} picks had no numbered view. Expected programs of at "
        "most 99 lines that Python can parse. Shorten the parents."
    )


def _pick_donor(
    pick: Pick, first: Parent, rng: Random
) -> tuple[Parent, ShownParent, tuple[str, ...]]:
    """A second parent, another program than the first if there is one, and the lines it offers."""
    chosen = _pick_shown(pick, rng)
    lines: tuple[str, ...] = ()
    for _ in range(ATTEMPTS):
        lines = tuple(donor_lines(chosen[0].source, rng))
        if lines and chosen[0].id != first.id:
            break
        chosen = _pick_shown(pick, rng)
    return *chosen, lines


def _prompt(template: Template, pick: Pick, task: TaskShape, rng: Random) -> Prompt:
    first, view = _pick_shown(pick, rng)
    parents, views, donor = [first], [view], ()
    if template.parent_count == 2:
        second, second_view, donor = _pick_donor(pick, first, rng)
        parents.append(second)
        views.append(second_view)
    factor = rng.choice(TARGET_FACTORS)
    target = Target(None if factor is None else max(1, round(factor * first.parameters)))
    return Prompt(
        text=render(template, parents=views, task=task, target=target, donor=donor),
        template=template.name,
        template_hash=template.hash,
        operator=template.operator,
        parents=tuple(parent.id for parent in parents),
        parent_source=first.source,
        donor=donor,
        target="any" if target.parameters is None else size(target.parameters),
        reply_format=template.reply,
    )


def _sampling(settings: ProposerSettings, temperature: float, seed: int) -> Sampling:
    return Sampling(
        temperature=temperature,
        count=settings.samples_per_prompt,
        seed=seed,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
    )
