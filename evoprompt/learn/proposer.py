"""Tuning the proposer: LoRA by direct preference optimisation on better and worse siblings.

In: a base model and preferences. Out: an adapter folder and a `TuneReport`. Each tuning starts from
the base again and takes all pairs, as EvoTune (arXiv 2504.05108) does.
The same call gives the same bits on one machine's CPU. Not promised: that the adapter is better,
which the gate decides; held-out pairs are few, so their figures are coarse.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from transformers import AutoModelForCausalLM

from evoprompt.config import LearnSettings
from evoprompt.learn.adapter_files import write_adapter
from evoprompt.learn.likelihood import Row, reply_log_probabilities
from evoprompt.learn.pairs import Preference

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LIKELIHOOD_WEIGHT = (
    0.05  # of the better reply's mean NLL per token, so that it does not fall as well
)
HELD_OUT_SHARE = 0.1
HELD_OUT_LIMIT = 16  # pairs; enough to see overfitting, few enough to cost little
LOOK_EVERY = 10  # steps between looks at the held-out pairs
PATIENCE = 2  # looks without a better loss until it stops
WARM_UP = 5  # steps
SAME_PROMPT = 4  # pairs of one prompt that stay together in a batch, because they share its tokens


class Base(Protocol):
    """The base model, as the engine hands it over."""

    @property
    def folder(self) -> Path:
        """Where its safetensors are."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its weights, saved beside the adapter."""
        ...

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a prompt as it is really sent."""
        ...

    def encode_reply(self, text: str) -> list[int]:
        """Token ids of a reply, with the end token that the model would have written."""
        ...


@dataclass(frozen=True)
class Pair:
    """A preference as token ids; `prompt` is never padded here."""

    prompt: tuple[int, ...]
    better: tuple[int, ...]
    worse: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class TuneReport:
    """What a tuning did."""

    pairs: int
    """Pairs trained on."""
    held_out: int
    steps: int
    first_loss: float
    """Preference loss of the first batch; log 2 by definition."""
    last_loss: float
    """Mean preference loss of the last five batches."""
    held_out_loss: float | None
    """Preference loss on the held-out pairs, of the adapter that was kept; log 2 before tuning."""
    preference_accuracy: float | None
    """Share of held-out pairs whose better reply gained more than the worse one; .5 is chance."""
    weights: str
    """SHA-256 of the adapter's weights file; empty if there was nothing to tune on."""
    seconds: float
    """Clock: wall time."""


def tune(
    base: Base,
    examples: Sequence[Preference],
    settings: LearnSettings,
    seed: int,
    out_folder: Path,
    threads: int,
) -> TuneReport:
    """Tune a fresh adapter on all examples and write it to `out_folder`.

    `base` is the engine's (`engine.base`), which has checked the files. Without usable examples,
    or with no steps, nothing is written.

    Raises:
        StorageError: the adapter cannot be written.
    """
    started = time.perf_counter()
    torch.set_num_threads(threads)
    rng = Random(seed)
    pairs = _pairs(base, examples)
    if not pairs or settings.steps <= 0:
        return TuneReport(0, 0, 0, 0.0, 0.0, None, None, "", time.perf_counter() - started)
    train, held_out = hold_out(pairs, rng)
    model = _with_adapter(base.folder, settings.rank, seed)
    run = _Run(model, settings, held_out)
    run.descend(batches(train, settings.batch_size, settings.steps, rng))
    weights = write_adapter(model, base.fingerprint, out_folder)
    return TuneReport(
        pairs=len(train),
        held_out=len(held_out),
        steps=run.steps,
        first_loss=run.losses[0],
        last_loss=sum(run.losses[-5:]) / len(run.losses[-5:]),
        held_out_loss=run.kept[0] if held_out else None,
        preference_accuracy=run.kept[1] if held_out else None,
        weights=weights,
        seconds=time.perf_counter() - started,
    )


def hold_out(pairs: Sequence[Pair], rng: Random) -> tuple[list[Pair], list[Pair]]:
    """(train, held out): whole prompts, about a tenth of the pairs; none of fewer than ten."""
    families: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        families.setdefault(pair.prompt, []).append(pair)
    wanted = min(HELD_OUT_LIMIT, len(pairs) * HELD_OUT_SHARE)
    if len(pairs) < 10 or len(families) < 3:
        return list(pairs), []
    order = list(families)
    rng.shuffle(order)
    held_out: list[Pair] = []
    while len(held_out) < wanted:
        held_out += families.pop(order.pop())
    return [pair for family in families.values() for pair in family], held_out[:HELD_OUT_LIMIT]


def batches(pairs: Sequence[Pair], size: int, count: int, rng: Random) -> list[list[Pair]]:
    """`count` batches, pass after pass; up to four pairs of a prompt stay together."""
    families: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        families.setdefault(pair.prompt, []).append(pair)
    queue: list[Pair] = []
    while len(queue) < size * count:
        groups: list[list[Pair]] = []
        for family in families.values():
            shuffled = rng.sample(family, len(family))
            groups += [shuffled[i : i + SAME_PROMPT] for i in range(0, len(family), SAME_PROMPT)]
        rng.shuffle(groups)
        queue += [pair for group in groups for pair in group]
    return [queue[i * size : (i + 1) * size] for i in range(count)]


