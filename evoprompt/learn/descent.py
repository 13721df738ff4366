"""One descent of a tuning: steps, looks at what is held out, and the best adapter so far.

In: a model with an adapter, batches of pairs and of replayed replies, held-out pairs, and a probe
that lets the adapter write. Out: the model holds the adapter of the best look, which is the one of
the lowest held-out loss. It stops early after two looks without a better loss, or at the first
failed probe, whose look is not kept. Not promised: that an earlier look would pass the probe.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from evoprompt.config import LearnSettings
from evoprompt.learn.lessons import Pair, rows_of
from evoprompt.learn.likelihood import Row
from evoprompt.learn.tuned_model import TunedModel

# Axes: N pairs.
LIKELIHOOD_WEIGHT = 0.05
"""Of the better reply's mean NLL per token beside the preference loss, so that it does not fall."""
LOOK_EVERY = 10  # steps
PROBE_EVERY = 20  # steps; a probe costs as much as several steps
PATIENCE = 2  # looks without a better loss until it stops
WARM_UP = 5  # steps
AT_ONCE = 16  # pairs whose reference is taken at once

Probe = Callable[[Path], bool]
"""Whether the adapter in this folder still writes as it should (valid, new, inheriting)."""
Progress = Callable[[int, int], None]
"""Hears the steps done, and how many there will be at most."""


class Descent:
    """The state of one descent."""

    def __init__(
        self,
        model: TunedModel,
        settings: LearnSettings,
        held_out: Sequence[Pair],
        passes: Callable[[], bool] | None,
    ) -> None:
        self._model, self._settings, self._held_out = model, settings, held_out
        self._passes = passes
        self._rate = (
            settings.soft_learning_rate
            if settings.method == "soft_prompt"
            else settings.learning_rate
        )
        self._optimiser = torch.optim.AdamW(model.parameters, lr=self._rate, weight_decay=0.0)
        self._reference: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
        self._best: dict[str, Tensor] | None = None
        self.losses: list[float] = []
        self.kept = (float("inf"), 0.5)
        """(held-out loss, preference accuracy) of the best adapter so far."""
        self.steps = 0
        """Steps of the adapter that is kept."""

    def follow(
        self, plan: Sequence[tuple[list[Pair], list[Row]]], progress: Progress | None
    ) -> str:
        """Take the planned steps or stop early; returns why it ended."""
        known = self._held_out if self._settings.method != "dpo" else _all(plan, self._held_out)
        self._refer(known)
        looks_since_best = 0
        for step, (batch, replay) in enumerate(plan, 1):
            self._step(batch, replay, step / WARM_UP)
            if progress is not None:
                progress(step, len(plan))
            if step % LOOK_EVERY and step != len(plan):
                continue
            if step % PROBE_EVERY == 0 and self._passes is not None and not self._passes():
                return self._ended(step, "probe")
            looks_since_best = 0 if self._look(step) else looks_since_best + 1
            if looks_since_best == PATIENCE:
                return self._ended(step, "held-out pairs")
        return self._ended(len(plan), "steps")

    def _ended(self, step: int, why: str) -> str:
        """Go back to the best adapter; where no look was good the last one stays, for the gate."""
        if self._best is None:
            self.steps = step
            if self._held_out:
                self.kept = self._measured()
        else:
            self._model.restore(self._best)
        return why

    def _refer(self, pairs: Sequence[Pair]) -> None:
        for first in range(0, len(pairs), AT_ONCE):
            rows = rows_of(pairs[first : first + AT_ONCE])
            keys = [(row.prompt, reply) for row in rows for reply in row.replies]
            found = self._model.reference(rows)
            self._reference |= dict(zip(keys, found.tolist(), strict=True))

    def _step(self, batch: list[Pair], replay: list[Row], warmth: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * min(1.0, warmth)
        loss, shown = self._loss(batch)
        loss.backward()
        if replay:  # a pass of its own: less memory than one graph for both
            log_N = self._model.log_probabilities(replay)
            length_N = log_N.new_tensor([len(row.replies[0]) for row in replay])
            (self._settings.replay * -(log_N / length_N).mean()).backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters, 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.losses.append(shown)

    def _loss(self, batch: Sequence[Pair]) -> tuple[Tensor, float]:
        """(what is minimised, the method's own part of it), both weighted means over the pairs."""
        if self._settings.method != "dpo":
            likelihood = self._likelihood(batch, self._better(batch))
            return likelihood, likelihood.item()
        better_N, gain_better_N, gain_worse_N = self._gains(batch)
        weight_N = better_N.new_tensor([pair.weight for pair in batch])
        loss_N = preference_loss(gain_better_N, gain_worse_N, self._settings.beta)
        preference = (weight_N * loss_N).sum() / weight_N.sum()
        likelihood = self._likelihood(batch, better_N)
        return preference + LIKELIHOOD_WEIGHT * likelihood, preference.item()

    def _likelihood(self, batch: Sequence[Pair], better_N: Tensor) -> Tensor:
        """Mean NLL per token of the better replies."""
        weight_N = better_N.new_tensor([pair.weight for pair in batch])
        length_N = better_N.new_tensor([len(pair.better) for pair in batch])
        return -(weight_N * better_N / length_N).sum() / weight_N.sum()

    def _better(self, batch: Sequence[Pair]) -> Tensor:
        """(N,) log-probability of the better replies alone."""
        rows = [Row(pair.prompt, (pair.better,)) for pair in batch]
        return self._model.log_probabilities(rows)

    def _look(self, step: int) -> bool:
        """Measure what is held out; remember the adapter if it is the best so far."""
        found = self._measured()
        if self._held_out and found[0] >= self.kept[0]:
            return False
        self.kept, self.steps = found, step
        self._best = self._model.state()
        return True

    def _measured(self) -> tuple[float, float]:
        """(loss by the method, preference accuracy) of the held-out pairs; (inf, .5) of none."""
        if not self._held_out:
            return float("inf"), 0.5
        with torch.no_grad():
            better_N, gain_better_N, gain_worse_N = self._gains(self._held_out)
            accuracy = (gain_better_N > gain_worse_N).float().mean().item()
            if self._settings.method != "dpo":
                return self._likelihood(self._held_out, better_N).item(), accuracy
            loss_N = preference_loss(gain_better_N, gain_worse_N, self._settings.beta)
            return loss_N.mean().item(), accuracy

    def _gains(self, batch: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probability of the better replies; gains over the reference of better and worse."""
        rows = rows_of(batch)
        keys = [(row.prompt, reply) for row in rows for reply in row.replies]
        log_N = self._model.log_probabilities(rows)
        gain_N = log_N - log_N.new_tensor([self._reference[key] for key in keys])
        place = {key: i for i, key in enumerate(keys)}
        better = [place[pair.prompt, pair.better] for pair in batch]
        worse = [place[pair.prompt, pair.worse] for pair in batch]
        return log_N[better], gain_N[better], gain_N[worse]


def preference_loss(gain_better_N: Tensor, gain_worse_N: Tensor, beta: float) -> Tensor:
    """(N,) DPO (Rafailov et al., arXiv 2305.18290, eq. 7); gains are log p - log p at the start."""
    return -F.logsigmoid(beta * (gain_better_N - gain_worse_N))


def _all(plan: Sequence[tuple[list[Pair], list[Row]]], held_out: Sequence[Pair]) -> list[Pair]:
    """Every pair that will be asked about, once, those of one prompt side by side."""
    found = dict.fromkeys(pair for batch, _ in plan for pair in batch) | dict.fromkeys(held_out)
    return sorted(found, key=lambda pair: pair.prompt)
