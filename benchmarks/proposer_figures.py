"""Samples -> the figures of the proposer's benchmark; their definitions stand in proposer.py.

In: lists of `Sample`. Out: shares between 0 and 1, or None where there is nothing to take a share
of. Not promised: an interval; replies to one prompt are alike, so the figures of 1,000 samples
scatter as those of fewer would.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random

from proposer_asking import Sample
from proposer_case import SEED, Known
from proposer_corpus import Corpus
from proposer_structure import is_structural

from evoprompt.candidate import Rejected
from evoprompt.chance import generator
from evoprompt.grammar.spec import Spec, spec_lines
from evoprompt.grammar.variation import ANY, cross, mutate, some_mutation
from evoprompt.learn.heredity import heredity, margin

CountTokens = Callable[[str], int]


def share(values: Iterable[bool]) -> float | None:
    """The share of what is true."""
    listed = list(values)
    return round(sum(listed) / len(listed), 4) if listed else None


def valid(samples: Sequence[Sample]) -> float | None:
    """The share of replies that pass the screen."""
    return share(sample.is_valid for sample in samples)


def new_ones(samples: Sequence[Sample], run: Sequence[Sample], corpus: Corpus) -> list[Sample]:
    """Those with a graph that neither a parent nor any other sample of the run has."""
    counts = Counter(each.screened.graph for each in run if each.is_valid)
    return [
        each
        for each in samples
        if each.is_valid
        and counts[each.screened.graph] == 1
        and each.screened.graph not in {parent.screened.graph for parent in each.parents}
        and not corpus.holds(each.lines)
    ]


def different_ones(samples: Sequence[Sample], corpus: Corpus) -> list[Sample]:
    """As `new_ones`, but of equal samples the first counts."""
    first: dict[str, Sample] = {}
    for each in samples:
        if each.is_valid:
            first.setdefault(each.screened.graph, each)
    return new_ones([*first.values()], [*first.values()], corpus)


def structural(samples: Sequence[Sample]) -> float | None:
    """The share of the valid ones that differ from their first parent in more than numbers."""
    return share(
        is_structural(
            each.lines, each.screened.text, each.parents[0].lines, each.parents[0].screened.text
        )
        for each in samples
        if each.is_valid
    )


def moved(samples: Sequence[Sample], operator: str) -> tuple[float | None, float | None]:
    """Of the replies to shrink or grow, the share that obeys: of the valid ones, and of all."""
    asked = [each for each in samples if each.prompt.operator == operator]
    sign = -1 if operator == "shrink" else 1
    obey = [
        each.is_valid
        and sign * (each.screened.parameters - each.parents[0].screened.parameters) > 0
        for each in asked
    ]
    is_valid = [each.is_valid for each in asked]
    return share(o for o, v in zip(obey, is_valid, strict=True) if v), share(obey)


def cross_both(samples: Sequence[Sample]) -> float | None:
    """The share of valid crossovers with lines that only one parent has, of each parent."""
    crossed = [each for each in samples if each.is_valid and each.prompt.operator == "cross"]
    return share(_has_both(each) for each in crossed)


def _has_both(sample: Sample) -> bool:
    child = {line.strip() for line in sample.lines}
    first, second = ({line.strip() for line in parent.lines} for parent in sample.parents)
    return bool(child & (first - second)) and bool(child & (second - first))


def inheritance(samples: Sequence[Sample]) -> float | None:
    """Heredity of the valid children, as a share of the grammar's own children of these parents."""
    rng = generator(SEED, "true children")
    margins: list[float] = []
    true: list[float] = []
    found = [each for each in samples if each.is_valid]
    for place, sample in enumerate(found):
        others = _other_parents(found, place)
        child = true_child(sample, rng)
        if others is None or child is None:
            continue
        own = [parent.lines for parent in sample.parents]
        margins.append(margin(sample.lines, own, others))
        true.append(margin(spec_lines(child), own, others))
    share = heredity(margins, true)
    return None if share is None else round(share, 4)


def _other_parents(samples: Sequence[Sample], place: int) -> list[tuple[str, ...]] | None:
    """The parents of the next prompt of the same case."""
    own = samples[place]
    for other in [*samples[place + 1 :], *samples[:place]]:
        if other.case == own.case and other.parents != own.parents:
            return [parent.lines for parent in other.parents]
    return None


def true_child(sample: Sample, rng: Random) -> Spec | None:
    """What the grammar makes of the same parents, for the same operator and part."""
    spec, operator, part = sample.parents[0].spec, sample.prompt.operator, sample.prompt.part
    if spec is None:
        return None
    if operator == "cross":
        donor = sample.parents[1].spec
        return None if donor is None else cross(spec, donor, rng)
    direction = operator if operator in ("shrink", "grow") else ""
    return mutate(spec, rng, part or ANY, direction) or some_mutation(spec, rng)


def token_share(
    samples: Sequence[Sample], new: Sequence[Sample], count: CountTokens
) -> float | None:
    """Tokens written for each valid new child, as a share of the tokens of such a child itself."""
    if not new:
        return None
    spent = sum(each.reply.token_count for each in samples) / len(new)
    whole = sum(count("\n".join(each.lines)) for each in new) / len(new)
    return round(spent / whole, 4)


def rejections(samples: Sequence[Sample]) -> Counter[str]:
    """How many replies were rejected, by stage and reason."""
    return Counter(
        f"{each.answer.stage}: {each.answer.reason}"
        for each in samples
        if isinstance(each.answer, Rejected)
    )


def parents_of(samples: Sequence[Sample]) -> list[Known]:
    """The first parents, each once."""
    return [*{each.parents[0].parent.id: each.parents[0] for each in samples}.values()]
