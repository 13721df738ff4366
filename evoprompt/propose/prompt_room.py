"""Whether prompts fit the model's context, found out before anything is spent.

In: the templates, the engine and the task. Out: nothing, a note for a person, or a ModelError with
the numbers. The seeds' prompts must fit; that of the longest parent a prompt can show may not, for
then such parents' prompts are counted rejections. Not promised: the size of any other prompt.
"""

from collections.abc import Iterator, Mapping

from evoprompt.candidate import Parent, TaskShape
from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.grammar.canonical import MAXIMUM_LINES
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.view import MAXIMUM_DONOR_LINES, number_lines, shown_lines
from evoprompt.propose.engine import Engine
from evoprompt.propose.templates import (
    ShownError,
    ShownParent,
    Target,
    Template,
    render,
    shown,
)

LARGE = 5_000_000  # parameters and MACs of the examples: figures as long as they get


def check_room(
    engine: Engine,
    templates: Mapping[str, Template],
    task: TaskShape,
    settings: ProposerSettings,
) -> str | None:
    """Return a note about parents whose prompts would not fit, or None.

    Raises:
        ModelError: the prompt of a seed leaves no room for a reply.
    """
    drawn = [template for _, template in sorted(templates.items()) if template.weight > 0]
    longest = {name: each.max_tokens or settings.max_tokens for name, each in templates.items()}
    size, needed, context, name = _largest(engine, drawn, task, _seed_parents(task), longest)
    if size + needed > context > 0:
        raise ModelError(
            f"{settings.model}: the model's context holds {context} tokens, but the template "
            f"'{name}' makes prompts of {size} tokens of the seeds, and replies have up to "
            f"{needed}. Expected room for both. Take a model with a longer context, give that "
            "template weight 0, or set a smaller --proposer.max-tokens (or max_tokens in the "
            "template)."
        )
    parents = [_longest_parent(task)]
    size, needed, context, name = _largest(engine, drawn, task, parents, longest)
    if size + needed > context > 0:
        return (
            f"the longest parents do not fit the model's context of {context} tokens: the template "
            f"'{name}' makes prompts of up to {size}, replies have up to {needed}; such prompts "
            "are counted as rejected"
        )
    return None


def _largest(
    engine: Engine,
    templates: list[Template],
    task: TaskShape,
    parents: list[ShownParent],
    longest: Mapping[str, int],
) -> tuple[int, int, int, str]:
    """Return (tokens of the prompt, of the reply, context, template) of the prompt that needs most
    room, where `longest` has the templates' longest replies; zeros where nobody can say.
    """
    found = (0, 0, 0, "")
    for template in templates:
        reply = longest[template.name]
        for text in _prompts(template, task, parents):
            size = engine.prompt_size(text)
            if size is not None and size[0] + reply > found[0] + found[1]:
                found = (size[0], reply, size[1], template.name)
    return found


def _prompts(template: Template, task: TaskShape, parents: list[ShownParent]) -> Iterator[str]:
    is_repair = template.operator == "repair"
    error = ShownError("forward", "forward_error", 10, "x" * 500) if is_repair else None
    offered = [shown_lines(parent.source) or parent.source.splitlines() for parent in parents]
    for parent in parents:
        yield render(
            template,
            parents=[parent] * template.parent_count,
            task=task,
            target=Target(LARGE, LARGE),
            donor=max(offered, key=lambda lines: len("".join(lines)))[:MAXIMUM_DONOR_LINES],
            error=error,
        )


def _seed_parents(task: TaskShape) -> list[ShownParent]:
    views = [shown(_parent(source)) for source in seeds(task.in_shape, task.num_classes).values()]
    return [view for view in views if view is not None]


def _longest_parent(task: TaskShape) -> ShownParent:
    """A parent of as many lines as can be shown, of lines as a seed has them."""
    sources = seeds(task.in_shape, task.num_classes).values()
    lines = max((shown_lines(source) or [] for source in sources), key=len)
    many = (lines * MAXIMUM_LINES)[:MAXIMUM_LINES]
    source = "\n".join(many)
    view = _parent(source)
    return ShownParent(
        "0" * 64, source, number_lines(many), view.accuracy, view.parameters, view.macs
    )


def _parent(source: str) -> Parent:
    return Parent("0" * 64, source, 0.5, LARGE, LARGE)
