"""Other encoders: any encoder of Hugging Face as the source of the vectors, in place of ours.

In: a name on the hub or a folder; out: a `HubEncoder`, which turns texts into vectors: the last
hidden state, averaged over a text's tokens. A text that is longer than the encoder reads is cut
into windows, all of which count. Safetensors only, no code of strangers. A saved predictor names
its encoder by digest and holds a copy only where it was fine-tuned.
Axes: N texts, W windows, T tokens, D width of the encoder, P principal components.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from surrogate import storage
from surrogate.base import PROJECTED, projected
from surrogate.errors import SurrogateError, problem
from surrogate.labels import Learned
from surrogate.score import Surrogate

DESCRIPTION = "hub.json"
COPY = "encoder"  # sub-folder of a fine-tuned encoder's weights
TOKENS_PER_BATCH = 8192
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
SAMPLE = "NET 1x40>10"
REMEDY = "Name an encoder with safetensors, for example answerdotai/ModernBERT-base"


@dataclass(frozen=True)
class Windows:
    """Tokenised texts, cut where they are too long."""

    ids: tuple[tuple[int, ...], ...]
    owners_W: tuple[int, ...]
    """Which text each window is of."""


@dataclass(frozen=True)
class HubEncoder:
    """A pre-trained encoder, and the projection of its vectors."""

    name: str
    revision: str | None
    """Commit on the hub; None for a folder."""
    digest: str
    """SHA-256 of weights and tokenizer."""
    model: Any = field(repr=False, compare=False)
    tokenizer: Any = field(repr=False, compare=False)
    is_tuned: bool = False
    projection: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    """`mean` and `basis` of the vectors; `centre` and `spread` of graph features."""
    known: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, name: str, revision: str | None = None) -> "HubEncoder":
        """Load an encoder; raises `SurrogateError` if that is not possible without pickles."""
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        _refuse_pickles(Path(name), name)
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
            model = AutoModel.from_pretrained(
                name, revision=revision, use_safetensors=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            first_line = str(error).strip().split("\n")[0][:200]
            raise _bad(f"it cannot be opened ({first_line})", name) from error
        if model.config.is_encoder_decoder:
            raise _bad("an encoder with a decoder", name)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.pad_token is None or not tokenizer.is_fast:
            raise _bad("no fast tokenizer with a padding token", name)
        if set(tokenizer(SAMPLE)["input_ids"]) <= set(tokenizer.all_special_ids):
            raise _bad("no tokenizer that knows the words of a text", name)
        place = str(Path(name).absolute()) if Path(name).is_dir() else name
        commit = getattr(model.config, "_commit_hash", None)
        model = model.eval().requires_grad_(False)
        return cls(place, commit, digest_of(model, tokenizer), model, tokenizer)

    @property
    def window_length(self) -> int:
        """Tokens that the encoder reads at once, special ones included."""
        limits = [self.tokenizer.model_max_length]
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions:
            table = getattr(getattr(self.model, "embeddings", None), "position_embeddings", None)
            padding = getattr(table, "padding_idx", None)  # RoBERTa counts from behind it
            limits.append(positions if padding is None else positions - padding - 1)
        return min(limits)

    def windows(self, texts: Sequence[str]) -> Windows:
        """Tokens of texts, in as many windows as they need."""
        found = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.window_length,
            return_overflowing_tokens=True,
        )
        owners = tuple(found["overflow_to_sample_mapping"])
        return Windows(tuple(tuple(ids) for ids in found["input_ids"]), owners)

    def coverage(self, texts: Sequence[str]) -> str:
        """Says how the texts were cut."""
        distinct = list(dict.fromkeys(texts))
        counts = np.bincount(self.windows(distinct).owners_W, minlength=len(distinct))
        more = counts[counts > 1]
        said = (
            f"Encoder {self.name} ({self.digest[:8]}) reads {self.window_length} tokens at once: "
        )
        said += f"{len(distinct) - len(more)} of {len(distinct)} texts in one window"
        return f"{said}, {len(more)} in 2 to {more.max()}." if len(more) else f"{said}."

    @torch.inference_mode()
    def raw_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Mean last hidden states, (N, D); on the device that accelerate names."""
        from accelerate import Accelerator

        device = Accelerator().device
        model = self.model.to(device)
        windows = self.windows(texts)
        sums_ND = np.zeros((len(texts), model.config.hidden_size))
        counts_N = np.zeros(len(texts))
        for rows in _batches(windows):
            ids_WT, mask_WT = self.padded([windows.ids[row] for row in rows])
            sums_WD = summed(model, ids_WT.to(device), mask_WT.to(device)).double().cpu().numpy()
            owners = [windows.owners_W[row] for row in rows]
            np.add.at(sums_ND, owners, sums_WD)
            np.add.at(counts_N, owners, mask_WT.sum(1).numpy())
        return sums_ND / np.maximum(counts_N, 1)[:, None]

    def padded(self, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Tokens and mask of windows, as long as the longest."""
        length = max(map(len, ids))
        ids_WT = torch.full((len(ids), length), self.tokenizer.pad_token_id)
        mask_WT = torch.zeros(len(ids), length, dtype=torch.long)
        for row, tokens in enumerate(ids):
            ids_WT[row, : len(tokens)] = torch.tensor(tokens)
            mask_WT[row, : len(tokens)] = 1
        return ids_WT, mask_WT

    def projected(self, texts: Sequence[str]) -> "HubEncoder":
        """The same encoder, its vectors scaled and rotated to what varies among these texts."""
        distinct = list(dict.fromkeys(texts))
        raw_ND = self.raw_vectors(distinct)
        mean_D = raw_ND.mean(0)
        scale_D = 1 / (raw_ND.std(0) + 1e-6)
        _, values, axes = np.linalg.svd((raw_ND - mean_D) * scale_D, full_matrices=False)
        kept = min(PROJECTED, len(distinct))
        total = float(np.sqrt((values[:kept] ** 2).sum() / len(distinct))) or 1.0
        corpus = Surrogate.load().base
        projection = {
            "mean": mean_D,
            "basis": scale_D[:, None] * axes[:kept].T / total,
            "centre": corpus.feature_mean,
            "spread": corpus.feature_spread,
        }
        return replace(self, projection=projection, known={})

    @property
    def feature_mean(self) -> np.ndarray:
        """Mean of each graph feature over the corpus of the built-in encoders."""
        return self.projection["centre"]

    @property
    def feature_spread(self) -> np.ndarray:
        """Standard deviation of each graph feature over the same corpus."""
        return self.projection["spread"]

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Projected vectors of texts, (N, P)."""
        return projected(texts, self.known, self.projection, self.raw_vectors)


def summed(model: Any, ids_WT: Tensor, mask_WT: Tensor) -> Tensor:
    """Last hidden states summed over the tokens of each window, (W, D)."""
    states_WTD = model(input_ids=ids_WT, attention_mask=mask_WT).last_hidden_state
    return (states_WTD * mask_WT[:, :, None]).sum(1)


def digest_of(model: Any, tokenizer: Any) -> str:
    """SHA-256 over the weights by name and the tokenizer."""
    words = json.loads(tokenizer.backend_tokenizer.to_str())
    for state in ("truncation", "padding"):  # of the last call
        words.pop(state, None)
    content = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode())
        content.update(tensor.cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def save(surrogate: Surrogate, folder: Path) -> None:
    """Write a predictor whose vectors come from a `HubEncoder`."""
    encoder = surrogate.base
    assert isinstance(encoder, HubEncoder)
    storage.write(folder, encoder.projection, {"learned": asdict(surrogate.learned)})
    description = {
        "name": COPY if encoder.is_tuned else encoder.name,
        "revision": encoder.revision,
        "digest": encoder.digest,
        "is_tuned": encoder.is_tuned,
    }
    if encoder.is_tuned:
        encoder.model.save_pretrained(folder / COPY, safe_serialization=True)
        encoder.tokenizer.save_pretrained(folder / COPY)
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load(folder: Path, elsewhere: str | None = None) -> Surrogate:
    """Open what `save` wrote; `elsewhere` is where the encoder lies, if it has moved.

    Raises:
        SurrogateError: Also where the encoder is not the one that the predictor learned with.
    """
    tensors, config = storage.read(folder)
    try:
        description = json.loads((folder / DESCRIPTION).read_bytes())
        named, digest = str(description["name"]), str(description["digest"])
        revision, is_tuned = description["revision"], bool(description["is_tuned"])
        learned = Learned(**{key: tuple(value) for key, value in config["learned"].items()})
        if set(tensors) != {"mean", "basis", "centre", "spread"}:
            raise KeyError("projection")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the description of its encoder cannot be read ({error})"
        message = problem(what, str(folder), "a predictor of this program", storage.REMEDY)
        raise SurrogateError(message) from error
    name = elsewhere or (str(folder / COPY) if is_tuned else named)
    encoder = HubEncoder.open(name, None if elsewhere else revision)
    if encoder.digest != digest:
        what = f"weights {encoder.digest[:8]}, but the predictor learned with {digest[:8]}"
        action = "Name the right one with --encoder, or fit again"
        raise SurrogateError(problem(what, name, "the encoder of the predictor", action))
    return Surrogate(replace(encoder, projection=tensors, is_tuned=is_tuned), learned)


def _batches(windows: Windows) -> Iterator[list[int]]:
    """Windows of similar lengths, about so many tokens at once."""
    order = sorted(range(len(windows.ids)), key=lambda row: len(windows.ids[row]))
    while order:
        longest = len(windows.ids[order[-1]])
        count = max(1, TOKENS_PER_BATCH // longest)
        yield order[-count:]
        order = order[:-count]


def _refuse_pickles(folder: Path, name: str) -> None:
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    pickles = [path.name for pattern in PICKLES for path in folder.glob(pattern)]
    if pickles:
        raise _bad(f"a pickle ({pickles[0]}); pickles can run code and are never opened", name)


def _bad(what: str, name: str) -> SurrogateError:
    return SurrogateError(problem(what, f"encoder {name}", "an encoder in safetensors", REMEDY))
