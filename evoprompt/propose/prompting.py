"""From templates and parents to prompts, each with how its replies are drawn.

In: templates, a function that picks a parent, the task, settings, one integer seed. Out: prompts
with their samplings; everything random comes from the seed and the prompt's index. A parent without
a numbered view (unparsable, or over 99 lines of its own) is passed over and another one is picked.
Not promised: that parents differ between prompts; which ones deserve children the caller decides.
"""

from collections.abc import Callable, Mapping, Sequence
from math import log2
from random import Random

from evoprompt.candidate import Parent, Prompt, Sampling, TaskShape
from evoprompt.chance import derive, generator
from evoprompt.config import ProposerSettings
from evoprompt.errors import ConfigError, TemplateError
from evoprompt.grammar.variation import ANY, PARTS
from evoprompt.grammar.view import Donor, donor_of
from evoprompt.propose.templates import ShownParent, Target, Template, render, shown, size

Pick = Callable[[Random], Parent]
TARGET_FACTORS: dict[str, tuple[float | None, ...]] = {
    "mutate": (None, None, 1.0),
    "cross": (None, None, 1.0),
    "shrink": (None, 0.7, 0.5, 0.35),
    "grow": (None, 1.4, 2.0, 3.0),
}
"""Of the parent's parameters, by operator; None: any size."""
PARTS_ASKED = {
    "mutate": (ANY, *PARTS),
    "shrink": (ANY, "width", "depth"),
    "grow": (ANY, "width", "depth", "wiring"),
}
"""What prompts ask to be changed, by operator."""
ATTEMPTS = 100  # picks until a parent that can be shown is found
NEAREST = 4  # empty cells of which one is asked for: a child is a few changes from its parent
REPAIR = "repair"


def make_prompts(
    templates: Mapping[str, Template],
    pick: Pick,
    task: TaskShape,
    count: int,
    settings: ProposerSettings,
    seed: int,
    *,
    shares: Mapping[str, float] | None = None,
    empty_cells: Sequence[Target] = (),
) -> list[tuple[Prompt, Sampling]]:
    """`count` prompts; templates are drawn by `shares` (name -> weight), else by their weights.

    `empty_cells` are sizes at which the archive has nothing: `explore` asks for one near the
    parent's; without them for a quarter or four times of the parent.

    Raises:
        TemplateError: there is no template that proposes children.
        ConfigError: `pick` gives no parent that can be shown.
    """
    choices = proposing(templates, settings.cross_share)
    weights = [weight if shares is None else shares[name] for name, weight in choices.items()]
    made = []
    for index in range(count):
        rng = generator(seed, "prompt", index)
        template = templates[rng.choices(list(choices), weights)[0]]
        prompt = _prompt(template, pick, task, rng, empty_cells)
        temperature = rng.choice(template.temperatures)
        longest = template.max_tokens or settings.max_tokens
        seeded = derive(seed, "reply", index)
        made.append((prompt, _sampling(settings, temperature, seeded, longest)))
    return made


def proposing(templates: Mapping[str, Template], cross_share: float) -> dict[str, float]:
    """Name -> weight of every template that proposes children, in the order of the names.

    `cross_share` is the share of all templates with two parents together.

    Raises:
        TemplateError: no template is left.
    """
    found = {
        name: template.weight
        for name, template in sorted(templates.items())
        if template.operator != REPAIR and template.weight > 0
    }
    crosses = {name for name in found if templates[name].parent_count == 2}
    for group, share in ((crosses, cross_share), (set(found) - crosses, 1 - cross_share)):
        total = sum(found[name] for name in group)
        if share > 0 and not group:
            which = "two parents" if group is crosses else "one parent"
            raise TemplateError(
                f"no template with {which} and a weight above 0, but {share:.0%} of the prompts "
                f"need one. Known: {', '.join(sorted(templates))}. "
                "Add one to the prompts folder or change --proposer.cross-share."
            )
        for name in group:
            found[name] *= share / total
    return {name: weight for name, weight in found.items() if weight > 0}


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
        seeded = derive(seed, "reply", index)
        made.append((prompt, _sampling(settings, 1.0, seeded, settings.max_tokens)))
    return made


def can_be_parent(source: str) -> bool:
    """Whether a program has the numbered view that prompts show; a picker may ask beforehand."""
    return shown(Parent("", source, 0.0, 0, 0)) is not None


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


def _pick_donor(pick: Pick, first: Parent, rng: Random) -> tuple[Parent, ShownParent, Donor]:
    """A second parent, another program than the first if there is one, and what it offers."""
    chosen, offer = _pick_shown(pick, rng), Donor()
    for _ in range(ATTEMPTS):
        offer = donor_of(chosen[0].source, first.source)
        if offer.lines and chosen[0].id != first.id:
            break
        chosen = _pick_shown(pick, rng)
    return *chosen, offer


def _prompt(
    template: Template,
    pick: Pick,
    task: TaskShape,
    rng: Random,
    empty_cells: Sequence[Target],
) -> Prompt:
    first, view = _pick_shown(pick, rng)
    parents, views, donor = [first], [view], Donor()
    if template.parent_count == 2:
        second, second_view, donor = _pick_donor(pick, first, rng)
        parents.append(second)
        views.append(second_view)
    target = _target(template.operator, first, rng, empty_cells)
    part = rng.choice(PARTS_ASKED.get(template.operator, (ANY,)))
    return Prompt(
        text=render(
            template, parents=views, task=task, target=target, donor=donor.lines, part=part
        ),
        template=template.name,
        template_hash=template.hash,
        operator=template.operator,
        parents=tuple(parent.id for parent in parents),
        parent_source=first.source,
        donor=donor.lines,
        donor_classes=donor.classes,
        target="any" if target.parameters is None else size(target.parameters),
        reply_format=template.reply,
        part=part,
        in_shape=task.in_shape,
    )


def _target(operator: str, parent: Parent, rng: Random, empty_cells: Sequence[Target]) -> Target:
    """What the prompt asks for."""
    if operator == "explore":
        if empty_cells:
            return rng.choice(_nearest(empty_cells, parent))
        factor = rng.choice((0.25, 4.0))
        return Target(*(max(1, round(factor * x)) for x in (parent.parameters, parent.macs)))
    factor = rng.choice(TARGET_FACTORS[operator])
    return Target(None if factor is None else max(1, round(factor * parent.parameters)))


def _nearest(cells: Sequence[Target], parent: Parent) -> list[Target]:
    """The sizes that are fewest doublings away from the parent's."""

    def doublings(cell: Target) -> float:
        pairs = ((cell.parameters, parent.parameters), (cell.macs, parent.macs))
        return sum(abs(log2(wanted / max(1, has))) for wanted, has in pairs if wanted is not None)

    return sorted(cells, key=doublings)[:NEAREST]


def _sampling(
    settings: ProposerSettings, temperature: float, seed: int, max_tokens: int
) -> Sampling:
    return Sampling(
        temperature=temperature,
        count=settings.samples_per_prompt,
        seed=seed,
        top_p=settings.top_p,
        max_tokens=max_tokens,
    )
