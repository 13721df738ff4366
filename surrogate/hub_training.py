"""Fine-tunes an encoder of Hugging Face on labels, on as many processes as accelerate starts.

In: a `HubEncoder` and a table; out: a tuned one. A linear head on the averaged states says a score
(scores of the labels, within each task and fidelity); the loss is its error and, for every
pair of a batch whose order it gets wrong or barely right, the margin that is missing. The head is
thrown away: the regression of the predictor reads the vectors. With fewer labels than a few
hundred the frozen encoder is usually the better one; the members' figures say so.
Axes: B texts of a batch, W windows, T tokens, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from surrogate.data import Table
from surrogate.hub import HubEncoder, digest_of, summed
from surrogate.labels import make_labels
from surrogate.ranking_loss import loss_of

BATCH_SIZE = 8  # texts of one process
LEARNING_RATE = 5e-5
HEAD_LEARNING_RATE = 1e-3
WARMUP = 0.1  # of the steps


@dataclass(frozen=True)
class Tuned:
    """An encoder after training, in one of several processes."""

    encoder: HubEncoder
    is_first: bool
    """Whether this process goes on; the others are done."""
    process_count: int


class Regressor(nn.Module):
    """An encoder and a linear head on its averaged states."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.head = nn.Linear(model.config.hidden_size, 1)

    def forward(self, ids_WT: Tensor, mask_WT: Tensor, owners_W: Tensor, count: int) -> Tensor:
        """Return scores, (B,)."""
        sums_WD = summed(self.model, ids_WT, mask_WT)
        sums_BD = sums_WD.new_zeros(count, sums_WD.shape[1]).index_add(0, owners_W, sums_WD)
        tokens_B = sums_WD.new_zeros(count).index_add(0, owners_W, mask_WT.sum(1).to(sums_WD.dtype))
        return self.head(sums_BD / tokens_B[:, None]).squeeze(1)


def fine_tune(encoder: HubEncoder, table: Table, steps: int, seed: int = 0) -> Tuned:
    """Train for so many steps, in every process that accelerate started."""
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from torch.utils.data import DataLoader

    torch.manual_seed(seed)
    accelerator = Accelerator(
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    texts, scores_N, spaces_N = _labels(table)
    regressor = Regressor(encoder.model.train().requires_grad_(True))
    groups = [
        {"params": list(regressor.model.parameters()), "lr": LEARNING_RATE},
        {"params": list(regressor.head.parameters()), "lr": HEAD_LEARNING_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    rows = torch.arange(len(texts))
    loader = DataLoader(rows, batch_size=BATCH_SIZE, shuffle=True)  # type: ignore[arg-type]
    prepared, optimizer, loader = accelerator.prepare(regressor, optimizer, loader)
    step = 0
    while step < steps:
        for chosen_B in loader:
            if step == steps:
                break
            batch = _batch(encoder, [texts[int(row)] for row in chosen_B], accelerator.device)
            said_B = prepared(*batch, len(chosen_B))
            cpu_B = chosen_B.cpu()
            wanted_B = scores_N[cpu_B].to(accelerator.device)
            loss = loss_of(said_B, wanted_B, spaces_N[cpu_B].to(accelerator.device))
            optimizer.zero_grad()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(prepared.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
    accelerator.wait_for_everyone()
    model = accelerator.unwrap_model(prepared).model.cpu().eval().requires_grad_(False)
    is_first, process_count = accelerator.is_main_process, accelerator.num_processes
    accelerator.end_training()
    digest = digest_of(model, encoder.tokenizer)
    tuned = replace(encoder, model=model, digest=digest, is_tuned=True, known={})
    return Tuned(tuned, is_first, process_count)


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then linear to zero."""
    return min((step + 1) / max(1.0, WARMUP * steps), 1 - step / steps)


def _labels(table: Table) -> tuple[tuple[str, ...], Tensor, Tensor]:
    """Distinct texts, their scores, and the number of the space of each."""
    count = len(table.texts)
    tasks, fidelities = table.tasks or ("",) * count, table.fidelities or (0.0,) * count
    spaces = list(zip(tasks, fidelities, strict=True))
    labels = make_labels(table.texts, table.accuracies, spaces)
    numbers = {space: number for number, space in enumerate(labels.scales)}
    scores_N = torch.tensor(labels.scores_N, dtype=torch.float32)
    return labels.texts, scores_N, torch.tensor([numbers[space] for space in labels.spaces])


def _batch(
    encoder: HubEncoder, texts: Sequence[str], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    windows = encoder.windows(texts)
    ids_WT, mask_WT = encoder.padded(windows.ids)
    owners_W = torch.tensor(windows.owners_W)
    return ids_WT.to(device), mask_WT.to(device), owners_W.to(device)
