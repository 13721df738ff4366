"""A run's ledger -> what the proposer can learn from it: siblings, and replies to be replayed.

In: a state (of the run under way or of one that has ended). Out: plain records and texts for the
room `learn`. Siblings are compared by their gain in front hypervolume over their first parent.
Predicted accuracies count only where the predictor has earned it: it is the judge, its tau is above
the prior's, and the audit has enough pairs.
"""

from collections.abc import Sequence
from random import Random

from evoprompt.chance import derive
from evoprompt.learn.gain import Point, gain
from evoprompt.learn.pairs import Sibling
from evoprompt.ledger import Json
from evoprompt.propose.builtin_corpus import examples
from evoprompt.propose.engine import TunableBase
from evoprompt.propose.model_files import BUILTIN
from evoprompt.state import Program, State, Written

REPLAY_COUNT = 240  # replies; forty steps of four take 160 of them
BRANCHES = 4  # replies to one parent of the corpus


def has_earned(audit: Json | None, audit_count: int) -> bool:
    """Whether the predictor ranks well enough to say which sibling is better.

    Args:
        audit: Payload of the last audit; None before the first.
        audit_count: Audited pairs from which on the audit means something.
    """
    if audit is None or audit["judge"] != "predictor" or audit["pairs"] < audit_count:
        return False
    return audit["tau_predictor"] > audit["tau_prior"]


def siblings_of(state: State, num_classes: int, earned: bool) -> list[Sibling]:
    """Every reply of a run and what became of it, in the order of proposing."""
    return [_sibling(state, written, num_classes, earned) for written in state.written]


def _sibling(state: State, written: Written, num_classes: int, earned: bool) -> Sibling:
    program = state.programs.get(written.candidate) if written.candidate else None
    if program is None or program.screened is None:
        return Sibling(written.prompt, written.reply, is_valid=False, is_new=False)
    is_first = (program.generation, program.index) == (written.generation, written.index)
    parent = state.programs.get(program.parents[0]) if program.parents else None
    believed = program.score.mean if earned and program.score else None
    return Sibling(
        written.prompt,
        written.reply,
        is_valid=True,
        is_new=is_first and program.known_graph is None,
        gain=_gain(parent, program, program.accuracy, num_classes),
        predicted_gain=_gain(parent, program, believed, num_classes),
        obeys=_obeys(parent, program),
    )


def _gain(
    parent: Program | None, child: Program, accuracy: float | None, num_classes: int
) -> float | None:
    """Over the parent; None where an accuracy is missing, the parent's predicted one counting."""
    if parent is None or accuracy is None or parent.screened is None or child.screened is None:
        return None
    before = parent.accuracy
    if before is None and parent.score is not None:
        before = parent.score.mean
    if before is None:
        return None
    return gain(
        Point(before, parent.screened.parameters),
        Point(accuracy, child.screened.parameters),
        1.0 / num_classes,
    )


def _obeys(parent: Program | None, child: Program) -> bool | None:
    """Whether a child that was to shrink has fewer parameters, one that was to grow has more."""
    if parent is None or parent.screened is None or child.screened is None:
        return None
    if child.operator == "shrink":
        return child.screened.parameters < parent.screened.parameters
    if child.operator == "grow":
        return child.screened.parameters > parent.screened.parameters
    return None


def replay_for(base: TunableBase, siblings: Sequence[Sibling], seed: int) -> list[tuple[str, str]]:
    """(prompt, reply) that the model should go on knowing.

    The built-in model replays the corpus that it was trained on. What another model was trained on
    is not here, so it replays the run's own valid replies.
    """
    if base.folder == BUILTIN:
        return _corpus(seed)
    own = [(s.prompt_text, s.reply_text) for s in siblings if s.is_valid and s.is_new]
    return Random(seed).sample(own, min(REPLAY_COUNT, len(own)))


def _corpus(seed: int) -> list[tuple[str, str]]:
    texts: list[tuple[str, str]] = []
    for example in examples(derive(seed, "replay"), BRANCHES):
        texts += [(example.parent_view + b.prompt_end, b.reply) for b in example.branches]
        if len(texts) >= REPLAY_COUNT:
            break
    return texts[:REPLAY_COUNT]
