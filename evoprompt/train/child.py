"""Train one candidate. Runs in the jail; nothing that it returns is believed.

In: a message with the source, the recipe, the seed, the training examples and the names of the
weights that the recorded graph needs. Out: a message with the loss curve and those weights as
safetensors, or the reason of a failure. It sees no validation and no test example, writes no file,
and never measures accuracy: `evaluate` does that, on the recorded graph, in another process.
Axes: B batch, S steps, N examples, I the task's input axes.
"""

import io
import math
import os
from typing import Any

import numpy as np
import safetensors.torch
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.nn import functional as F

from evoprompt.candidate import DETAIL_LIMIT, Reason
from evoprompt.jail.job import describe
from evoprompt.train.message import Header, pack, unpack

CURVE_POINTS = 50
WARM_UP_SHARE = 0.15
DIVISOR_START = 25.0  # learning rate of the first step: a 25th of the peak
CLIP_NORM = 1.0
DIVERGED_FACTOR = 3.0  # times the loss of guessing, ln(num_classes)
DIVERGED_AFTER = 0.1  # share of the steps that a loss may take to come down
_SOURCE_NAME = "<candidate>"
_MEMORY_TEXTS = ("can't allocate memory", "not enough memory", "bad_alloc", "out of memory")


class DivergedError(Exception):
    """The training loss became NaN or ran away."""


def warm() -> None:
    """Called once in the zygote: threads, and every import and lazy table that a training needs.

    It must not start CUDA, which does not survive a fork: NVML answers whether there is a GPU, and
    accelerate forgets that it was asked for the CPU here.
    """
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # the moments of dead weights decay into slow numbers
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(4, 2))
    recipe = {"steps": 2, "batch_size": 2, "learning_rate": 0.01, "weight_decay": 0.0}
    x_NI, y_N = torch.zeros(4, 1, 4), torch.zeros(4, dtype=torch.int64)
    _fit(net, x_NI, y_N, recipe, 0, 2, "cpu")
    AcceleratorState._reset_state(reset_partial_state=True)


def train(payload: bytes) -> bytes:
    """The jail's entry: train one candidate as the message says, and answer with a message."""
    header, parts = unpack(payload)
    try:
        return _train(header, parts)
    except BaseException as error:  # the wall: the candidate's own errors, SystemExit included
        return _failed(error)


def build(source: str, in_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Run the source, build its `Net`, and initialise lazy modules by one forward in eval mode."""
    namespace: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(source, _SOURCE_NAME, "exec"), namespace)
    net = namespace["Net"](in_shape, num_classes)
    net.eval()
    with torch.no_grad():
        net(torch.zeros(1, *in_shape))
    return net.train()


def _failed(error: BaseException) -> bytes:
    detail = describe(error, DETAIL_LIMIT)
    reason = Reason.TRAIN_ERROR
    if isinstance(error, DivergedError):
        reason = Reason.DIVERGED
    elif isinstance(error, MemoryError) or any(text in detail for text in _MEMORY_TEXTS):
        reason = Reason.MEMORY_LIMIT
    return pack({"reason": reason.value, "detail": detail})


def _train(header: Header, parts: list[bytes]) -> bytes:
    x_NI, y_N = (torch.from_numpy(np.load(io.BytesIO(part), allow_pickle=False)) for part in parts)
    num_classes, seed = header["num_classes"], header["seed"]
    torch.manual_seed(seed)
    net = build(header["source"], tuple(header["in_shape"]), num_classes)
    losses, device = _fit(net, x_NI, y_N, header["recipe"], seed, num_classes, header["device"])
    tail = losses[-max(1, len(losses) // 10) :]
    answer = {
        "curve": _curve(losses),
        "final_loss": sum(tail) / len(tail),
        "steps": len(losses),
        "device": device,
    }
    return pack(answer, safetensors.torch.save(_weights(net, header["weights"])))


def _weights(net: nn.Module, names: list[str]) -> dict[str, torch.Tensor]:
    """The weights that the graph names, each in memory of its own, also if the net shares them."""
    state = net.state_dict()
    return {
        name: state[name].detach().cpu().clone(memory_format=torch.contiguous_format)
        for name in names
        if name in state
    }


def _fit(
    net: nn.Module,
    x_NI: torch.Tensor,
    y_N: torch.Tensor,
    recipe: dict[str, Any],
    seed: int,
    num_classes: int,
    device: str,
) -> tuple[list[float], str]:
    """Train in place; returns the loss of every step and the device's type."""
    accelerator = Accelerator(cpu=device == "cpu")
    x_NI, y_N = x_NI.to(accelerator.device), y_N.to(accelerator.device)
    net = accelerator.prepare_model(net)
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=recipe["weight_decay"], fused=True)
    rates = learning_rates(recipe["steps"], recipe["learning_rate"])
    rows_SB = _batches(len(y_N), recipe["batch_size"], len(rates), seed).to(accelerator.device)
    losses_S = torch.zeros(len(rates), device=accelerator.device)
    is_checked = _check_points(len(rates))
    for step, rate in enumerate(rates):
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows_B = rows_SB[step]
        loss = F.cross_entropy(net(x_NI[rows_B]), y_N[rows_B])
        accelerator.backward(loss)
        nn.utils.clip_grad_norm_(weights, CLIP_NORM, foreach=True)
        optimizer.step()
        optimizer.zero_grad()
        losses_S[step] = loss.detach()
        if step + 1 in is_checked:
            _check(losses_S, is_checked[step + 1], step + 1, num_classes)
    return losses_S.tolist(), accelerator.device.type


