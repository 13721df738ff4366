"""The control arm: children by typed grammar mutation and crossover instead of a language model.

In: prompts made by `prompting.make_grammar_prompts` (the donor's whole source in `donor`). Out:
whole programs as replies. Not promised: a reply for every parent; where the grammar cannot read a
program the reply is empty, which is counted as `no_edit` like a model's silence.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from evoprompt.candidate import Prompt, Reply, Sampling, TaskShape
from evoprompt.chance import generator
from evoprompt.errors import ModelError
from evoprompt.grammar.variation import cross_source, mutate_source
from evoprompt.propose.engine import TunableBase


class GrammarEngine:
    """An `Engine` without a model."""

    base: TunableBase | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, task: TaskShape) -> None:
        self.version = "grammar"
        self._task = task

    def sample(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Reply]]:
        """One varied program per reply; only `count` and `seed` of a sampling are used."""
        return [
            [self._reply(prompt, generator(s.seed, "reply", i)) for i in range(s.count)]
            for prompt, s in zip(prompts, samplings, strict=True)
        ]

    def prompt_size(self, text: str) -> tuple[int, int] | None:
        """There is no context to overflow."""
        return None

    def use(self, version: str, adapter: Path | None) -> None:
        """The grammar has no adapters."""
        if adapter is not None:
            raise ModelError(
                f"{adapter}: the grammar arm cannot take an adapter. Expected none. "
                "Set --learn.steps 0, or another --control."
            )

    def rest(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing to give back."""

    def _reply(self, prompt: Prompt, rng: Random) -> Reply:
        shape, classes = self._task.in_shape, self._task.num_classes
        if prompt.operator == "grammar-cross":
            donor = "\n".join(prompt.donor) + "\n"
            child = cross_source(prompt.parent_source, donor, shape, classes, rng)
        else:
            child = mutate_source(prompt.parent_source, shape, classes, rng)
        return Reply(child or "", 0, True)
