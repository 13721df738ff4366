"""Recorded replies instead of a model: for tests, and to repeat what a model once said.

In: a JSON file, either a list of texts that are given out in order, or an object from a prompt's
hash (SHA-256 of its text) to the texts for that prompt. Out: those texts. Not promised: that
they fit the prompts. The version's name, "replay", says in every record that no model was asked.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from evoprompt.candidate import Prompt, Reply, Sampling
from evoprompt.errors import ModelError
from evoprompt.propose.engine import TunableBase

EXPECTED = 'Expected a JSON list of texts, or an object {"<prompt hash>": [texts]}.'


def prompt_hash(text: str) -> str:
    """The SHA-256 (hex) of a prompt's text: the key of recorded replies."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class ReplayEngine:
    """Gives out recorded replies; what was given is never given again."""

    base: TunableBase | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        """Read the whole file; raises ModelError where it is missing or not of one of the forms."""
        self.version = "replay"
        self._path = path
        self._given: dict[str, int] = {}
        recorded = _read(path)
        self._in_order = isinstance(recorded, list)
        self._replies = {"": recorded} if isinstance(recorded, list) else recorded

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """The next `count` recorded texts for each prompt; temperature and seed are ignored."""
        pairs = zip(prompts, samplings, strict=True)
        return [self._take(prompt, sampling.count) for prompt, sampling in pairs]

    def prompt_size(self, text: str) -> tuple[int, int] | None:
        """Recorded replies have no context to overflow."""
        return None

    def use(self, version: str, adapter: Path | None) -> None:
        """Recorded replies have no adapters: only going back to the recording is allowed."""
        if adapter is not None:
            raise ModelError(
                f"{adapter}: recorded replies ({self._path}) cannot take an adapter. Expected a "
                "model. Set --learn.steps 0, or --proposer.engine transformers."
            )

    def rest(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing to give back."""

    def _take(self, prompt: Prompt, count: int) -> list[Reply]:
        key = "" if self._in_order else prompt_hash(prompt.text)
        start = self._given.get(key, 0)
        texts = self._replies.get(key, [])[start : start + count]
        if len(texts) < count:
            what = "in order" if self._in_order else f"for the prompt with hash {key}"
            raise ModelError(
                f"{self._path}: replies {what} are exhausted after {start + len(texts)}. Expected "
                f"{count - len(texts)} more. Record more replies or ask for fewer."
            )
        self._given[key] = start + count
        return [Reply(text, len(text.split()), True) for text in texts]


def _read(path: Path) -> list[str] | dict[str, list[str]]:
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file. {EXPECTED} Name it with --proposer.model."
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}. {EXPECTED} Correct the file.") from error
    lists = recorded.values() if isinstance(recorded, dict) else [recorded]
    for texts in lists:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ModelError(f"{path}: malformed recorded replies. {EXPECTED} Correct the file.")
    return recorded
