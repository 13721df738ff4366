"""What a tuning learns from, as token ids: pairs and replayed replies, held out and in batches.

In: preferences and (prompt, reply) texts in the words of a base model. Out: `Pair`s and `Row`s.
Everything random comes from the generator that the caller gives.
Not promised: that nothing is left out; pairs whose two sides are the same tokens teach nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from evoprompt.learn.likelihood import Row
from evoprompt.learn.pairs import Preference

HELD_OUT_SHARE = 0.15
HELD_OUT_LIMIT = 32  # pairs; enough to see overfitting, few enough to cost little
HELD_OUT_FROM = 10  # pairs; with fewer all are trained on
SAME_PROMPT = 4  # pairs of one prompt that stay together in a batch, because they share its tokens


class Base(Protocol):
    """The base model, as the engine hands it over."""

    @property
    def folder(self) -> Path:
        """Where its safetensors are."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its weights, saved beside the adapter."""
        ...

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a prompt as it is really sent."""
        ...

    def encode_reply(self, text: str) -> list[int]:
        """Token ids of a reply, with the end token that the model would have written."""
        ...


@dataclass(frozen=True)
class Lessons:
    """What a tuning learns from, as texts."""

    preferences: Sequence[Preference]
    replay: Sequence[tuple[str, str]] = ()
    """(prompt, reply) of what the model knows already and should go on knowing."""


@dataclass(frozen=True)
class Pair:
    """A preference as token ids; `prompt` is never padded here."""

    prompt: tuple[int, ...]
    better: tuple[int, ...]
    worse: tuple[int, ...]
    weight: float


def pairs_of(base: Base, preferences: Sequence[Preference]) -> list[Pair]:
    """The preferences as token ids; those whose two sides are the same or empty are left out."""
    texts = dict.fromkeys(preference.prompt_text for preference in preferences)
    prompts = {text: tuple(base.encode_prompt(text)) for text in texts}
    pairs = []
    for each in preferences:
        better = tuple(base.encode_reply(each.better_text))
        worse = tuple(base.encode_reply(each.worse_text))
        if better and worse and better != worse:
            pairs.append(Pair(prompts[each.prompt_text], better, worse, each.weight))
    return pairs


def replay_of(base: Base, texts: Sequence[tuple[str, str]]) -> list[Row]:
    """Replayed replies as token ids, one a row."""
    rows = [
        Row(tuple(base.encode_prompt(prompt)), (tuple(base.encode_reply(reply)),))
        for prompt, reply in texts
    ]
    return [row for row in rows if row.prompt and row.replies[0]]


def hold_out(pairs: Sequence[Pair], rng: Random) -> tuple[list[Pair], list[Pair]]:
    """(train, held out): whole prompts, about 15 % of the pairs; none of fewer than ten."""
    families: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        families.setdefault(pair.prompt, []).append(pair)
    wanted = min(HELD_OUT_LIMIT, len(pairs) * HELD_OUT_SHARE)
    if len(pairs) < HELD_OUT_FROM or len(families) < 3:
        return list(pairs), []
    order = list(families)
    rng.shuffle(order)
    held_out: list[Pair] = []
    while len(held_out) < wanted:
        held_out += families.pop(order.pop())
    return [pair for family in families.values() for pair in family], held_out[:HELD_OUT_LIMIT]


def batches(pairs: Sequence[Pair], size: int, count: int, rng: Random) -> list[list[Pair]]:
    """`count` batches, pass after pass; up to four pairs of a prompt stay together."""
    families: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        families.setdefault(pair.prompt, []).append(pair)
    queue: list[Pair] = []
    while len(queue) < size * count:
        groups: list[list[Pair]] = []
        for family in families.values():
            shuffled = rng.sample(family, len(family))
            groups += [shuffled[i : i + SAME_PROMPT] for i in range(0, len(family), SAME_PROMPT)]
        rng.shuffle(groups)
        queue += [pair for group in groups for pair in group]
    return [queue[i * size : (i + 1) * size] for i in range(count)]


def replay_batches(rows: Sequence[Row], size: int, count: int, rng: Random) -> list[list[Row]]:
    """`count` batches of replayed rows, pass after pass; empty ones without any rows."""
    queue: list[Row] = []
    while rows and len(queue) < size * count:
        queue += rng.sample(list(rows), len(rows))
    return [queue[i * size : (i + 1) * size] for i in range(count)]


def rows_of(batch: Sequence[Pair]) -> list[Row]:
    """One row per prompt with each of its replies once, in order of appearance."""
    families: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for pair in batch:
        replies = families.setdefault(pair.prompt, {})
        replies[pair.better] = None
        replies[pair.worse] = None
    return [Row(prompt, tuple(replies)) for prompt, replies in families.items()]
