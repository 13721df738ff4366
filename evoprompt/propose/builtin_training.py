"""Training of the built-in model: a small Llama that writes edits, from scratch, on the corpus.

`python -m evoprompt.propose.builtin_training --minutes 85 --out FOLDER` writes a checkpoint every
few minutes in the standard transformers format and goes on from one that is there. A row
holds one parent and several edits of it that see the parent and themselves, not each other.
Not promised: the same weights twice (the schedule follows processor time); a resumed run warms its
optimizer up again.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from evoprompt.grammar.edits import END
from evoprompt.propose.builtin_corpus import Example, examples
from evoprompt.propose.builtin_optimizer import HAS_BFLOAT16, Muon
from evoprompt.propose.builtin_tokenizer import VOCABULARY, train_tokenizer

# Axes: B rows, T tokens of a row, S the same tokens as keys, N tokens with a label.
ROW_LIMIT = 1000  # tokens of a row; longer branches are left out
BRANCHES = 10
POOL = 48  # examples that are sorted by length before they are batched
PARENT_WEIGHT = (
    0.3  # of the loss on the parent's own lines, fading out; it teaches the language first
)
FADE = 0.4  # share of the time with that loss and with the full learning rate
CHECKPOINT_SECONDS = 240
PARENT, PROMPT, REPLY = 1, 0, 2  # what a token is for the loss


@dataclass(frozen=True)
class Settings:
    """What the command line sets."""

    minutes: float
    out: Path
    seed: int
    optimizer: str
    learning_rate: float
    batch_tokens: int


@dataclass
class Progress:
    """Where a run stands; saved beside each checkpoint."""

    seconds: float = 0.0
    """Processor time; wall clock on a GPU."""
    step: int = 0
    tokens: int = 0
    edits: int = 0
    """Replies, exercises included."""
    loss: float = 0.0
    streams: list[list[int]] = field(default_factory=list)
    """[seed of the corpus, edits drawn from it] of every start; a benchmark draws them again."""


@dataclass(frozen=True)
class Batch:
    """Rows of equal length, padded on the right."""

    tokens_BT: Tensor
    positions_BT: Tensor
    mask_B1TS: Tensor
    role_BT: Tensor
    """PARENT, PROMPT or REPLY."""
    branch_BT: Tensor
    """0 the parent, 1.. its branches, -1 padding."""


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """3.5M parameters; what `transformers`, vLLM and peft know as a Llama."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=704,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            **_token_ids(tokenizer),
        )
    )


def _token_ids(tokenizer: PreTrainedTokenizerFast) -> dict:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.convert_tokens_to_ids(END),
        "pad_token_id": tokenizer.pad_token_id,
    }


def save(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the model with its tokenizer and generation settings.

    The weights are bf16, but the config says float32: processors without bf16 would crawl.
    """
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    weights.pop("lm_head.weight", None)  # tied to the embedding
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.8,
        top_p=1.0,
        top_k=0,
        max_new_tokens=200,
        **_token_ids(tokenizer),
    )
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def device_of_choice() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(folder: Path) -> tuple[Any, Any]:
    """Read a checkpoint back, as float32."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for key in ("is_local", "local_files_only"):  # how it was read is none of its settings
        tokenizer.init_kwargs.pop(key, None)
    return model, tokenizer


def _rows(corpus: Iterator[Example], tokenizer: PreTrainedTokenizerFast) -> list[tuple[list, ...]]:
    """(tokens, positions, roles, branches) of one pool of examples, shortest first.

    An exercise is a branch like the edits.
    """
    pool = list(islice(corpus, POOL))
    parents = tokenizer([e.parent_view for e in pool])["input_ids"]
    texts = [[*((b.prompt_end, b.reply) for b in e.branches), *e.exercises] for e in pool]
    ends, answers = zip(*(pair for pairs in texts for pair in pairs), strict=True)
    prompts = tokenizer(list(ends), add_special_tokens=False)["input_ids"]
    replies = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    pairs = iter(zip(prompts, replies, strict=True))
    rows = []
    for own, parent in zip(texts, parents, strict=True):
        start = len(parent)
        tokens, positions = list(parent), list(range(start))
        roles, ids = [PARENT] * start, [0] * start
        for number, (prompt, reply) in enumerate(islice(pairs, len(own)), 1):
            length = len(prompt) + len(reply)
            if len(tokens) + length > ROW_LIMIT:
                continue
            tokens += prompt + reply
            positions += range(start, start + length)
            roles += [PROMPT] * len(prompt) + [REPLY] * len(reply)
            ids += [number] * length
        rows.append((tokens, positions, roles, ids))
    return sorted(rows, key=lambda row: len(row[0]))


def _batch(rows: list[tuple[list, ...]]) -> Batch:
    length = max(len(row[0]) for row in rows)

    def padded(place: int, filler: int) -> Tensor:
        return torch.tensor([row[place] + [filler] * (length - len(row[place])) for row in rows])

    branch_BT = padded(3, -1)
    shared = (branch_BT[:, None, :] == 0) | (branch_BT[:, None, :] == branch_BT[:, :, None])
    causal_TS = torch.ones(length, length, dtype=torch.bool).tril()
    mask_B1TS = (shared & causal_TS)[:, None]
    return Batch(padded(0, 0), padded(1, 0), mask_B1TS, padded(2, PROMPT), branch_BT)


def batches(seed: int, tokenizer: PreTrainedTokenizerFast, batch_tokens: int) -> Iterator[Batch]:
    """Batches of about `batch_tokens` tokens, without end."""
    rng, corpus = Random(seed), examples(seed, BRANCHES)
    while True:
        groups: list[list] = [[]]
        for row in _rows(corpus, tokenizer):
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > batch_tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from map(_batch, groups)


def loss_of(model: LlamaForCausalLM, batch: Batch, parent_weight: float) -> tuple[Tensor, Tensor]:
    """(loss to descend, loss per token of the edits); labels are next tokens of the same branch."""
    device = model.device
    same_BT = batch.branch_BT[:, 1:] == batch.branch_BT[:, :-1]
    # The first token of a reply is predicted inside its branch, so every reply token has a label.
    role_BT = batch.role_BT[:, 1:]
    wanted_BT = (role_BT == REPLY) & same_BT
    if parent_weight > 0:
        wanted_BT = wanted_BT | ((role_BT == PARENT) & same_BT)
    is_fast = HAS_BFLOAT16 or device.type == "cuda"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_fast):
        hidden = model.model(
            input_ids=batch.tokens_BT.to(device),
            position_ids=batch.positions_BT.to(device),
            attention_mask=batch.mask_B1TS.to(device),
        ).last_hidden_state[:, :-1]
        logits_NV = model.lm_head(hidden[wanted_BT.to(device)])
    labels_N = batch.tokens_BT[:, 1:][wanted_BT].to(device)
    loss_N = F.cross_entropy(logits_NV.float(), labels_N, reduction="none")
    reply_N = (role_BT[wanted_BT] == REPLY).to(device)
    edit_loss = loss_N[reply_N].mean()
    if parent_weight > 0:
        return edit_loss + parent_weight * loss_N[~reply_N].mean(), edit_loss
    return edit_loss, edit_loss