def preference_loss(gain_better_N: Tensor, gain_worse_N: Tensor, beta: float) -> Tensor:
    """(N,) DPO (Rafailov et al., arXiv 2305.18290, eq. 7); gains are log p - log p of the base."""
    return -F.logsigmoid(beta * (gain_better_N - gain_worse_N))


class _Run:
    """One descent: the model, its optimiser, and the best adapter by the held-out pairs."""

    def __init__(self, model: PeftModel, settings: LearnSettings, held_out: list[Pair]) -> None:
        self._model, self._settings, self._held_out = model, settings, held_out
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=settings.learning_rate, weight_decay=0.0
        )
        self._reference: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
        self._best: dict[str, Tensor] | None = None
        self.losses: list[float] = []
        self.kept = (float("inf"), 0.5)
        """(held-out loss, preference accuracy) of the best adapter so far."""
        self.steps = 0
        """Steps of the adapter that is kept."""

    def descend(self, plan: list[list[Pair]]) -> None:
        """Follow the plan until the held-out loss stops falling; keep the best adapter."""
        looks_since_best = 0
        for step, batch in enumerate(plan, 1):
            self._step(batch, step / WARM_UP)
            if self._held_out and (step % LOOK_EVERY == 0 or step == len(plan)):
                looks_since_best = 0 if self._look(step) else looks_since_best + 1
                if looks_since_best == PATIENCE:
                    break
        if self._best is None:
            self.steps = len(plan)
        else:
            set_peft_model_state_dict(self._model, self._best)

    def _step(self, batch: list[Pair], warmth: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.learning_rate * min(1.0, warmth)
        better_N, gain_N = self._gains(batch)
        device = better_N.device
        weight_N = torch.tensor([pair.weight for pair in batch], device=device)
        length_N = torch.tensor([len(pair.better) for pair in batch], device=device)
        loss_N = preference_loss(*gain_N, self._settings.beta)
        preference = (weight_N * loss_N).sum() / weight_N.sum()
        likelihood = -(weight_N * better_N / length_N).sum() / weight_N.sum()
        (preference + LIKELIHOOD_WEIGHT * likelihood).backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.losses.append(preference.item())

    def _look(self, step: int) -> bool:
        """Measure the held-out pairs; remember the adapter if it is the best so far."""
        with torch.no_grad():
            _, (better_N, worse_N) = self._gains(self._held_out)
        loss = preference_loss(better_N, worse_N, self._settings.beta).mean().item()
        if loss >= self.kept[0]:
            return False
        self.kept = (loss, (better_N > worse_N).float().mean().item())
        state = get_peft_model_state_dict(self._model)
        self._best = {name: tensor.detach().clone() for name, tensor in state.items()}
        self.steps = step
        return True

    def _gains(self, batch: list[Pair]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(log p of the better replies, (gain of the better, gain of the worse) over the base)."""
        rows = rows_of(batch)
        keys = [(row.prompt, reply) for row in rows for reply in row.replies]
        if any(key not in self._reference for key in keys):
            with torch.no_grad(), self._model.disable_adapter():
                found = reply_log_probabilities(self._model, rows)
            self._reference |= dict(zip(keys, found.tolist(), strict=True))
        log_N = reply_log_probabilities(self._model, rows)
        reference_N = torch.tensor([self._reference[key] for key in keys], device=log_N.device)
        place = {key: i for i, key in enumerate(keys)}
        better = [place[pair.prompt, pair.better] for pair in batch]
        worse = [place[pair.prompt, pair.worse] for pair in batch]
        gain_N = log_N - reference_N
        return log_N[better], (gain_N[better], gain_N[worse])


def rows_of(batch: Sequence[Pair]) -> list[Row]:
    """One row per prompt with each of its replies once, in order of appearance."""
    families: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for pair in batch:
        replies = families.setdefault(pair.prompt, {})
        replies[pair.better] = None
        replies[pair.worse] = None
    return [Row(prompt, tuple(replies)) for prompt, replies in families.items()]


def _pairs(base: Base, examples: Sequence[Preference]) -> list[Pair]:
    """The examples as token ids; those whose two sides are the same or empty are left out."""
    prompts = {text: tuple(base.encode_prompt(text)) for text in {e.prompt_text for e in examples}}
    pairs = []
    for example in examples:
        better = tuple(base.encode_reply(example.better_text))
        worse = tuple(base.encode_reply(example.worse_text))
        if better and worse and better != worse:
            pairs.append(Pair(prompts[example.prompt_text], better, worse, example.weight))
    return pairs


def _with_adapter(folder: Path, rank: int, seed: int) -> PeftModel:
    """The base with a fresh LoRA on its attention and feed-forward matrices."""
    is_gpu = torch.cuda.is_available()
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16 if is_gpu else torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    model.to(torch.device("cuda" if is_gpu else "cpu"))
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    targets = [name for name in TARGETS if name in names]
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=targets or "all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tuned = get_peft_model(model, config)
    tuned.eval()  # no dropout anywhere; gradients flow all the same
    if not isinstance(tuned, PeftModel):
        raise TypeError(f"peft returned {type(tuned).__name__}")
    return tuned
