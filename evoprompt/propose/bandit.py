"""Which template writes the next prompt: Thompson sampling on "entered the archive per token".

In: each template's share before anything is known, and what each one spent and brought in every
generation so far. Out: one template per draw, or each one's chance of being drawn.
A generation's entries are compared with what an average template would have got for the same
tokens, because cells fill up and every template gets dearer with time. Not promised: that the best
template wins in a short run; a generation brings few entries.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

PRIOR_ENTRIES = 2.0  # that every template is believed to have brought beforehand
TICKETS = 2  # for each template, in one draw
DRAWS = 1000  # from which chances are read: a standard error of at most .016


@dataclass(frozen=True)
class Outcome:
    """What one template spent and brought in one generation."""

    generation: int
    template: str
    token_count: int
    """Tokens written for its prompts, repairs of its children included."""
    entered_count: int
    """Its children that entered the archive."""


@dataclass(frozen=True)
class Belief:
    """A gamma distribution of a template's rate of entries per token; 1 is the average rate."""

    share: float
    """Of the draws, before anything is known."""
    shape: float
    """Entries, with those of the prior."""
    rate: float
    """Entries that an average template would have got for the same tokens, likewise."""

    @property
    def mean(self) -> float:
        """The expected rate, as a multiple of the average template's."""
        return self.shape / self.rate


def beliefs(shares: Mapping[str, float], outcomes: Iterable[Outcome]) -> dict[str, Belief]:
    """What is believed of each template.

    Args:
        shares: Share of the draws by template, before anything is known; those of 0 are left out.
        outcomes: At most one for each generation and template; of other templates they are ignored.
    """
    arms = {name: share for name, share in sorted(shares.items()) if share > 0}
    whole = sum(arms.values())
    by_generation: defaultdict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.template in arms:
            by_generation[outcome.generation].append(outcome)
    entered = dict.fromkeys(arms, 0.0)
    expected = dict.fromkeys(arms, 0.0)
    for _, together in sorted(by_generation.items()):
        tokens = sum(each.token_count for each in together)
        entries = sum(each.entered_count for each in together)
        for each in together:
            entered[each.template] += each.entered_count
            expected[each.template] += entries * each.token_count / max(1, tokens)
    return {
        name: Belief(share / whole, PRIOR_ENTRIES + entered[name], PRIOR_ENTRIES + expected[name])
        for name, share in arms.items()
    }


def draw(believed: Mapping[str, Belief], rng: Random) -> str:
    """One template: tickets are dealt by share, and the ticket with the highest drawn rate wins.

    Where all are believed alike each wins its share of the draws; one that brought nothing so far
    still wins where no better one was dealt a ticket.
    """
    names = sorted(believed)
    shares = [believed[name].share for name in names]
    tickets = rng.choices(names, shares, k=TICKETS * len(names))
    rates = [rng.gammavariate(believed[name].shape, 1 / believed[name].rate) for name in tickets]
    return tickets[rates.index(max(rates))]


def chances(believed: Mapping[str, Belief], rng: Random) -> dict[str, float]:
    """Each template's chance of being drawn, 0..1, as the share that it wins of many draws."""
    won = Counter(draw(believed, rng) for _ in range(DRAWS))
    return {name: won[name] / DRAWS for name in believed}
