"""Prompt templates: files with YAML front matter and a Jinja body, loaded, checked and filled in.

In: a folder of `.md` files; parents, donor lines, a target and the task. Out: the text of a prompt.
Templates run in Jinja's sandbox with strict undefined names; inserted code keeps its braces.
Not promised: that a template makes a good prompt; `lint` checks that it can be filled in at all.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2
import jinja2.nodes as nodes
import yaml
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evoprompt.candidate import Parent, TaskShape
from evoprompt.errors import TemplateError
from evoprompt.grammar.edits import END
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.variation import ANY
from evoprompt.grammar.view import number_lines
from evoprompt.propose.shown import (
    ShownError,
    ShownParent,
    Target,
    compared_to,
    percent,
    shown,
    size,
)

VARIABLES = {
    "parents": ("id", "source", "numbered", "accuracy", "parameters", "macs"),
    "donor": (),
    "target": ("parameters", "macs"),
    "task": ("name", "in_shape", "num_classes"),
    "part": (),
    "error": ("stage", "reason", "line", "message"),
}
OPERATORS = ("mutate", "cross", "shrink", "grow", "explore", "repair")
REPLIES = ("edits", "program")
FRONT_MATTER_KEYS = (
    *("name", "operator", "parents", "reply", "max_tokens", "temperature", "weight", "note"),
)
_UNFINISHED = "write the front matter as in prompts/mutate.md"


@dataclass(frozen=True)
class Template:
    """One template file."""

    name: str
    operator: str
    """One of `OPERATORS`."""
    parent_count: int
    reply: str
    """edits or program."""
    max_tokens: int | None
    """Longest reply; None: the setting's."""
    temperatures: tuple[float, ...]
    weight: float
    """How often it is drawn, relative to the others."""
    note: str
    path: str
    body: str
    body_line: int
    """Line of the file on which the body begins."""
    hash: str
    """SHA-256 (hex) of the file's text."""


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    environment.filters.update(percent=percent, size=size, compared_to=compared_to)
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=256)
def _compiled(body: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(body)


def render(
    template: Template,
    *,
    parents: Iterable[ShownParent],
    task: TaskShape,
    target: Target | None = None,
    donor: Iterable[str] = (),
    part: str = ANY,
    error: ShownError | None = None,
) -> str:
    """The prompt's text. `donor` are donor lines without numbers; D1, D2, ... are put in front.

    `part` is what should be changed; `error` stands in repair prompts only.

    Raises:
        TemplateError: the body does not parse or asks for something that does not exist.
    """
    try:
        return _compiled(template.body).render(
            parents=list(parents),
            task=task,
            target=target or Target(),
            donor=number_lines(list(donor), "D"),
            part=part,
            error=error,
        )
    except jinja2.TemplateSyntaxError as problem:
        raise _syntax_error(template, problem) from problem
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as problem:
        raise TemplateError(
            f"{template.path}, line {_line_of(template, problem)}: {problem}. "
            f"Known: {_known_names()}. Correct the expression."
        ) from problem


def template_folder(path: str | Path | None = None, model: str = "builtin") -> Path:
    """The folder itself; by default the checkout's `prompts/` beside the package for a model that
    knows the edit protocol, and `prompts/chat/` for any other.
    """
    shipped = Path(__file__).resolve().parents[2] / "prompts"
    folder = Path(path) if path else shipped if writes_edits(model) else shipped / "chat"
    if not folder.is_dir():
        raise TemplateError(
            f"{folder}: no such folder of prompt templates. Expected a folder with files such as "
            "mutate.md. Give the checkout's prompts/ folder, or one of your own."
        )
    return folder


def writes_edits(model: str) -> bool:
    """Whether a model is the built-in one or a folder whose tokenizer knows the end of an edit."""
    vocabulary = Path(model) / "tokenizer.json"
    return model == "builtin" or (
        vocabulary.is_file() and f'"{END}"' in vocabulary.read_text(encoding="utf-8")
    )


def load_templates(folder: str | Path | None = None) -> dict[str, Template]:
    """Name -> template of every `.md` file in the folder, all of them checked by `lint`."""
    found: dict[str, Template] = {}
    place = template_folder(folder)
    for path in sorted(place.glob("*.md")):
        template = read_template(path)
        if template.name in found:
            line = _key_line(path.read_text(), "name")
            raise TemplateError(
                f"{path}, line {line}: the name '{template.name}' is taken by "
                f"{found[template.name].path}. Expected one name per file. Rename one of them."
            )
        lint(template)
        found[template.name] = template
    if not found:
        raise TemplateError(
            f"{place}: no templates. Expected files such as mutate.md. Copy the ones from prompts/."
        )
    return found


def read_template(path: str | Path) -> Template:
    """Read one file and check its front matter, not its body.

    Raises:
        TemplateError: with file and line.
    """
    text = Path(path).read_text(encoding="utf-8")
    match = re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)
    if not match:
        raise TemplateError(
            f"{path}, line 1: no front matter. Expected a block of 'key: value' lines between two "
            f"'---' lines, then the body. To mend it, {_UNFINISHED}."
        )
    front = _front_matter(str(path), match[1])
    check = _FrontMatter(str(path), text, front)
    temperatures = front.get("temperature", [0.8])
    return Template(
        name=check.value("name", str, lambda v: bool(re.fullmatch(r"[\w-]+", v)), "one word"),
        operator=check.value("operator", str, lambda v: v in OPERATORS, " or ".join(OPERATORS)),
        parent_count=check.value("parents", int, lambda v: v in (1, 2), "1 or 2"),
        reply=check.value("reply", str, lambda v: v in REPLIES, " or ".join(REPLIES)),
        max_tokens=check.optional_count("max_tokens"),
        temperatures=check.temperatures(temperatures),
        weight=float(
            check.value("weight", (int, float), lambda v: v >= 0, "a number of 0 or more", 1)
        ),
        note=check.value("note", str, lambda v: True, "text", ""),
        path=str(path),
        body=text[match.end() :],
        body_line=text[: match.end()].count("\n") + 1,
        hash=hashlib.sha256(text.encode()).hexdigest(),
    )


