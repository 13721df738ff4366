"""From siblings to preferences: which of two replies to the same prompt was the better one.

In: siblings with what became of them. Out: preferences, strongest evidence first: measured
accuracies, then predicted ones (less a margin), then a valid and new child against one that failed
or was known (EvoTune, arXiv 2504.05108: better against worse half, and valid against invalid).
Not promised: that accuracy is all that matters; size targets are not judged here.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

ACCURACY_MARGIN = 0.005  # one standard error at 94 % with 4,000 validation examples is .004
SCORE_MARGIN = 0.02  # the predictor's typical error is larger; see the predictor's own report
MEASURED, PREDICTED, VALIDITY = 1.0, 0.5, 0.5  # weights by kind of evidence
PAIRS_PER_PROMPT = 8
USES_PER_REPLY = 3  # of one reply on one side, so that no single child speaks for its prompt


@dataclass(frozen=True)
class Sibling:
    """One reply and what became of it; siblings share their prompt's text."""

    prompt_text: str
    reply_text: str
    is_valid: bool
    is_new: bool
    """False for a graph that was known: the parent's, a sibling's, any of the run's."""
    accuracy: float | None = None
    """Measured, 0..1; None if it was not trained."""
    score: float | None = None
    """Predicted accuracy, 0..1; None where the predictor has not earned it."""


@dataclass(frozen=True)
class Preference:
    """Two replies to one prompt, the better one first."""

    prompt_text: str
    better_text: str
    worse_text: str
    weight: float = 1.0


def preferences(siblings: Iterable[Sibling], cap: int = PAIRS_PER_PROMPT) -> list[Preference]:
    """At most `cap` preferences per prompt, prompts in order of appearance; no randomness."""
    families: dict[str, dict[str, Sibling]] = {}
    for sibling in siblings:
        family = families.setdefault(sibling.prompt_text, {})
        known = family.get(sibling.reply_text)
        # The same text twice: the second is no longer new, so the better outcome stands for both.
        if known is None or _standing(sibling) > _standing(known):
            family[sibling.reply_text] = sibling
    return [pair for family in families.values() for pair in _of_family([*family.values()], cap)]


def _standing(sibling: Sibling) -> tuple[bool, float, float]:
    accuracy = -1.0 if sibling.accuracy is None else sibling.accuracy
    score = -1.0 if sibling.score is None else sibling.score
    return sibling.is_valid and sibling.is_new, accuracy, score


def _of_family(family: Sequence[Sibling], cap: int) -> list[Preference]:
    compared = [found for a, b in combinations(family, 2) if (found := compare(a, b))]
    compared.sort(key=_order)
    taken: list[Preference] = []
    uses: dict[tuple[str, str], int] = {}
    for pair, _, _ in compared:
        sides = (("better", pair.better_text), ("worse", pair.worse_text))
        if len(taken) == cap:
            break
        if all(uses.get(side, 0) < USES_PER_REPLY for side in sides):
            taken.append(pair)
            for side in sides:
                uses[side] = uses.get(side, 0) + 1
    return taken


def compare(a: Sibling, b: Sibling) -> tuple[Preference, int, float] | None:
    """(preference, rank of the evidence with 0 the best, gap), or None where neither is better."""
    a_counts, b_counts = a.is_valid and a.is_new, b.is_valid and b.is_new
    if a_counts != b_counts:
        better, worse = (a, b) if a_counts else (b, a)
        return _preference(better, worse, VALIDITY), 2, 0.0
    if not a_counts:
        return None
    if a.accuracy is not None and b.accuracy is not None:
        return _by_figure(a, b, a.accuracy - b.accuracy, ACCURACY_MARGIN, MEASURED)
    if a.score is not None and b.score is not None:
        return _by_figure(a, b, a.score - b.score, SCORE_MARGIN, PREDICTED)
    return None


def _by_figure(
    a: Sibling, b: Sibling, gap: float, margin: float, weight: float
) -> tuple[Preference, int, float] | None:
    if abs(gap) <= margin:
        return None
    better, worse = (a, b) if gap > 0 else (b, a)
    rank = 0 if weight == MEASURED else 1
    return _preference(better, worse, weight), rank, abs(gap) - margin


def _preference(better: Sibling, worse: Sibling, weight: float) -> Preference:
    return Preference(better.prompt_text, better.reply_text, worse.reply_text, weight)


def _order(item: tuple[Preference, int, float]) -> tuple[int, float, str]:
    """Best evidence and largest gap first; ties by a hash, so that no position is favoured."""
    pair, rank, gap = item
    text = f"{pair.better_text}\0{pair.worse_text}".encode("utf-8", "surrogatepass")
    return rank, -gap, hashlib.sha256(text).hexdigest()
