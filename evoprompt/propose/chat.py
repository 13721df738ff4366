"""A prompt's text as chat messages: `## system` and `## user` open sections of it."""

import re

_SECTION = re.compile(r"^## (system|user)[ \t]*\n", re.MULTILINE)


def chat_messages(text: str) -> list[dict[str, str]]:
    """The sections as messages; text before the first one is a user message."""
    parts = _SECTION.split(text)
    messages = [{"role": "user", "content": parts[0].strip()}] if parts[0].strip() else []
    for role, content in zip(parts[1::2], parts[2::2], strict=True):
        messages.append({"role": role, "content": content.strip()})
    return messages
