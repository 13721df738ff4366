"""Reading a reply: untrusted text in, a child's source or a counted rejection out.

In: the prompt (parent, donor lines, reply format) and the raw reply. Out: the child's source with
notes on what was added, or `Rejected` at the parse stage. Nothing is executed here.
Not promised: that the source is valid Python or keeps to the contract; the screen finds that out.
"""

import re

from evoprompt.candidate import Prompt, Reason, Rejected, Reply, Stage, candidate_id, rejected
from evoprompt.grammar.edits import EditError, added_names, apply, complete

MAXIMUM_CHARACTERS = 100_000  # of a reply; the longest seed has about 2,500
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n", re.MULTILINE)
_NET = re.compile(r"^[ \t]*class\s+Net\b", re.MULTILINE)
_PROGRAM = re.compile(r"^[ \t]*(class\s+\w+|def\s+\w+|import\s+\w+|from\s+\w+\s+import)", re.M)


def read_reply(prompt: Prompt, reply: Reply) -> tuple[str, tuple[str, ...]] | Rejected:
    """The child's source and notes such as `added ConvBlock`, or why there is no child."""
    if reply.refusal is not None:
        return reply.refusal
    if len(reply.text) > MAXIMUM_CHARACTERS:
        detail = f"{len(reply.text)} characters, at most {MAXIMUM_CHARACTERS}"
        return rejected(Stage.PARSE, Reason.TOO_LONG, detail)
    text = without_thinking(reply.text)
    if not text.strip():
        reason = Reason.NO_EDIT if reply.is_finished else Reason.TRUNCATED
        return rejected(Stage.PARSE, reason, "empty reply")
    if prompt.reply_format == "program":
        return _read_program(prompt, text, reply.is_finished)
    return _read_edits(prompt, text)


def without_thinking(text: str) -> str:
    """The text without thinking blocks; an unclosed one swallows the rest."""
    text = re.sub(r"<think(?:ing)?>.*?</think(?:ing)?>", "", text, flags=re.DOTALL)
    closing = re.split(r"</think(?:ing)?>", text)  # templates may open the block in the prompt
    return re.split(r"<think(?:ing)?>", closing[-1])[0]


def _read_edits(prompt: Prompt, text: str) -> tuple[str, tuple[str, ...]] | Rejected:
    blocks = [block for block, _ in fenced_blocks(text) if re.search(r"^@L\d", block, re.M)]
    try:
        child = apply(
            prompt.parent_source,
            blocks[-1] if blocks else text,
            prompt.donor,
            _dimensions(prompt),
            prompt.donor_classes,
        )
    except EditError as error:
        return rejected(Stage.PARSE, Reason(error.reason), error.detail)
    return child, _notes(added_names(prompt.parent_source, child))


def _dimensions(prompt: Prompt) -> int | None:
    """Spatial dimensions of the task's layers, where the prompt knows its task."""
    return (2 if len(prompt.in_shape) == 3 else 1) if prompt.in_shape else None


def _read_program(
    prompt: Prompt, text: str, is_finished: bool
) -> tuple[str, tuple[str, ...]] | Rejected:
    blocks = [(block, closed) for block, closed in fenced_blocks(text) if block.strip()]
    programs = [item for item in blocks if _NET.search(item[0])]
    source, is_whole = (programs or blocks or [(text, is_finished)])[-1]
    if not is_whole and not is_finished:
        return rejected(Stage.PARSE, Reason.TRUNCATED, "the program is cut at the token limit")
    if not _NET.search(source):
        if not blocks and not _PROGRAM.search(source):
            return rejected(Stage.PARSE, Reason.NO_EDIT, f"no program: {text.strip()[:80]}")
        return rejected(Stage.PARSE, Reason.NO_NET, "the program defines no class Net")
    if candidate_id(source) == candidate_id(prompt.parent_source):
        return rejected(Stage.PARSE, Reason.UNCHANGED)
    whole, added = complete(source, _dimensions(prompt))
    return whole, _notes(added)


def fenced_blocks(text: str) -> list[tuple[str, bool]]:
    """(content, whether it was closed) of each fenced code block, in order."""
    parts = _FENCE.split(text + "\n")
    inside = parts[1::2]
    is_last_open = len(parts) % 2 == 0
    last = len(inside) - 1
    return [(part, not (is_last_open and i == last)) for i, part in enumerate(inside)]


def _notes(added: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"added {name}" for name in added)
