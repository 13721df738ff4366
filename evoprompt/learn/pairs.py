"""From siblings to preferences: which of two replies to the same prompt was the better one.

In: siblings with what became of them. Out: preferences with the kind of evidence, at most eight a
prompt: a valid and new child against one that failed or was known; among valid ones the child that
did what the prompt asked of its size; then the larger gain over the parent (`gain.gain`), measured
before predicted. (Siblings as evidence: EvoTune, arXiv 2504.05108.)
Not promised: a preference for every two siblings; where both gain nothing there is none.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

Evidence = Literal["measured", "asked", "valid", "predicted"]
ORDER: tuple[Evidence, ...] = ("measured", "asked", "valid", "predicted")
"""Strongest first: a prompt's pairs are taken in this order."""
WEIGHTS: dict[Evidence, float] = {"measured": 1.0, "asked": 0.5, "valid": 0.5, "predicted": 0.5}
MARGINS = {"measured": 0.02, "predicted": 0.05}
"""Smallest difference in gain that counts. One standard error of an accuracy of 94 % on 4,000
examples is .004; at 3,000 parameters a gain moves 3.5 times as much as the accuracy does."""
PAIRS_PER_PROMPT = 8
PAIRS_PER_EVIDENCE = 4  # of one prompt, so that failures do not crowd out everything else
USES_PER_REPLY = 3  # of one reply on one side, so that no single child speaks for its prompt


@dataclass(frozen=True)
class Sibling:
    """One reply and what became of it; siblings share their prompt's text."""

    prompt_text: str
    reply_text: str
    is_valid: bool
    is_new: bool
    """False for a graph that was known: the parent's, a sibling's, any of the run's."""
    gain: float | None = None
    """Over the parent, with the measured accuracy; None if it was not trained."""
    predicted_gain: float | None = None
    """The same with the predicted accuracy; None where the predictor has not earned it."""
    obeys: bool | None = None
    """Whether it did what the prompt asked of its size; None if nothing was asked."""


@dataclass(frozen=True)
class Preference:
    """Two replies to one prompt, the better one first."""

    prompt_text: str
    better_text: str
    worse_text: str
    evidence: Evidence = "measured"

    @property
    def weight(self) -> float:
        """How much the pair counts in the loss."""
        return WEIGHTS[self.evidence]


@dataclass(frozen=True)
class Compared:
    """A preference and how far apart its two sides are."""

    preference: Preference
    gap: float


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


def count_by_evidence(found: Iterable[Preference]) -> dict[str, int]:
    """How many preferences rest on each kind of evidence."""
    counts = Counter(preference.evidence for preference in found)
    return {evidence: counts[evidence] for evidence in ORDER}


def compare(a: Sibling, b: Sibling) -> Compared | None:
    """Which of two siblings was better and by what evidence, or None where neither was."""
    a_counts, b_counts = a.is_valid and a.is_new, b.is_valid and b.is_new
    if a_counts != b_counts:
        return _compared(a, b, 1.0 if a_counts else -1.0, "valid")
    if not a_counts:
        return None
    if a.obeys is not None and b.obeys is not None and a.obeys != b.obeys:
        return _compared(a, b, 1.0 if a.obeys else -1.0, "asked")
    if a.gain is not None and b.gain is not None:
        return _by_gain(a, b, a.gain - b.gain, "measured")
    if a.predicted_gain is not None and b.predicted_gain is not None:
        return _by_gain(a, b, a.predicted_gain - b.predicted_gain, "predicted")
    return None


def _by_gain(a: Sibling, b: Sibling, gap: float, evidence: Evidence) -> Compared | None:
    return _compared(a, b, gap, evidence) if abs(gap) > MARGINS[evidence] else None


def _compared(a: Sibling, b: Sibling, gap: float, evidence: Evidence) -> Compared:
    better, worse = (a, b) if gap > 0 else (b, a)
    found = Preference(better.prompt_text, better.reply_text, worse.reply_text, evidence)
    return Compared(found, abs(gap))


def _standing(sibling: Sibling) -> tuple[bool, float, float]:
    gain = -1.0 if sibling.gain is None else sibling.gain
    predicted = -1.0 if sibling.predicted_gain is None else sibling.predicted_gain
    return sibling.is_valid and sibling.is_new, gain, predicted


def _of_family(family: Sequence[Sibling], cap: int) -> list[Preference]:
    compared = [found for a, b in combinations(family, 2) if (found := compare(a, b))]
    taken: list[Preference] = []
    uses: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    for found in sorted(compared, key=_order):
        pair = found.preference
        sides = (("better", pair.better_text), ("worse", pair.worse_text))
        if len(taken) == cap:
            break
        if kinds[pair.evidence] < PAIRS_PER_EVIDENCE and all(
            uses[side] < USES_PER_REPLY for side in sides
        ):
            taken.append(pair)
            kinds[pair.evidence] += 1
            uses.update(sides)
    return taken


def _order(found: Compared) -> tuple[int, float, str]:
    """Best evidence and largest gap first; ties by a hash, so that no position is favoured."""
    pair = found.preference
    text = f"{pair.better_text}\0{pair.worse_text}".encode("utf-8", "surrogatepass")
    return ORDER.index(pair.evidence), -found.gap, hashlib.sha256(text).hexdigest()
