"""Everything that one run of the proposer's benchmark found, as figures, a table and a log.

In: the samples of each case. Out: the benchmark's JSON object (its keys are told in proposer.py),
the same in columns for a person, and each reply with its verdict as a line of JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import proposer_figures as figures
from proposer_asking import Sample
from proposer_corpus import Corpus
from proposer_repair import Mended
from proposer_speed import Speed
from rich.table import Table

from evoprompt.candidate import Rejected

KEYS = (
    "valid_t08", "valid_t10", "new", "structural", "heredity", "shrink", "grow", "cross_both",
    "repair", "valid_new_per_s", "token_share", "foreign_valid",
)  # fmt: skip
"""What acceptance asks for."""


@dataclass
class Found:
    """All samples of one case."""

    cool: list[Sample] = field(default_factory=list)
    warm: list[Sample] = field(default_factory=list)
    unmasked: list[Sample] = field(default_factory=list)
    foreign: list[Sample] = field(default_factory=list)
    foreign_counts: tuple[int, int, int] = (0, 0, 0)
    """Programs, with a numbered view, in the canonical style."""
    mended: list[Mended] = field(default_factory=list)
    mended_own: list[Mended] = field(default_factory=list)
    speed: Speed | None = None


def summary(found: Sequence[Found], corpus: Corpus, count: figures.CountTokens) -> dict[str, Any]:
    """All figures of some cases together."""
    cool = [each for one in found for each in one.cool]
    warm = [each for one in found for each in one.warm]
    unmasked = [each for one in found for each in one.unmasked]
    foreign = [each for one in found for each in one.foreign]
    own = [each for one in found for each in one.mended_own]
    run = [*cool, *warm]
    new = figures.new_ones(cool, run, corpus)
    first = figures.different_ones(cool, corpus)
    shrink, shrink_of_all = figures.moved(cool, "shrink")
    grow, grow_of_all = figures.moved(cool, "grow")
    counts = [sum(column) for column in zip(*(one.foreign_counts for one in found), strict=True)]
    return {
        "valid_t08": figures.valid(cool),
        "valid_t10": figures.valid(warm),
        "new": round(len(new) / len(cool), 4),
        "structural": figures.structural(cool),
        "heredity": figures.inheritance(cool),
        "shrink": shrink,
        "grow": grow,
        "cross_both": figures.cross_both(cool),
        "repair": figures.share(each.is_valid for one in found for each in one.mended),
        **speeds([one.speed for one in found if one.speed is not None]),
        "token_share": figures.token_share(cool, first, count),
        "foreign_valid": figures.valid(foreign),
        "valid_t08_unmasked": figures.valid(unmasked),
        "added": figures.share(each.added for each in cool),
        "new_first": round(len(first) / len(cool), 4),
        "new_t10": round(len(figures.new_ones(warm, run, corpus)) / len(warm), 4),
        "structural_t10": figures.structural(warm),
        "heredity_t10": figures.inheritance(warm),
        "shrink_of_all": shrink_of_all,
        "grow_of_all": grow_of_all,
        "repair_own": figures.share(each.is_valid for each in own),
        "repair_own_new": figures.share(each.is_new for each in own),
        "repair_own_count": len(own),
        "tokens_per_reply": round(sum(s.reply.token_count for s in cool) / len(cool), 1),
        "foreign_programs": counts[0],
        "foreign_shown": counts[1],
        "foreign_canonical": counts[2],
        "samples": len(cool),
        "rejections_t08": dict(figures.rejections(cool).most_common()),
        "rejections_t10": dict(figures.rejections(warm).most_common()),
        "rejections_foreign": dict(figures.rejections(foreign).most_common()),
        "valid_by_template": _by_template(cool),
        "foreign_by_template": _by_template(foreign),
        "not_mended": _not_mended(found),
    }


def speeds(timed: Sequence[Speed]) -> dict[str, float]:
    """Children a second, and where the time went."""
    seconds = sum(each.seconds for each in timed)
    samples = sum(each.samples for each in timed)
    return {
        "valid_new_per_s": round(sum(each.valid_new for each in timed) / seconds, 2),
        "samples_per_s": round(samples / seconds, 2),
        "sampling_cpu_ms": round(1000 * sum(s.sampling_cpu for s in timed) / samples, 1),
        "screening_cpu_ms": round(1000 * sum(s.screening_cpu for s in timed) / samples, 1),
        "tokens_per_s": round(
            sum(s.tokens for s in timed) / sum(s.sampling_seconds for s in timed)
        ),
        "sampling_share": round(sum(each.sampling_seconds for each in timed) / seconds, 3),
        "screening_share": round(sum(each.screening_seconds for each in timed) / seconds, 3),
        "valid_new_share_mixed": round(sum(each.valid_new for each in timed) / samples, 4),
    }


def _by_template(samples: Sequence[Sample]) -> dict[str, float | None]:
    names = sorted({each.prompt.template for each in samples})
    return {
        name: figures.valid([each for each in samples if each.prompt.template == name])
        for name in names
    }


def _not_mended(found: Sequence[Found]) -> dict[str, str]:
    """Reason -> mended of how many, of the programs that the grammar broke."""
    every = [each for one in found for each in one.mended]
    out = {}
    for reason in sorted({each.reason for each in every}):
        of = [each.is_valid for each in every if each.reason == reason]
        out[reason] = f"{sum(of)} of {len(of)}"
    return out


def report(
    found: Mapping[str, Found], corpus: Corpus, count: figures.CountTokens
) -> dict[str, Any]:
    """All cases together, each by itself, and how much of the corpus was looked at."""
    return {
        **summary([*found.values()], corpus, count),
        "corpus_programs": len(corpus.programs),
        "corpus_share": round(corpus.share, 4),
        "cases": {name: summary([one], corpus, count) for name, one in found.items()},
    }


def table(told: Mapping[str, object], cases: Mapping[str, Mapping[str, object]]) -> Table:
    """The figures that acceptance asks for, all cases together and each by itself."""
    made = Table("figure", "all", *cases)
    for key in KEYS:
        made.add_row(key, str(told[key]), *(str(each[key]) for each in cases.values()))
    return made


def write_log(path: Path, found: Mapping[str, Found]) -> None:
    """Every reply with what became of it, a line of JSON each."""
    with path.open("w") as file:
        for one in found.values():
            for part in ("cool", "warm", "unmasked", "foreign"):
                for sample in getattr(one, part):
                    file.write(json.dumps({"part": part, **_told(sample)}) + "\n")


def _told(sample: Sample) -> dict[str, object]:
    answer = sample.answer
    failed = isinstance(answer, Rejected)
    return {
        "case": sample.case,
        "template": sample.prompt.template,
        "prompt": sample.prompt.text,
        "reply": sample.reply.text,
        "rejected": f"{answer.stage}: {answer.reason}: {answer.detail}" if failed else None,
        "parameters": [each.screened.parameters for each in sample.parents]
        + ([] if failed else [sample.screened.parameters]),
    }
