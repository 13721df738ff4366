"""Valid new children a second, as a search would see them: rounds of prompts, sampled and screened.

In: a case, parents, an engine. Out: children and wall seconds, split by stage. A round is what the
settings say (8 prompts of 8 samples): prompts are made, sampled, read, screened; the next round
begins when the last verdict is there, because a search picks its parents by then. Loading the model
and warming the screen are not counted. The engine writes with the threads or processes of the
settings, the screen with its two workers; so both cores are used in turn, not at the same time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from proposer_asking import judged, prompts_for, template_plan, written
from proposer_case import Case, Known
from screen import cpu_seconds

from evoprompt.propose.engine import Engine
from evoprompt.propose.templates import Template


@dataclass(frozen=True)
class Speed:
    """What so many rounds took."""

    samples: int
    valid: int
    valid_new: int
    """Graphs that no parent and no earlier child has."""
    tokens: int
    prompting_seconds: float
    sampling_seconds: float
    screening_seconds: float
    sampling_cpu: float
    """Processor seconds, which a busy machine changes little; workers included."""
    screening_cpu: float

    @property
    def seconds(self) -> float:
        """Wall time of all."""
        return self.prompting_seconds + self.sampling_seconds + self.screening_seconds


def timed(
    case: Case,
    templates: Mapping[str, Template],
    pool: Sequence[Known],
    engine: Engine,
    count: int,
    advance: Callable[[int], None],
) -> Speed:
    """Rounds until `count` samples are written and screened."""
    settings = case.proposer
    per_round = settings.prompts_per_round * settings.samples_per_prompt
    clocks, processors = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    graphs = {known.screened.graph for known in pool}
    known_count, samples, valid, tokens = len(graphs), 0, 0, 0
    waiting = iter(pool)
    plan = template_plan(templates, settings.cross_share, -(-count // settings.samples_per_prompt))
    plan = [name for start in range(8) for name in plan[start::8]]  # templates mixed over rounds
    for start in range(0, len(plan), settings.prompts_per_round):
        part = plan[start : start + settings.prompts_per_round]
        marks = [_now()]
        asked, shown = prompts_for(case, templates, part, waiting, f"speed {start}")
        marks.append(_now())
        replies = written(engine, asked, per_round, lambda done: None)
        marks.append(_now())
        found = judged(case, asked, shown, replies)
        marks.append(_now())
        for place in range(3):
            clocks[place] += marks[place + 1][0] - marks[place][0]
            processors[place] += marks[place + 1][1] - marks[place][1]
        samples += len(found)
        valid += sum(each.is_valid for each in found)
        tokens += sum(each.reply.token_count for each in found)
        graphs |= {each.screened.graph for each in found if each.is_valid}
        advance(samples)
    return Speed(samples, valid, len(graphs) - known_count, tokens, *clocks, *processors[1:])


def _now() -> tuple[float, float]:
    """Wall clock and processor seconds."""
    return time.perf_counter(), cpu_seconds()
