"""The tokenizer of the built-in model: byte-level BPE whose merges may span a whole line of code.

In: texts of the corpus. Out: a transformers tokenizer with one token per line number (L0..L99),
donor line (D1..D60), edit mark and end mark; numbers, indentation and line ends stand alone.
Not promised: short encodings of programs in another style than the grammar's.
"""

import json
import re
from collections.abc import Iterable
from itertools import islice

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from evoprompt.grammar.canonical import MAXIMUM_LINES
from evoprompt.grammar.edits import END
from evoprompt.grammar.view import MAXIMUM_DONOR_LINES
from evoprompt.propose.builtin_corpus import Example

VOCABULARY = 1024
CONTROL_TOKENS = ["<pad>", "<s>", "</s>"]
LINE_TOKENS = [f"L{number}" for number in range(MAXIMUM_LINES + 1)]
DONOR_TOKENS = [f"D{number}" for number in range(1, MAXIMUM_DONOR_LINES + 1)]
MARK_TOKENS = [END, "@"]
# Numbers and indentation stand alone: whole lines as pieces took 279 tokens for an example, words
# 914, and a line reads the same however deep it stands.
_NUMBER = r"(?<![A-Za-z_0-9.])[0-9]+(?:\.[0-9]+)?"
_LINE_NUMBER = re.compile(r"(?m)(?<=[@-])[LD]\d+|^[LD]\d+|(?<= )D\d+")


def train_tokenizer(corpus: Iterable[Example], count: int = 1200) -> PreTrainedTokenizerFast:
    """Learn the merges from `count` examples; line numbers and marks are tokens from the start."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_NUMBER), "isolated"),
            pre_tokenizers.Split(Regex(r"\n| {4,}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    plain = [AddedToken(text, special=False, normalized=False) for text in _plain_tokens()]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[*CONTROL_TOKENS, *_plain_tokens()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(corpus, count), trainer)
    tokenizer = _with_plain_tokens(tokenizer, plain)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _plain_tokens() -> list[str]:
    return [*LINE_TOKENS, *DONOR_TOKENS, *MARK_TOKENS]


def _with_plain_tokens(tokenizer: Tokenizer, plain: list[AddedToken]) -> Tokenizer:
    """Let decoding keep line numbers and marks, which the trainer would make vanish."""
    tokenizer.add_tokens(plain)
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["content"] in CONTROL_TOKENS
    return Tokenizer.from_str(json.dumps(state))


def _texts(corpus: Iterable[Example], count: int) -> Iterable[str]:
    for example in islice(corpus, count):
        yield _LINE_NUMBER.sub("", example.parent_view)
        for branch in example.branches:
            yield _LINE_NUMBER.sub("", branch.prompt_end + branch.reply).replace("@", "")
