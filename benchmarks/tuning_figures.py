"""What the tuned proposers gained over the frozen one, with intervals.

In: for every proposal its gain in front hypervolume over its parent, by method, seed and parent.
Out: means per proposal, and the difference to the frozen proposer with a bootstrap interval: seeds
are drawn first, then parents within each seed, and all proposals of a drawn parent go with it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Proposal:
    """One reply and what it was worth."""

    method: str
    seed: int
    parent: int
    gain: float
    """Over the parent; 0 for an invalid, known or repeated child, or one that failed to train."""
    tokens: int
    is_valid: bool
    is_new: bool
    """Valid, unlike its parent, not in the tuning ledger, first of its kind for this parent."""
    obeys: bool | None


@dataclass(frozen=True)
class Sums:
    """Gains, proposals and tokens, summed per seed and parent."""

    gain_SP: np.ndarray
    count_SP: np.ndarray


def sums(proposals: Iterable[Proposal], method: str, seeds: int, parents: int) -> Sums:
    gain, count = np.zeros((seeds, parents)), np.zeros((seeds, parents))
    for each in proposals:
        if each.method == method:
            gain[each.seed, each.parent] += each.gain
            count[each.seed, each.parent] += 1
    return Sums(gain, count)


def difference(
    tuned: Sums, frozen: Sums, resamples: int, seed: int = 0
) -> tuple[float, float, float]:
    """(low, middle, high) of the tuned proposer's gain per proposal above the frozen one's."""
    rng = np.random.default_rng(seed)
    seeds, parents = tuned.gain_SP.shape
    drawn = np.empty(resamples)
    for place in range(resamples):
        chosen_S = rng.integers(seeds, size=seeds)
        parents_SP = rng.integers(parents, size=(seeds, parents))
        drawn[place] = _mean(tuned, chosen_S, parents_SP) - _mean(frozen, chosen_S, parents_SP)
    middle = tuned.gain_SP.sum() / tuned.count_SP.sum()
    middle -= frozen.gain_SP.sum() / frozen.count_SP.sum()
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(middle), float(high)


def _mean(found: Sums, chosen_S: np.ndarray, parents_SP: np.ndarray) -> float:
    place = chosen_S[:, None], parents_SP
    return found.gain_SP[place].sum() / max(1.0, found.count_SP[place].sum())


def table(proposals: list[Proposal], methods: list[str]) -> list[dict]:
    """One row per method: how much it wrote, and what that was worth."""
    by_method: dict[str, list[Proposal]] = defaultdict(list)
    for each in proposals:
        by_method[each.method].append(each)
    return [_row(method, by_method[method]) for method in methods]


def _row(method: str, written: list[Proposal]) -> dict:
    count, tokens = len(written), sum(each.tokens for each in written)
    asked = [each.obeys for each in written if each.obeys is not None]
    new = [each for each in written if each.is_new]
    return {
        "method": method,
        "proposals": count,
        "tokens": tokens,
        "valid": _share(sum(each.is_valid for each in written), count),
        "new": _share(len(new), count),
        "obeys": _share(sum(asked), len(asked)),
        "better": _share(sum(each.gain > 0 for each in written), count),
        "gain": _share(sum(each.gain for each in written), count),
        "gain_per_new": _share(sum(each.gain for each in new), len(new)),
        "gain_per_1000_tokens": _share(1000 * sum(each.gain for each in written), tokens),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
