"""Tuning the proposer on better and worse siblings: preferences (DPO), or winners alone (SFT).

In: a base model, preferences and replayed replies. Out: an adapter folder and a `TuneReport`. Each
tuning starts from the same place again and takes all pairs, as EvoTune (arXiv 2504.05108) does.
Methods: dpo and sft train LoRA weights; soft_prompt trains sixteen virtual tokens on the winners,
as EvoPrompting (arXiv 2302.14838) does. The same call gives the same bits on one machine's CPU.
Not promised: that the adapter is better, which the gate decides; held-out pairs are few.
"""

import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from evoprompt.config import LearnSettings
from evoprompt.learn.descent import Descent, Probe, Progress
from evoprompt.learn.lessons import (
    Base,
    Lessons,
    batches,
    hold_out,
    pairs_of,
    replay_batches,
    replay_of,
)
from evoprompt.learn.tuned_model import TunedModel, fresh, gone_on_from

REPLAYED = 0.5  # replayed replies for each pair of a batch


@dataclass(frozen=True)
class TuneReport:
    """What a tuning did."""

    pairs: int
    """Pairs trained on."""
    held_out: int
    replayed: int
    """Replayed replies to draw from."""
    steps: int
    """Of the adapter that was kept."""
    stopped: str
    """Why it ended: steps (all done), held-out pairs (no better), or probe (writes worse)."""
    first_loss: float
    """Loss of the first batch: the preference loss, log 2 by definition, or the NLL per token."""
    last_loss: float
    """Mean loss of the last five batches."""
    held_out_loss: float | None
    """The same on the held-out pairs, of the adapter that was kept."""
    preference_accuracy: float | None
    """Share of held-out pairs whose better reply gained more than the worse one; .5 is chance."""
    weights: str
    """SHA-256 of the adapter's weights file; empty if there was nothing to tune on."""
    seconds: float
    """Clock: wall time."""


NOTHING = TuneReport(0, 0, 0, 0, "nothing to learn", 0.0, 0.0, None, None, "", 0.0)
"""The report where there were no usable pairs or no steps."""


def tune(
    base: Base,
    lessons: Lessons,
    settings: LearnSettings,
    seed: int,
    out_folder: Path,
    threads: int,
    *,
    start: Path | None = None,
    probe: Probe | None = None,
    progress: Progress | None = None,
) -> TuneReport:
    """Tune an adapter on all lessons and write it to `out_folder`.

    `base` is the engine's (`engine.base`), which has checked the files. `start` is an adapter of
    the same base to go on from; without it a fresh one is trained. Without usable pairs, or with no
    steps, nothing is written.

    Raises:
        ModelError: `start` does not load or is of another kind.
        StorageError: the adapter cannot be written.
    """
    started = time.perf_counter()
    torch.set_num_threads(threads)
    rng = Random(seed)
    pairs = pairs_of(base, lessons.preferences)
    if not pairs or settings.steps <= 0:
        return NOTHING
    train, held_out = hold_out(pairs, rng)
    replay = replay_of(base, lessons.replay) if settings.replay > 0 else []
    plan = batches(train, settings.batch_size, settings.steps, rng)
    replayed = math.ceil(REPLAYED * settings.batch_size)
    steps = list(zip(plan, replay_batches(replay, replayed, len(plan), rng), strict=True))
    if start is None:
        model = fresh(base.folder, settings, seed)
    else:
        model = gone_on_from(base.folder, start, settings)
    look = out_folder.with_name(f"{out_folder.name}.look")
    passes = (lambda: _passes(probe, model, base, look)) if probe else None
    run = Descent(model, settings, held_out, passes)
    stopped = run.follow(steps, progress)
    weights = model.write(base.fingerprint, out_folder)
    return TuneReport(
        pairs=len(train),
        held_out=len(held_out),
        replayed=len(replay),
        steps=run.steps,
        stopped=stopped,
        first_loss=run.losses[0],
        last_loss=sum(run.losses[-5:]) / len(run.losses[-5:]),
        held_out_loss=run.kept[0] if held_out else None,
        preference_accuracy=run.kept[1] if held_out else None,
        weights=weights,
        seconds=time.perf_counter() - started,
    )


def _passes(probe: Probe, model: TunedModel, base: Base, folder: Path) -> bool:
    """Write the adapter as it is now, for the probe alone."""
    try:
        model.write(base.fingerprint, folder)
        return probe(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
