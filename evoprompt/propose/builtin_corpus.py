"""The corpus of the built-in model: random parents with edits, in the words of our templates.

In: a random generator and the templates. Out: `Example`s, endlessly: the prompt is exactly what a
search would send, the reply is the derived edit script. The target is told in hindsight: the size
of the true child. Half of the examples are broken programs with the edit that mends them: they have
one branch each, so it is still a small part of the edits.
Not promised: that the accuracy in the prompt means anything here; it is a random number.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from evoprompt.candidate import TaskShape
from evoprompt.grammar.breakage import breakage
from evoprompt.grammar.canonical import MAXIMUM_LINES, bare
from evoprompt.grammar.edits import (
    END,
    apply_lines,
    derive,
    is_closed,
)
from evoprompt.grammar.families import random_spec
from evoprompt.grammar.seeds import seed_specs
from evoprompt.grammar.shapes import Totals, totals
from evoprompt.grammar.spec import Spec, spec_lines
from evoprompt.grammar.variation import ANY, DIRECTIONS, PARTS, cross, mutate, some_mutation
from evoprompt.grammar.view import MAXIMUM_DONOR_LINES, body_lines, number_lines
from evoprompt.propose.builtin_disguise import disguise, disguised
from evoprompt.propose.templates import (
    ShownError,
    ShownParent,
    Target,
    Template,
    load_templates,
    size,
)
from evoprompt.propose.templates import render as render_template

OTHER_SHAPES = ((2, 64), (3, 32, 32), (1, 28, 28), (16,), (1, 128), (3, 100), (30,), (1, 16, 16))
TARGET_SHARE = 0.6  # of the prompts name a size
PART_SHARE = 0.6  # of the prompts name the part to change
REPAIR_SHARE = 0.55  # of the examples; they have one branch each
FOREIGN_SHARE = 0.15  # of the parents have layers that the grammar does not know
LONGEST_REPLY = 14  # lines
OPERATORS = {"mutate": 4, "shrink": 3.5, "grow": 3.5, "explore": 1.5, "cross": 3.5}
SIZE_PARTS = ("width", "width", "depth", "depth", "operator", "wiring", "kernel", "head")
"""Parts that `shrink` and `grow` are asked for."""
_ADDRESS = re.compile(r"@L(\d+)(?:-L(\d+))?$")


@dataclass(frozen=True)
class Branch:
    """One edit of the parent: the prompt behind the numbered parent, and the reply with `@end`."""

    operator: str
    prompt_end: str
    reply: str
    donor: tuple[str, ...]
    child: tuple[str, ...]
    """Canonical lines of the true child."""


@dataclass(frozen=True)
class Example:
    """One parent and its branches; a whole prompt is `parent_view + branch.prompt_end`.

    The exercises ask which number a line has, and what stands on a line: most failing edits of a
    model trained without them named the wrong line.
    """

    task: TaskShape
    lines: tuple[str, ...]
    """Canonical lines of the parent."""
    parent_view: str
    branches: tuple[Branch, ...]
    exercises: tuple[tuple[str, str], ...]
    """(end of the prompt, reply)."""
    names: dict[str, str] = field(default_factory=dict)
    """Layer -> the foreign text under which it stands in the lines."""
    is_broken: bool = False
    """Whether the parent is to be mended."""

    @property
    def is_of_grammar(self) -> bool:
        """Whether the grammar could have written the parent."""
        return not self.is_broken and not self.names


def corpus_templates() -> dict[str, Template]:
    """Operator -> the shipped template whose replies are edits."""
    return {t.operator: t for t in load_templates().values() if t.reply == "edits"}


def random_task(rng: Random) -> TaskShape:
    """Half of the time MNIST-1D's shape, three in ten small images, else others."""
    draw = rng.random()
    shape = (1, 40) if draw < 0.5 else (1, 8, 8) if draw < 0.8 else rng.choice(OTHER_SHAPES)
    return TaskShape("corpus", shape, 10)


def random_parent(rng: Random, task: TaskShape) -> Spec:
    """A random program, or one time in ten a seed, after up to six mutations."""
    if rng.random() < 0.1:
        spec = rng.choice(list(seed_specs(task.in_shape, task.num_classes).values()))
    else:
        spec = random_spec(rng, task.in_shape, task.num_classes)
    for _ in range(rng.choice((0, 0, 0, 1, 2, 4, 6))):
        spec = some_mutation(spec, rng)
    return spec


def example(rng: Random, templates: dict[str, Template], branch_count: int) -> Example:
    """One parent with up to `branch_count` branches, or a broken one with the edit that mends."""
    while True:
        task = random_task(rng)
        spec = random_parent(rng, task)
        lines = spec_lines(spec)
        if len(lines) <= MAXIMUM_LINES - 2:
            break
    if rng.random() < REPAIR_SHARE:
        return _repair_example(rng, templates["repair"], task, spec)
    is_foreign = rng.random() < FOREIGN_SHARE
    names = disguise(lines, spec.dimensions, rng) if is_foreign else {}
    lines = disguised(lines, names)
    branches = []
    for _ in range(branch_count):
        branch = _branch(rng, task, templates, spec, names)
        if branch is not None:
            branches.append(branch)
    exercises = tuple(_exercises(rng, lines))
    return Example(task, tuple(lines), number_lines(lines), tuple(branches), exercises, names)


