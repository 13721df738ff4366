"""Training of the built-in model: a small Llama that writes edits, from scratch, on the corpus.

`python -m evoprompt.propose.builtin_training --minutes 75 --out FOLDER` writes a checkpoint every
few minutes in the standard transformers format and goes on from one that is there. Behind the
minutes on the corpus come some of practice on the model's own replies.
Not promised: the same weights twice (the schedule follows processor time); a resumed run warms its
optimizer up again.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
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
from evoprompt.propose.builtin_batches import (
    PARENT,
    REPLY,
    Batch,
    batches,
    label_losses,
)
from evoprompt.propose.builtin_corpus import examples
from evoprompt.propose.builtin_optimizer import Muon
from evoprompt.propose.builtin_practice import Practice
from evoprompt.propose.builtin_tokenizer import VOCABULARY, train_tokenizer

# Axes: B rows, T tokens of a row, N tokens with a label, V vocabulary.
PARENT_WEIGHT = (
    0.3  # of the loss on the parent's own lines, fading out; it teaches the language first
)
FADE = 0.4  # share of the time with that loss and with the full learning rate
PRACTICE_RATE = 0.15  # of the full learning rate
PRACTICE_SEED = 500_000  # apart from every seed of the corpus
CHECKPOINT_SECONDS = 240


@dataclass(frozen=True)
class Settings:
    """What the command line sets."""

    minutes: float
    """On the corpus."""
    practice_minutes: float
    """On the model's own replies, afterwards."""
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


def loss_of(model: LlamaForCausalLM, batch: Batch, parent_weight: float) -> tuple[Tensor, Tensor]:
    """(loss to descend, loss per token of the edits); labels are next tokens of the same branch."""
    same_BT = batch.branch_BT[:, 1:] == batch.branch_BT[:, :-1]
    # The first token of a reply is predicted inside its branch, so every reply token has a label.
    role_BT = batch.role_BT[:, 1:]
    wanted_BT = (role_BT == REPLY) & same_BT
    if parent_weight > 0:
        wanted_BT = wanted_BT | ((role_BT == PARENT) & same_BT)
    loss_N = label_losses(model, batch, wanted_BT)
    reply_N = (role_BT[wanted_BT] == REPLY).to(loss_N.device)
    edit_loss = loss_N[reply_N].mean()
    if reply_N.all():  # every parent is broken, or its language is learned already
        return edit_loss, edit_loss
    return edit_loss + parent_weight * loss_N[~reply_N].mean(), edit_loss


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


def _rate_factor(settings: Settings, progress: Progress, first: int) -> float:
    """Warm-up over 40 steps, flat, then a cosine down to 2 %; in practice a line down to 0."""
    warm = min(1.0, (progress.step - first + 1) / 40)
    share = progress.seconds / (settings.minutes * 60)
    if share < FADE:
        return warm
    if share < 1:
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (share - FADE) / (1 - FADE))))
    past = progress.seconds - settings.minutes * 60
    return warm * PRACTICE_RATE * max(0.0, 1 - past / (settings.practice_minutes * 60))


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
    progress.streams += [[seed, 0], [seed + PRACTICE_SEED, 0]]
    stream, practice = batches(seed, tokenizer, settings.batch_tokens), None
    end_id = _token_ids(tokenizer)["eos_token_id"]
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"parameters {count} vocabulary {len(tokenizer)} from step {progress.step}", flush=True)
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    started, first, saved = clock() - progress.seconds, progress.step, progress.seconds
    while progress.seconds < (settings.minutes + settings.practice_minutes) * 60:
        share = progress.seconds / (settings.minutes * 60)
        if share >= 1 and practice is None:
            practice = Practice(seed + PRACTICE_SEED, tokenizer)
        rate = settings.learning_rate * _rate_factor(settings, progress, first)
        batch = next(stream)
        loss, edit_loss = loss_of(model, batch, PARENT_WEIGHT * max(0.0, 1 - share / FADE))
        _descend(model, optimizers, loss + practice.loss(model) if practice else loss, rate)
        mean = progress.loss if progress.step else edit_loss.item()
        progress.loss = 0.95 * mean + 0.05 * edit_loss.item()
        progress.step += 1
        progress.tokens += int((batch.branch_BT >= 0).sum())
        edits = int(batch.tokens_BT.eq(end_id).sum())
        progress.edits += edits
        progress.streams[-2][1] += edits
        progress.streams[-1][1] = practice.edits if practice else 0
        progress.seconds = clock() - started
        if progress.step % 50 == 0:
            print(_line(progress, rate, practice), flush=True)
        if progress.seconds - saved > CHECKPOINT_SECONDS:
            _checkpoint(settings.out, model, tokenizer, progress)
            saved = progress.seconds
    _checkpoint(settings.out, model, tokenizer, progress)
    print("done", _line(progress, 0.0, practice), flush=True)
    return progress


def _descend(
    model: LlamaForCausalLM, optimizers: list[torch.optim.Optimizer], loss: Tensor, rate: float
) -> None:
    """One step down."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _line(progress: Progress, rate: float, practice: Practice | None) -> str:
    speed = progress.tokens / max(1.0, progress.seconds)
    return (
        f"step {progress.step} seconds {progress.seconds:.0f} tokens {progress.tokens} "
        f"edits {progress.edits} loss {progress.loss:.4f} rate {rate:.1e} tokens/s {speed:.0f}"
        + (f" practice: {practice.good:.0%} of the replies are good" if practice else "")
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
        "--minutes", type=float, default=75.0, help="of processor time; wall clock on a GPU"
    )
    parser.add_argument("--practice-minutes", type=float, default=20.0, help="behind them")
    parser.add_argument("--out", type=Path, default=Path("runs/builtin-proposer"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--batch-tokens", type=int, default=2500)
    train(Settings(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
