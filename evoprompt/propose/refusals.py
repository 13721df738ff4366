"""Replies that never came: each is a rejection, counted like that of a reply that was no edit."""

from evoprompt.candidate import Reason, Rejected, Reply, Stage, rejected


def too_long(tokens: int, context: int) -> Rejected:
    """The prompt leaves no room for a reply."""
    detail = f"the prompt takes {tokens} tokens and the model's context is {context}"
    return rejected(Stage.PARSE, Reason.PROMPT_TOO_LONG, detail)


def no_reply(why: str) -> Rejected:
    """A server gave nothing usable."""
    return rejected(Stage.PARSE, Reason.NO_REPLY, why)


def refused(why: Rejected, count: int, retries: int = 0) -> list[Reply]:
    """The replies to a prompt that could not be answered."""
    return [Reply("", 0, False, retries=0 if i else retries, refusal=why) for i in range(count)]
