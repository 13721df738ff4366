"""Every shipped template with an example filled in: what the golden texts of `golden/` are of."""

from pathlib import Path

from evoprompt.candidate import Parent, TaskShape
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.view import donor_of
from evoprompt.propose.templates import (
    ShownError,
    ShownParent,
    Target,
    load_templates,
    render,
    shown,
    template_folder,
)

GOLDEN = Path(__file__).parent / "golden"
TASK = TaskShape("mnist1d", (1, 40), 10)
SOURCES = seeds((1, 40), 10)
FOLDERS = {"edits": template_folder(), "chat": template_folder(model="Qwen/Qwen3-0.6B")}
TEMPLATES = {
    f"{folder}/{name}": template
    for folder, path in FOLDERS.items()
    for name, template in load_templates(path).items()
}
CASES = sorted(TEMPLATES)
WISHES: dict[str, tuple[str, Target]] = {
    "mutate": ("kernel", Target(2500)),
    "cross": ("any", Target()),
    "shrink": ("width", Target(2000)),
    "grow": ("any", Target(9000)),
    "explore": ("any", Target(300, 2_000_000)),
    "repair": ("any", Target()),
}
"""Operator -> part and target."""


def example_parent(name: str, accuracy: float = 0.934, parameters: int = 5210) -> ShownParent:
    """A seed as a template sees it."""
    found = shown(Parent("0" * 64, SOURCES[name], accuracy, parameters, 31750))
    assert found is not None
    return found


def prompt_text(case: str) -> str:
    """The text of one template with the example of its operator."""
    template = TEMPLATES[case]
    part, target = WISHES[template.operator]
    error = None
    if template.operator == "repair":
        error = ShownError("build", "build_error", 5, "TypeError: missing 1 required argument")
    return render(
        template,
        parents=[example_parent("reference_cnn"), example_parent("attention", 0.08, 5134)],
        task=TASK,
        target=target,
        donor=donor_of(SOURCES["attention"], "").lines if template.parent_count == 2 else (),
        part=part,
        error=error,
    )
