"""The promotion gate: whether a tuned proposer may take the place of the one before it.

In: what both versions wrote for the same held-out prompts (valid, new, heredity), and how many of
the held-out preferences the tuned one ranks right. Out: a `Decision` with all four figures.
The rule: the share of valid replies and the share of new ones may be lower by no more than chance
explains, heredity by no more than a tenth, and the preference accuracy must be above chance.
Not promised: that a promoted version is better; a small loss is not visible in a hundred replies.
"""

import math
from dataclasses import dataclass

CONFIDENCE = 1.96  # two-sided 95 %, for the intervals that are shown
CHANCE = 1.2816  # one-sided 90 %: of ten versions that write as well, one is refused for bad luck
HEREDITY_KEPT = 0.9  # of the old version's heredity


@dataclass(frozen=True)
class Written:
    """What one version wrote for the held-out prompts."""

    version: str
    samples: int
    valid: int
    """Replies that passed the screen."""
    valid_new: int
    """Of them those whose graph was not known, each graph counted once."""
    heredity: float | None = None
    """Mean margin of `heredity.margin` over the valid children; None without any."""


@dataclass(frozen=True)
class Decision:
    """Whether the tuned version goes live, the figures behind it, and what spoke against it."""

    old: Written
    new: Written
    preference_accuracy: float | None
    objections: tuple[str, ...]

    @property
    def is_promoted(self) -> bool:
        """True if nothing speaks against it."""
        return not self.objections

    def line(self) -> str:
        """One line for the terminal and the report."""
        old, new = (
            f"{each.version} {each.valid}/{each.samples} valid, "
            f"{each.valid_new} new ({_percent(*wilson(each.valid_new, each.samples))}), "
            f"heredity {_figure(each.heredity)}"
            for each in (self.old, self.new)
        )
        verdict = "; ".join(["refused", *self.objections]) if self.objections else "promoted"
        return f"{new} against {old}; pairs {_figure(self.preference_accuracy)}: {verdict}"


def decide(old: Written, new: Written, preference_accuracy: float | None) -> Decision:
    """Apply the rule.

    Args:
        old: The version in use.
        new: The tuned one.
        preference_accuracy: Share of held-out pairs that it ranks right; None without any.
    """
    found = [*losses(old, new)]
    if preference_accuracy is None:
        found.append("too few pairs to hold any out")
    elif preference_accuracy <= 0.5:
        found.append("held-out pairs ranked no better than by chance")
    return Decision(old, new, preference_accuracy, tuple(found))


def losses(old: Written, new: Written) -> list[str]:
    """What the new version does worse than the old one; empty if nothing beyond the margins."""
    found: list[str] = []
    if not new.samples:
        return ["no replies"]
    for name, before, after in (
        ("valid", old.valid, new.valid),
        ("new", old.valid_new, new.valid_new),
    ):
        if is_lower(before, old.samples, after, new.samples):
            found.append(f"fewer {name}")
    inherits = old.heredity is None or (new.heredity or 0.0) >= HEREDITY_KEPT * old.heredity
    if not inherits:
        found.append("less heredity")
    return found


def is_lower(old: int, old_count: int, new: int, new_count: int) -> bool:
    """Whether a share fell by more than chance explains, one-sided at 90 %.

    The upper end of the difference's interval by Newcombe's method 10 (Statistics in Medicine 17,
    1998, p. 873) is compared with zero.
    """
    if not old_count or not new_count:
        return False
    before, after = old / old_count, new / new_count
    low = wilson(old, old_count, CHANCE)[0]
    high = wilson(new, new_count, CHANCE)[1]
    return after - before + math.hypot(high - after, before - low) < 0.0


def wilson(successes: int, count: int, deviations: float = CONFIDENCE) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927, JASA 22:209); (0, 1) for 0 of 0."""
    if count == 0:
        return 0.0, 1.0
    share, square = successes / count, deviations**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    half = deviations * spread / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _percent(low: float, high: float) -> str:
    return f"{low:.2f}-{high:.2f}"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
