"""The corpus of the built-in model: random parents with edits, in the words of our templates.

In: a random generator and the templates. Out: `Example`s, endlessly: the prompt is exactly what a
search would send, the reply is the derived edit script. The target is told in hindsight: the size
of the true child.
Not promised: that the accuracy in the prompt means anything here; it is a random number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from evoprompt.candidate import TaskShape
from evoprompt.grammar.edits import (
    END,
    apply_lines,
    body_lines,
    derive,
    number_lines,
    with_classes,
)
from evoprompt.grammar.seeds import seed_specs
from evoprompt.grammar.shapes import parameter_count
from evoprompt.grammar.spec import Spec, render, spec_lines
from evoprompt.grammar.variation import has_parameters, insert_run, mutate, pick_run, random_spec
from evoprompt.propose.templates import ShownParent, Target, Template, load_templates, size
from evoprompt.propose.templates import render as render_template

OTHER_SHAPES = ((2, 64), (3, 32, 32), (1, 28, 28), (16,), (1, 128), (3, 100), (30,), (1, 16, 16))
TARGET_SHARE = 0.7  # of the prompts name a size
CANDIDATES = 6  # children among which one of the wanted direction is looked for


@dataclass(frozen=True)
class Branch:
    """One edit of the parent: the prompt behind the numbered parent, and the reply with `@end`."""

    operator: str
    prompt_end: str
    reply: str
    donor: tuple[str, ...]
    target: str
    parent_size: int
    child_size: int


@dataclass(frozen=True)
class Example:
    """One parent and its branches; a whole prompt is `parent_view + branch.prompt_end`.

    The exercises ask which number a line has, and what stands on a line: most failing edits of a
    model trained without them named the wrong line.
    """

    task: TaskShape
    source: str
    parent_view: str
    branches: tuple[Branch, ...]
    exercises: tuple[tuple[str, str], ...]
    """(end of the prompt, reply)."""


def corpus_templates() -> dict[str, Template]:
    """The shipped templates whose replies are edits."""
    return {n: t for n, t in load_templates().items() if t.reply == "edits"}


def random_task(rng: Random) -> TaskShape:
    """Mostly MNIST-1D's shape, a fifth small images, a quarter others."""
    draw = rng.random()
    shape = (1, 40) if draw < 0.55 else (1, 8, 8) if draw < 0.75 else rng.choice(OTHER_SHAPES)
    return TaskShape("corpus", shape, 10)


def random_parent(rng: Random, task: TaskShape) -> Spec:
    """A random program, or one time in eight a seed, after up to six mutations."""
    if rng.random() < 0.125:
        spec = rng.choice(list(seed_specs(task.in_shape, task.num_classes).values()))
    else:
        spec = random_spec(rng, task.in_shape, task.num_classes)
    for _ in range(rng.choice((0, 0, 0, 1, 2, 4, 6))):
        spec = mutate(spec, rng)
    return spec


def example(rng: Random, templates: dict[str, Template], branch_count: int) -> Example:
    """One parent with up to `branch_count` branches."""
    task = random_task(rng)
    spec = random_parent(rng, task)
    lines = spec_lines(spec)
    view = number_lines(lines)
    accuracy = rng.randint(20, 97) / 100
    parent = ShownParent("", render(spec), view, accuracy, parameter_count(spec), 0)
    branches = []
    for _ in range(branch_count):
        branch = _branch(rng, task, templates, spec, lines, parent)
        if branch is not None:
            branches.append(branch)
    return Example(task, parent.source, view, tuple(branches), tuple(_exercises(rng, lines)))


def examples(seed: int, branch_count: int = 8) -> Iterator[Example]:
    """Examples without end; the same seed gives the same ones."""
    rng = Random(seed)
    templates = corpus_templates()
    while True:
        yield example(rng, templates, branch_count)


def _exercises(rng: Random, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Two lines to find by their text, where it stands once, and two to read by their number."""
    for number in rng.sample(range(1, len(lines) + 1), 2):
        yield f"# read L{number}\n", f"{lines[number - 1]}\n{END}"
    single = [number for number, line in enumerate(lines, 1) if lines.count(line) == 1]
    for number in rng.sample(single, 2):
        yield f"# find\n{lines[number - 1]}\n", f"@L{number}\n{END}"


def _branch(
    rng: Random,
    task: TaskShape,
    templates: dict[str, Template],
    spec: Spec,
    lines: list[str],
    parent: ShownParent,
) -> Branch | None:
    template = rng.choices(list(templates.values()), [t.weight for t in templates.values()])[0]
    donor_spec, run = None, (0, 0)
    donor: list[str] = []
    if template.operator == "cross":
        donor_spec = _donor(rng, task)
        run = pick_run([has_parameters(entry) for entry in donor_spec.body], rng)
        donor_text = spec_lines(donor_spec)
        donor = with_classes(donor_text, body_lines(donor_text)[slice(*run)])
    child = _child(rng, spec, parent.parameters, donor_spec, run)
    child_lines = spec_lines(with_unused(spec, child))
    if child_lines == lines:
        return None
    script = derive(lines, child_lines, donor)
    if apply_lines(lines, script, donor) != child_lines:
        raise AssertionError("derive and apply disagree")
    child_size = parameter_count(child)
    target = Target(child_size if rng.random() < TARGET_SHARE else None)
    second = replace(parent, source=render(donor_spec)) if donor_spec else parent
    text = render_template(
        template, parents=[parent, second], task=task, target=target, donor=donor
    )
    if not text.startswith(parent.numbered):
        raise AssertionError(f"{template.path}: the numbered parent does not come first")
    reply = "\n".join([*script, END])
    told = size(child_size) if target.parameters else "any"
    end = text[len(parent.numbered) :]
    return Branch(template.operator, end, reply, tuple(donor), told, parent.parameters, child_size)


def with_unused(parent: Spec, child: Spec) -> Spec:
    """The child with the parent's unused classes left in: `complete` drops them, not an edit."""
    blocks = {block.kind: block for block in (*parent.blocks, *child.blocks)}
    known = [block.kind for block in parent.blocks]
    order = [block.kind for block in child.blocks if block.kind not in known] + known
    return replace(child, blocks=tuple(blocks[kind] for kind in order))


def _donor(rng: Random, task: TaskShape) -> Spec:
    while True:
        spec = random_parent(rng, task)
        if spec.body:
            return spec


def _child(
    rng: Random, spec: Spec, parent_size: int, donor: Spec | None, run: tuple[int, int]
) -> Spec:
    """A child; three times in five a clearly smaller or larger one, if such a one is found."""
    wanted = rng.choice(("smaller", "smaller", "larger", "any", "any"))
    child = spec
    for _ in range(CANDIDATES):
        child = mutate(spec, rng) if donor is None else insert_run(spec, donor, run, rng)
        ratio = parameter_count(child) / parent_size
        if child != spec and {"smaller": ratio < 0.7, "larger": ratio > 1.4}.get(wanted, True):
            break
    return child