def learning_rates(steps: int, peak: float) -> list[float]:
    """One learning rate for each step: up to the peak and down to zero, both along a cosine.

    The one-cycle policy of Smith & Topin (arXiv 1708.07120) as in torch's OneCycleLR, without
    the cycling momentum.
    """
    rising = max(1, round(WARM_UP_SHARE * steps))
    start = peak / DIVISOR_START
    up = [peak + (start - peak) * _cosine(step / rising) for step in range(min(rising, steps))]
    falling = steps - len(up)
    return up + [peak * _cosine(step / falling) for step in range(falling)]


def _cosine(share: float) -> float:
    """From 1 at share 0 to 0 at share 1."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _batches(count: int, batch_size: int, steps: int, seed: int) -> torch.Tensor:
    """Rows of the batch of every step, (S, B): permutations of the examples, whole batches only."""
    generator = torch.Generator().manual_seed(seed)
    size = min(batch_size, count)
    per_epoch = count // size
    epochs = [
        torch.randperm(count, generator=generator)[: per_epoch * size].view(per_epoch, size)
        for _ in range(-(-steps // per_epoch))
    ]
    return torch.cat(epochs)[:steps]


def _check_points(steps: int) -> dict[int, int]:
    """At most 50 steps after which the loss is looked at, each with the step before it."""
    points = sorted({-(-steps * point // CURVE_POINTS) for point in range(1, CURVE_POINTS + 1)})
    return dict(zip(points, [0, *points], strict=False))


def _check(losses_S: torch.Tensor, start: int, stop: int, num_classes: int) -> None:
    """Give up if the mean loss since the last look is not finite or far above guessing."""
    loss = losses_S[start:stop].mean().item()
    if not math.isfinite(loss):
        raise DivergedError(f"the loss is {loss} before step {stop}")
    limit = DIVERGED_FACTOR * math.log(num_classes)
    if loss > limit and stop > DIVERGED_AFTER * len(losses_S):
        raise DivergedError(f"the loss is {loss:.3g} before step {stop}, above {limit:.3g}")


def _curve(losses: list[float]) -> list[tuple[int, float]]:
    """(step, mean loss since the point before), at most 50 points."""
    points = _check_points(len(losses))
    return [(stop, sum(losses[start:stop]) / (stop - start)) for stop, start in points.items()]


def outputs(payload: bytes) -> bytes:
    """The jail's entry for `best`: what the program says in eval mode with the given weights.

    In: source, in_shape, num_classes and the batch sizes; safetensors; float32 inputs, one batch
    after the other. Out: float32 logits in the same order.
    """
    header, (weights, inputs) = unpack(payload)
    in_shape = tuple(header["in_shape"])
    x_NI = torch.from_numpy(np.frombuffer(inputs, np.float32).reshape(-1, *in_shape).copy())
    try:
        net = build(header["source"], in_shape, header["num_classes"])
        net.load_state_dict(safetensors.torch.load(weights), strict=False)
        net.eval()
        with torch.no_grad():
            logits = [net(batch).float().numpy() for batch in x_NI.split(header["sizes"])]
    except BaseException as error:  # the wall, as in `train`
        return _failed(error)
    return pack({}, np.concatenate(logits).astype(np.float32).tobytes())