def examples(seed: int, branch_count: int = 8) -> Iterator[Example]:
    """Examples without end; the same seed gives the same ones."""
    rng = Random(seed)
    templates = corpus_templates()
    while True:
        yield example(rng, templates, branch_count)


def shown_parent(rng: Random, lines: list[str], figures: Totals) -> ShownParent:
    """The parent as a template sees it, with a random accuracy."""
    accuracy = rng.randint(20, 99) / 100
    return ShownParent("", "", number_lines(lines), accuracy, figures.parameters, figures.macs)


def _exercises(rng: Random, lines: list[str]) -> Iterator[tuple[str, str]]:
    """A line to find by its text, where it stands once, and one to read by its number."""
    number = rng.randint(1, len(lines))
    yield f"# read L{number}\n", f"{lines[number - 1].strip()}\n{END}"
    texts = [line.strip() for line in lines]
    number = rng.choice([n for n, text in enumerate(texts, 1) if texts.count(text) == 1])
    yield f"# find\n{texts[number - 1]}\n", f"@L{number}\n{END}"


def _repair_example(rng: Random, template: Template, task: TaskShape, spec: Spec) -> Example:
    lines = spec_lines(spec)
    broken = breakage(spec, rng)
    shown_lines = list(broken.lines)
    script = derive(shown_lines, lines)
    if not script or len(script) > LONGEST_REPLY or len(shown_lines) > MAXIMUM_LINES:
        return _repair_example(rng, template, task, some_mutation(spec, rng))
    parent = shown_parent(rng, shown_lines, totals(spec))
    error = ShownError("", broken.reason, broken.line, "")
    text = render_template(template, parents=[parent], task=task, error=error)
    end = text[len(parent.numbered) :]
    branch = Branch("repair", end, "\n".join([*script, END]), (), tuple(lines))
    return Example(task, broken.lines, parent.numbered, (branch,), (), is_broken=True)


def _branch(
    rng: Random,
    task: TaskShape,
    templates: dict[str, Template],
    spec: Spec,
    names: dict[str, str],
) -> Branch | None:
    operator = rng.choices(list(OPERATORS), list(OPERATORS.values()))[0]
    part = rng.choice(PARTS) if rng.random() < PART_SHARE else ANY
    donor_spec = random_parent(rng, task) if operator == "cross" else None
    donor = body_lines(spec_lines(donor_spec))[:MAXIMUM_DONOR_LINES] if donor_spec else []
    if operator in ("cross", "explore"):
        part = ANY
    elif operator in DIRECTIONS and part != ANY:
        part = rng.choice(SIZE_PARTS)
    child = _child(rng, operator, part, spec, donor_spec)
    if child is None:
        return None
    lines, child_lines = (disguised(spec_lines(each), names) for each in (spec, child))
    script = derive(lines, child_lines, donor)
    if not _is_good(script, lines, child_lines) or (donor and not _takes(script)):
        return None
    if bare(apply_lines(bare(lines), script, bare(donor))) != bare(child_lines):
        raise AssertionError("derive and apply disagree")
    parent = shown_parent(rng, lines, totals(spec))
    text = _prompt(rng, templates[operator], task, part, (parent, child, donor_spec), donor)
    reply = "\n".join([*script, END])
    return Branch(operator, text, reply, tuple(donor), tuple(child_lines))


def _prompt(
    rng: Random,
    template: Template,
    task: TaskShape,
    part: str,
    family: tuple[ShownParent, Spec, Spec | None],
    donor: list[str],
) -> str:
    """The prompt behind the numbered parent; the target is the true child's size."""
    parent, child, donor_spec = family
    figures = totals(child)
    target = Target(figures.parameters if rng.random() < TARGET_SHARE else None)
    if template.operator == "explore":
        target = Target(figures.parameters, figures.macs)
    second = shown_parent(rng, donor, totals(donor_spec)) if donor_spec else parent
    text = render_template(
        template, parents=[parent, second], task=task, target=target, donor=donor, part=part
    )
    if not text.startswith(parent.numbered):
        raise AssertionError(f"{template.path}: the numbered parent does not come first")
    return text[len(parent.numbered) :]


def _child(rng: Random, operator: str, part: str, spec: Spec, donor: Spec | None) -> Spec | None:
    match operator:
        case "cross":
            return cross(spec, donor, rng) if donor else None
        case "shrink" | "grow":
            return mutate(spec, rng, part, operator)
        case "explore":
            return _explored(rng, spec)
    return mutate(spec, rng, part)


def _explored(rng: Random, spec: Spec) -> Spec | None:
    """A child of clearly another size or cost, one to three mutations away."""
    for _ in range(6):
        child = spec
        for _ in range(rng.choice((1, 2, 3))):
            child = mutate(child, rng) or child
        old, new = totals(spec), totals(child)
        moved = size(old.parameters) != size(new.parameters) or size(old.macs) != size(new.macs)
        if child != spec and moved:
            return child
    return None


def _takes(script: list[str]) -> bool:
    return any(line.startswith("D") for line in script)


def _is_good(script: list[str], lines: list[str], child: list[str]) -> bool:
    """Short enough, with closed ranges only."""
    if not script or len(script) > LONGEST_REPLY or len(child) > MAXIMUM_LINES:
        return False
    ranges = [match for line in script if (match := _ADDRESS.match(line))]
    return all(is_closed(lines[int(m[1]) - 1 : int(m[2] or m[1])]) for m in ranges)
