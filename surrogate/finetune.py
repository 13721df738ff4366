"""Fine-tunes encoders on labels: a fourth member of the blend, for those who have minutes.

In: the encoders of a base and labels; out: `FOLDS` copies of them in turn, each with a score on
top, each taught by the labels of the other folds. What a copy says of its own fold is held out, so
the blend can weigh this member like the others; what is served is the mean of all copies. One
thread.
Axes: N labels, M queries, B of a batch.
"""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from surrogate.labels import Labels
from surrogate.model import BATCH_POSITIONS, Encoder, collate
from surrogate.model import batches as batches_of_one_length
from surrogate.positions import Positions
from surrogate.pretrain import batches
from surrogate.ranking_loss import loss_of
from surrogate.reading import reading

FEWEST = 200  # labels below which the regression on frozen vectors is as good
FOLDS = 4
STEPS = 20  # per root of the labels
RATE = 2e-3
ENCODER_RATE = 0.5  # of that of the new score
DECAY = 0.05
WARMUP = 30  # steps
LAST_RATE = 0.03  # of the first


@dataclass(frozen=True, eq=False)
class Tuned:
    """Fine-tuned encoders, and what was held out."""

    encoders: tuple[Encoder, ...]
    """Each predicts one column: the score."""
    held_out_N: np.ndarray
    """What is said of each distinct label by an encoder that has not seen it."""

    @property
    def digest(self) -> str:
        """Names the weights."""
        digest = hashlib.sha256(self.held_out_N.tobytes())
        for encoder in self.encoders:
            for value in encoder.state_dict().values():
                digest.update(value.numpy().tobytes())
        return digest.hexdigest()

    def scores(self, texts: Sequence[str], positions: int = BATCH_POSITIONS) -> np.ndarray:
        """Mean score of the encoders, (M,); `positions` of a batch, 0: one text at a time."""
        graphs = [reading(text).positions for text in texts]
        return np.mean([_said(encoder, graphs, positions) for encoder in self.encoders], axis=0)


def fine_tune(
    encoders: Sequence[Encoder],
    labels: Labels,
    report: Callable[[float], None] = lambda share: None,
) -> Tuned:
    """Teach copies of the encoders by the labels; `report` is told the share that is done."""
    graphs = [reading(text).positions for text in labels.texts]
    number_of = {text: number for number, text in enumerate(dict.fromkeys(labels.texts))}
    rng = np.random.default_rng(len(number_of))
    fold_of = rng.permutation(len(number_of)) % FOLDS
    fold_N = np.array([fold_of[number_of[text]] for text in labels.texts])
    held_out_N = np.zeros(len(graphs))
    tuned = []
    for fold in range(FOLDS):
        kept, held = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        encoder = _with_a_score(encoders[fold % len(encoders)], fold)

        def done(share: float, before: int = fold) -> None:
            report((before + share) / FOLDS)

        _train(encoder, graphs, labels, kept, rng, done)
        tuned.append(encoder.eval().requires_grad_(False))
        held_out_N[held] = _said(encoder, [graphs[i] for i in held], BATCH_POSITIONS)
    return Tuned(tuple(tuned), held_out_N)


def _with_a_score(encoder: Encoder, seed: int) -> Encoder:
    """A copy that predicts one column, which nobody has taught it yet."""
    torch.manual_seed(seed)
    fresh = Encoder(replace(encoder.settings, targets=1))
    known = {k: v for k, v in encoder.state_dict().items() if not k.startswith("predict.")}
    fresh.load_state_dict(copy.deepcopy(known), strict=False)
    return fresh.train()


def _train(
    encoder: Encoder,
    graphs: Sequence[Positions],
    labels: Labels,
    kept: np.ndarray,
    rng: np.random.Generator,
    report: Callable[[float], None],
) -> None:
    scores_N = torch.tensor(labels.scores_N, dtype=torch.float32)
    numbers = {space: number for number, space in enumerate(labels.scales)}
    spaces_N = torch.tensor([numbers[space] for space in labels.spaces])
    lengths = np.array([len(graph) for graph in graphs])
    score = list(encoder.predict.parameters())
    body = [each for name, each in encoder.named_parameters() if not name.startswith("predict.")]
    optimizer = torch.optim.AdamW(
        [{"params": body, "share": ENCODER_RATE}, {"params": score, "share": 1.0}],
        lr=RATE,
        weight_decay=DECAY,
        fused=True,
    )
    steps = round(STEPS * len(kept) ** 0.5)
    waiting: list[np.ndarray] = []
    for step in range(steps):
        waiting = waiting or batches(kept, lengths, rng)
        chosen = waiting.pop()
        rate = RATE * min(1.0, (step + 1) / WARMUP) * (1 - (1 - LAST_RATE) * step / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
        said_B = encoder.predict(encoder(collate([graphs[i] for i in chosen]))).squeeze(1)
        loss = loss_of(said_B, scores_N[chosen], spaces_N[chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        report((step + 1) / steps)


@torch.inference_mode()
def _said(encoder: Encoder, graphs: Sequence[Positions], positions: int) -> np.ndarray:
    found = np.zeros(len(graphs))
    for chosen in batches_of_one_length([len(graph) for graph in graphs], positions):
        batch = collate([graphs[i] for i in chosen])
        found[chosen] = encoder.predict(encoder(batch)).squeeze(1).numpy()
    return found
