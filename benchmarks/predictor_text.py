"""The baseline row that reads the text as words: a plain transformer with ONNX-Net's loss.

What ONNX-Net does (arXiv 2510.04938), at a size that a core trains in a minute: about 0.45M
parameters from scratch instead of a language model of 396M, and our text, which is a tenth of
theirs in length and drops nothing. Tokens are byte pairs learned from unlabelled texts, a line at
most; nothing is truncated.
Axes: B texts, L tokens, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from predictor_space import Space
from predictor_training import fit_and_score, margin_loss
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn

WIDTH = 96
LAYERS = 4
HEADS = 4
DROPOUT = 0.0  # .1 costs half as much time again
VOCABULARY = 600
TEXTS = 2000  # unlabelled texts that the tokens are learned from
PADDING, CLASS, UNKNOWN = 0, 1, 2


class TextTransformer(nn.Module):
    """Tokens to one score."""

    def __init__(self, vocabulary: int, longest: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, WIDTH, padding_idx=PADDING)
        self.place = nn.Parameter(torch.randn(longest, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, DROPOUT, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(2 * WIDTH), nn.Linear(2 * WIDTH, 1))

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Scores of texts."""
        is_padding_BL = tokens_BL == PADDING
        x_BLD = self.token(tokens_BL) + self.place[: tokens_BL.shape[1]]
        x_BLD = self.layers(x_BLD, src_key_padding_mask=is_padding_BL)
        weight_BL1 = (~is_padding_BL).float().unsqueeze(-1)
        mean_BD = (x_BLD * weight_BL1).sum(1) / weight_BL1.sum(1)
        return self.head(torch.cat([x_BLD[:, 0], mean_BD], -1)).squeeze(-1)


def learn_tokens(texts: Sequence[str]) -> Tokenizer:
    """Byte pairs over whole lines."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    special = ["[PAD]", "[CLS]", "[UNK]"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def text_row(
    space: Space, unlabelled: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    """The plain transformer, trained on the labels alone."""
    torch.manual_seed(seed)
    step = max(1, len(unlabelled) // TEXTS)
    tokenizer = learn_tokens([space.texts[i] for i in unlabelled[::step]])
    chosen = [int(i) for i in (*train, *test)]
    encoded = tokenizer.encode_batch([space.texts[i] for i in chosen])
    tokens = {i: [CLASS, *e.ids] for i, e in zip(chosen, encoded, strict=True)}
    lengths = np.zeros(len(space.texts), int)
    lengths[chosen] = [len(tokens[i]) for i in chosen]

    def collate(indices: Sequence[int]) -> Tensor:
        rows = [torch.tensor(tokens[i]) for i in indices]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING)

    network = TextTransformer(tokenizer.get_vocab_size(), int(lengths.max()))
    labels = space.accuracies
    return fit_and_score(network, collate, labels, train, test, lengths, margin_loss, seed)
