"""Repair: a rejected child's program goes back with the screen's message, once.

In: a broken program, why the screen refused it, and who its parents are. Out: the prompt that asks
to mend it; its reply is read like any other, as edits of the broken program. A program without a
numbered view gives no prompt. Not promised: that the line which failed is the one to change.
"""

import re
from dataclasses import dataclass

from evoprompt.candidate import Parent, Prompt, Reason, Rejected, Stage, TaskShape
from evoprompt.grammar.view import numbered
from evoprompt.propose.templates import ShownError, Template, render, shown

NO_PROGRAM = {
    Reason.NO_EDIT, Reason.BAD_EDIT, Reason.TRUNCATED, Reason.UNCHANGED, Reason.TOO_LONG,
    Reason.PROMPT_TOO_LONG, Reason.NO_REPLY,
}  # fmt: skip
"""Rejections that leave nothing to mend."""
BY_CLOCK = {Reason.TIME_LIMIT}
"""Rejections that another run need not repeat; what goes back must not depend on them."""
_QUOTED = re.compile(r"line (\d+): (?:`.*?`: )?", re.DOTALL)


@dataclass(frozen=True)
class Broken:
    """A child that the screen refused."""

    source: str
    rejected: Rejected
    parents: tuple[str, ...]
    """Ids of the programs that it was made from."""
    target: str
    part: str


def can_be_mended(why: Rejected) -> bool:
    """Whether there is a program to mend."""
    return why.reason not in NO_PROGRAM | BY_CLOCK


def make_repair_prompt(
    template: Template, broken: Broken, parent: Parent, task: TaskShape
) -> Prompt | None:
    """The prompt that shows the broken program and the complaint; None if it cannot be shown.

    Args:
        template: Of the operator repair.
        broken: The program and why it was rejected.
        parent: Its first parent; the figures of the broken program are not known, so these stand
            in their place.
        task: What the program must map.
    """
    view = shown(Parent("", broken.source, parent.accuracy, parent.parameters, parent.macs))
    if view is None:
        return None
    line, message = complaint(broken.rejected.detail)
    why = broken.rejected
    place = shown_line(broken.source, line)
    if place is None and line is not None and why.stage == Stage.FORWARD:  # in a hidden layer
        place = len(view.numbered.splitlines())  # `forward` is where it was called from
    error = ShownError(why.stage, why.reason, place, message)
    return Prompt(
        text=render(template, parents=[view], task=task, error=error),
        template=template.name,
        template_hash=template.hash,
        operator=template.operator,
        parents=broken.parents,
        parent_source=broken.source,
        target=broken.target,
        reply_format=template.reply,
        part=broken.part,
        in_shape=task.in_shape,
    )


def complaint(detail: str) -> tuple[int | None, str]:
    """The line of the source that the screen quotes, if any, and the message behind it."""
    match = _QUOTED.match(detail)
    return (int(match[1]), detail[match.end() :]) if match else (None, detail)


def shown_line(source: str, line: int | None) -> int | None:
    """The number that a line of the source has in the numbered view; None if it is not shown."""
    lines = source.splitlines()
    view = numbered(source)
    if view is None or line is None or not 1 <= line <= len(lines):
        return None
    wanted = lines[line - 1].split("#")[0].strip()
    seen = [each.split("#")[0].strip() for each in lines[:line]].count(wanted)
    places = [
        number
        for number, each in enumerate(view.splitlines(), 1)
        if re.sub(r"^L\d+", "", each).strip() == wanted
    ]
    return places[seen - 1] if wanted and 0 < seen <= len(places) else None