def _front_matter(path: str, text: str) -> dict:
    try:
        front = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        problem = getattr(error, "problem", error)
        raise TemplateError(
            f"{path}, line {line}: the front matter is not YAML ({problem}). "
            f"Expected 'key: value' lines. To mend it, {_UNFINISHED}."
        ) from error
    if not isinstance(front, dict):
        raise TemplateError(
            f"{path}, line 2: the front matter has no keys. Expected 'key: value' lines. "
            f"To mend it, {_UNFINISHED}."
        )
    return front


def _key_line(text: str, key: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(f"{key}:"):
            return number
    return 1


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else " Take one of these or leave it out."


class _FrontMatter:
    """The keys of one file while they are checked; every complaint names file and line."""

    def __init__(self, path: str, text: str, front: dict) -> None:
        self.path, self.text, self.front = path, text, front
        for key in front:
            if key not in FRONT_MATTER_KEYS:
                known = ", ".join(FRONT_MATTER_KEYS)
                raise TemplateError(
                    f"{path}, line {_key_line(text, key)}: unknown key '{key}' in the front "
                    f"matter. Known: {known}.{_did_you_mean(key, FRONT_MATTER_KEYS)}"
                )

    def value(self, key, kinds, accepts, expected: str, default=None):
        """The value of a key if it has one of the kinds and is accepted."""
        value = self.front.get(key, default)
        if isinstance(value, kinds) and not isinstance(value, bool) and accepts(value):
            return value
        problem = f"'{key}' is {value!r}" if key in self.front else f"the key '{key}' is missing"
        raise TemplateError(
            f"{self.path}, line {_key_line(self.text, key)}: {problem}. "
            f"Expected {expected}. Write '{key}: ...' with such a value."
        )

    def optional_count(self, key: str) -> int | None:
        """A number of 1 or more, or None where the key is left out."""
        return self.value(key, int, lambda v: v > 0, "1 or more") if key in self.front else None

    def temperatures(self, values) -> tuple[float, ...]:
        """One number or a list of numbers above 0 and up to 2."""
        values = values if isinstance(values, list) else [values]
        self.front["temperature"] = values
        accepts = lambda v: bool(v) and all(isinstance(t, (int, float)) and 0 < t <= 2 for t in v)  # noqa: E731
        checked = self.value("temperature", list, accepts, "numbers above 0 and up to 2")
        return tuple(float(value) for value in checked)


def lint(template: Template) -> None:
    """Check the body: syntax, variables, attributes, and one trial with example parents.

    Raises:
        TemplateError: with file and line, what was expected, and the nearest known name.
    """
    try:
        tree = _ENVIRONMENT.parse(template.body)
        unknown = meta.find_undeclared_variables(tree) - set(VARIABLES)
    except jinja2.TemplateSyntaxError as error:
        raise _syntax_error(template, error) from error
    for name in sorted(unknown):
        line = min(node.lineno for node in tree.find_all(nodes.Name) if node.name == name)
        raise TemplateError(
            f"{_where(template, line)}: unknown variable '{name}'. Known: {', '.join(VARIABLES)}."
            f"{_did_you_mean(name, _known_names().split(', '))}"
        )
    _check_attributes(template, tree)
    _trial(template)


def _check_attributes(template: Template, tree: nodes.Template) -> None:
    """Names behind a dot, where the thing in front of it is known."""
    owners = {name: name for name in VARIABLES}
    for loop in tree.find_all(nodes.For):
        if isinstance(loop.iter, nodes.Name) and isinstance(loop.target, nodes.Name):
            owners[loop.target.name] = loop.iter.name
    for node in tree.find_all(nodes.Getattr):
        base = node.node.node if isinstance(node.node, nodes.Getitem) else node.node
        if not isinstance(base, nodes.Name):
            continue
        known = VARIABLES.get(owners.get(base.name, ""))
        if known and node.attr not in known:
            raise TemplateError(
                f"{_where(template, node.lineno)}: '{base.name}' has no '{node.attr}'. "
                f"Known: {', '.join(known)}.{_did_you_mean(node.attr, known)}"
            )


def _trial(template: Template) -> None:
    examples = list(seeds((1, 40), 10).values())[: template.parent_count]
    parents = [shown(Parent("0" * 64, source, 0.5, 5000, 100000)) for source in examples]
    donor = ["            nn.LazyConv1d(8, 3, 1, 1),"] if template.parent_count == 2 else []
    error = None
    if template.operator == "repair":
        error = ShownError("forward", "forward_error", 5, "an example")
    for target in (Target(), Target(2000), Target(2000, 100_000)):
        render(
            template,
            parents=[parent for parent in parents if parent],
            task=TaskShape("example", (1, 40), 10),
            target=target,
            donor=donor,
            error=error,
        )


def _known_names() -> str:
    names = [f"{owner}.{name}" for owner, all_names in VARIABLES.items() for name in all_names]
    return ", ".join([*VARIABLES, *names]).replace("parents.", "parents[i].")


def _where(template: Template, body_line: int) -> str:
    return f"{template.path}, line {template.body_line + body_line - 1}"


def _line_of(template: Template, error: BaseException) -> int:
    """The line of the file where a trial failed: Jinja's frames carry the lines of the body."""
    line, trace = 1, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return template.body_line + line - 1


def _syntax_error(template: Template, error: jinja2.TemplateSyntaxError) -> TemplateError:
    return TemplateError(
        f"{_where(template, error.lineno)}: {error.message}. Expected Jinja: {{{{ value }}}} and "
        "{% if ... %} ... {% endif %}. Close what is open on this line."
    )
