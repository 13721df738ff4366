"""Practice: after the corpus, the built-in model learns from its own replies.

In: the model, and the corpus for its prompts. Out: the loss of one round. Some replies to each
prompt are sampled and judged by the grammar: a child must be legal, of the size that was asked for,
mended, or carry lines of both parents. Good replies are made likelier than the bad ones of the same
prompt: policy gradient with the group's mean as baseline (GRPO: Shao et al. 2024, arXiv 2402.03300,
section 4.1, without its division by the deviation).
Not promised: that a child which the grammar calls legal passes the screen.
"""

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evoprompt.grammar.canonical import source_of
from evoprompt.grammar.edits import END, EditError, apply
from evoprompt.grammar.families import is_legal
from evoprompt.grammar.shapes import parameter_count
from evoprompt.grammar.spec import parse
from evoprompt.propose.addresses import address_tokens, places
from evoprompt.propose.builtin_batches import (
    BRANCHES,
    PARENT,
    PROMPT,
    REPLY,
    Row,
    batch_of,
    label_losses,
)
from evoprompt.propose.builtin_corpus import Branch, Example, examples
from evoprompt.propose.sampling import Draw, sample

REPLIES = 6  # to each prompt
PROMPTS = 16  # of a round
LONGEST_PROMPT = 500  # tokens
LONGEST_REPLY = 110
REPAIR_SHARE = 0.4  # of the corpus's repairs are practised: there are more of them than of the rest
WEIGHTS = {"shrink": 3, "grow": 3}
"""How often an operator's prompts are drawn from an example, others once: what needs practice."""


class Practice:
    """Samples replies to the corpus's prompts and judges them, round by round."""

    def __init__(self, seed: int, tokenizer: PreTrainedTokenizerFast) -> None:
        self.edits = 0
        """Replies of the corpus whose examples were drawn; a benchmark draws them again."""
        self.good = 0.0
        """Share of good replies, of the last rounds on average."""
        self._corpus = examples(seed, BRANCHES)
        self._tokenizer = tokenizer
        self._rng = Random(seed)
        vocabulary = tokenizer.get_vocab()
        self._addresses = address_tokens(vocabulary, len(vocabulary))
        self._end = vocabulary[END]

    def loss(self, model: LlamaForCausalLM) -> Tensor:
        """The policy-gradient loss per token of the next round's replies."""
        asked = [self._asked() for _ in range(PROMPTS)]
        draws = [self._draw(*each) for each in asked]
        model.eval()
        written = sample(model, draws, [self._end], self._addresses)
        model.train()
        rows, shares = [], []
        for (example, branch), draw, replies in zip(asked, draws, written, strict=True):
            texts = self._tokenizer.batch_decode(replies)
            good = [is_good(example, branch, text) for text in texts]
            mean = sum(good) / len(good)
            shares.append(mean)
            if 0 < mean < 1:  # replies that all succeed or all fail teach nothing
                rows.append(weighted_row(draw.tokens, replies, [each - mean for each in good]))
        share = sum(shares) / len(shares)
        self.good = 0.95 * self.good + 0.05 * share if self.good else share
        return advantage_loss(model, rows) if rows else torch.zeros((), device=model.device)

    def _asked(self) -> tuple[Example, Branch]:
        """A branch of the next example whose layers the grammar knows."""
        while True:
            example = next(self._corpus)
            self.edits += len(example.branches) + len(example.exercises)
            if example.is_broken and self._rng.random() > REPAIR_SHARE:
                continue
            if example.branches and not example.names:
                weights = [WEIGHTS.get(branch.operator, 1) for branch in example.branches]
                (branch,) = self._rng.choices(example.branches, weights)
                if len(self._tokens(example, branch)) <= LONGEST_PROMPT:
                    return example, branch

    def _tokens(self, example: Example, branch: Branch) -> list[int]:
        return self._tokenizer(example.parent_view + branch.prompt_end)["input_ids"]

    def _draw(self, example: Example, branch: Branch) -> Draw:
        return Draw(
            tokens=self._tokens(example, branch),
            temperature=1.0,
            top_p=1.0,
            count=REPLIES,
            seed=self._rng.getrandbits(62),
            max_tokens=LONGEST_REPLY,
            places=places(example.lines, branch.donor),
        )


def weighted_row(
    prompt: list[int], replies: list[list[int]], advantages: list[float]
) -> tuple[Row, list[float]]:
    """The replies as branches of their prompt, whose last token each repeats, and the advantage
    of every token.
    """
    tokens, start = list(prompt[:-1]), len(prompt) - 1
    positions, roles, ids = list(range(start)), [PARENT] * start, [0] * start
    weights = [0.0] * start
    for number, (reply, advantage) in enumerate(zip(replies, advantages, strict=True), 1):
        tokens += [prompt[-1], *reply]
        positions += range(start, start + 1 + len(reply))
        roles += [PROMPT] + [REPLY] * len(reply)
        ids += [number] * (1 + len(reply))
        weights += [0.0] + [advantage] * len(reply)
    return (tokens, positions, roles, ids), weights


def advantage_loss(model: LlamaForCausalLM, rows: list[tuple[Row, list[float]]]) -> Tensor:
    """Of the chances of all replies' tokens, weighted by their advantages."""
    batch = batch_of([row for row, _ in rows])
    length = batch.tokens_BT.shape[1]
    weight_BT = torch.tensor([given + [0.0] * (length - len(given)) for _, given in rows])
    wanted_BT = batch.role_BT[:, 1:] == REPLY
    loss_N = label_losses(model, batch, wanted_BT)
    return (loss_N * weight_BT[:, 1:][wanted_BT].to(loss_N.device)).mean()


def is_good(example: Example, branch: Branch, reply: str) -> bool:
    """Whether a reply does what its prompt asks for, as far as the grammar can tell."""
    task = example.task
    dimensions = max(1, len(task.in_shape) - 1)
    source = source_of(list(example.lines), dimensions=dimensions)
    try:
        child = apply(source, reply, branch.donor, dimensions)
    except EditError:
        return False
    spec = parse(child, task.in_shape, task.num_classes)
    if spec is None or not is_legal(spec):
        return False
    if branch.operator == "repair":
        return True
    parent = parse(source, task.in_shape, task.num_classes)
    assert parent is not None
    old, new = parameter_count(parent), parameter_count(spec)
    match branch.operator:
        case "shrink":
            return new < old
        case "grow":
            return new > old
        case "cross":
            return _carries_both(example.lines, branch.donor, child)
    return spec != parent


def _carries_both(own: Sequence[str], donor: Sequence[str], child: str) -> bool:
    lines = {line.strip() for line in child.splitlines()}
    first, second = ({line.strip() for line in each} for each in (own, donor))
    return bool((first - second) & lines) and bool((second - first) & lines)