def _optimizers(model: LlamaForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    rate = settings.learning_rate
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    if settings.optimizer == "adamw":
        matrices = []
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    out: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    ]
    if matrices:
        out.append(Muon(matrices, rate))
    return out


def _rate_factor(share: float, steps_since_start: int) -> float:
    """Warm-up over 40 steps, flat, then a cosine down to 2 %."""
    warm = min(1.0, (steps_since_start + 1) / 40)
    if share < FADE:
        return warm
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (share - FADE) / (1 - FADE))))


def _start(settings: Settings) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, Progress]:
    """A fresh model, or the checkpoint in the output folder."""
    note = settings.out / "progress.json"
    if note.exists():
        model, tokenizer = load(settings.out)
        return model, tokenizer, Progress(**json.loads(note.read_text()))
    tokenizer = train_tokenizer(examples(settings.seed + 1, 4))
    return new_model(tokenizer), tokenizer, Progress()


def train(settings: Settings) -> Progress:
    """Train until the minutes are used up; those of the run that is continued count."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    model, tokenizer, progress = _start(settings)
    model.to(device_of_choice())  # pyright: ignore[reportArgumentType]
    model.train()
    optimizers = _optimizers(model, settings)
    seed = settings.seed + 1000 + progress.step
    progress.streams.append([seed, 0])
    stream = batches(seed, tokenizer, settings.batch_tokens)
    end_id = _token_ids(tokenizer)["eos_token_id"]
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"parameters {count} vocabulary {len(tokenizer)} from step {progress.step}", flush=True)
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    started, first, saved = clock() - progress.seconds, progress.step, progress.seconds
    while progress.seconds < settings.minutes * 60:
        share = progress.seconds / (settings.minutes * 60)
        rate = settings.learning_rate * _rate_factor(share, progress.step - first)
        batch = next(stream)
        loss = _descend(model, optimizers, batch, PARENT_WEIGHT * (1 - share / FADE), rate)
        progress.loss = loss if progress.step == 0 else 0.95 * progress.loss + 0.05 * loss
        progress.step += 1
        progress.tokens += int((batch.branch_BT >= 0).sum())
        edits = int(batch.tokens_BT.eq(end_id).sum())
        progress.edits += edits
        progress.streams[-1][1] += edits
        progress.seconds = clock() - started
        if progress.step % 50 == 0:
            print(_line(progress, rate), flush=True)
        if progress.seconds - saved > CHECKPOINT_SECONDS:
            _checkpoint(settings.out, model, tokenizer, progress)
            saved = progress.seconds
    _checkpoint(settings.out, model, tokenizer, progress)
    print("done", _line(progress, 0.0), flush=True)
    return progress


def _descend(
    model: LlamaForCausalLM,
    optimizers: list[torch.optim.Optimizer],
    batch: Batch,
    parent_weight: float,
    rate: float,
) -> float:
    """One step down; returns the loss per token of the edits."""
    loss, edit_loss = loss_of(model, batch, parent_weight)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return edit_loss.item()


def _line(progress: Progress, rate: float) -> str:
    speed = progress.tokens / max(1.0, progress.seconds)
    return (
        f"step {progress.step} seconds {progress.seconds:.0f} tokens {progress.tokens} "
        f"edits {progress.edits} loss {progress.loss:.4f} rate {rate:.1e} tokens/s {speed:.0f}"
    )


def _checkpoint(
    folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, progress: Progress
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save(folder, model, tokenizer)
    (folder / "progress.json").write_text(json.dumps(progress.__dict__) + "\n")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the built-in edit model from scratch.")
    parser.add_argument(
        "--minutes", type=float, default=85.0, help="of processor time; wall clock on a GPU"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/builtin-proposer"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--batch-tokens", type=int, default=2500)
    train(Settings(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
