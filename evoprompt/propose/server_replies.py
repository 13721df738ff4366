"""A server's answer to one request, read into replies; it is untrusted text like any model's.

In: the JSON object of a chat completion or a plain one. Out: replies with their share of the tokens
that the server counted. An answer without choices is a `ServerError`; an odd choice is an empty
reply. Where the server counts nothing, four characters are taken for a token.
"""

from collections.abc import Sequence
from typing import Any

from evoprompt.candidate import Reply
from evoprompt.grammar.edits import END
from evoprompt.propose.server_requests import Json, ServerError

LONGEST_TEXT = (
    120_000  # characters kept of a reply; `reply.read_reply` refuses shorter ones already
)
CHARACTERS_PER_TOKEN = 4


def read_answer(
    answer: Json, count: int, prompt_text: str, *, speaks_edits: bool, seconds: float, retries: int
) -> list[Reply]:
    """At most `count` replies; raises ServerError where there is none.

    Args:
        answer: What the server sent.
        count: Replies that were asked for.
        prompt_text: For the count of its tokens where the server gives none.
        speaks_edits: A finished reply gets the end mark of edits, which servers leave away where it
            is the model's end token.
        seconds: Wall time of the request.
        retries: How often it was made again.
    """
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ServerError(f"an answer without choices: {str(answer)[:120]}")
    texts, finished = [], []
    for choice in choices[:count]:
        text, is_finished = _choice(choice)
        finished.append(is_finished)
        texts.append(_with_end(text) if speaks_edits and is_finished else text)
    written = _counted(answer, "completion_tokens", sum(map(len, texts)))
    read = _counted(answer, "prompt_tokens", len(prompt_text))
    tokens = shares(written, [len(text) for text in texts])
    each = seconds / len(texts)
    return [
        Reply(text, tokens[i], finished[i], 0 if i else read, each, 0 if i else retries)
        for i, text in enumerate(texts)
    ]


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers that add up to `total`, about in proportion to the weights."""
    out, given, seen = [], 0, 0
    whole = sum(weights) or len(weights)
    for weight in weights:
        seen += weight if sum(weights) else 1
        share = total * seen // whole - given
        out.append(share)
        given += share
    return out


def _choice(choice: Any) -> tuple[str, bool]:
    """Text and whether it came to its end."""
    if not isinstance(choice, dict):
        return "", False
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if not isinstance(text, str):
        text = ""  # a call of a tool, or thoughts without an answer
    clean = text[:LONGEST_TEXT].encode("utf-8", "replace").decode()
    return clean, choice.get("finish_reason") != "length"


def _with_end(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    is_open = END not in lines and any(line.startswith("@") for line in lines)
    return f"{text.rstrip()}\n{END}" if is_open else text


def _counted(answer: Json, name: str, characters: int) -> int:
    usage = answer.get("usage")
    value = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return -(-characters // CHARACTERS_PER_TOKEN)
