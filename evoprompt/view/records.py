"""What a replayed ledger is made of: one frozen record per kind of fact.

`replay` fills them, `History` holds them, figures, report and terminal read them. Nothing here
computes; text fields are as hostile as their authors and are cleaned where they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evoprompt.candidate import Score

Cell = tuple[int, int]
"""(position on the first axis, position on the second axis) of the archive."""

STEPS: tuple[str, ...] = (
    "proposed", "parsed", "new source", "valid", "new graph", "scored", "trained", "elite",
)  # fmt: skip
"""The funnel: each step holds a part of the one before."""


@dataclass(frozen=True)
class Failure:
    """Where and why something was given up; plain strings, so that old ledgers stay readable."""

    stage: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Proposal:
    """One reply of the proposer, or one seed."""

    generation: int
    index: int
    candidate: str | None
    """None if no program could be read from the reply."""
    name: str | None
    """The seed's name."""
    operator: str
    template: str
    template_hash: str
    parents: tuple[str, ...]
    target: str
    version: str
    """The proposer that wrote it."""
    round: int
    token_count: int
    prompt_token_count: int
    failure: Failure | None
    """Why the reply is no program."""
    part: str = ""
    """What the prompt asked to change."""
    is_repair: bool = False
    """It is a rejected child that went back once."""
    added_lines: int | None = None
    """Lines that its first parent does not have; None in ledgers from before they were counted."""
    old_lines: int | None = None
    """Those of them that an earlier ancestor had and no parent has."""
    is_repeated: bool = False
    """Its program was already there."""
    repeats: str = ""
    """How it was known: by its source, or by its lines in another layout."""
    is_screened: bool = False
    """The screen has given its verdict."""


@dataclass(frozen=True)
class Measured:
    """One training of a candidate, or the earlier one whose result it shares."""

    accuracy: float
    """Validation accuracy, 0..1."""
    seed: int | None = None
    steps: int | None = None
    final_loss: float | None = None
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    device: str = ""
    weights_path: str | None = None
    """The safetensors file, relative to the run folder."""
    known_from: str | None = None
    """The candidate with the same graph that was really trained."""


@dataclass(frozen=True)
class Candidate:
    """Everything the ledger says of one source."""

    id: str
    generation: int
    index: int
    """Of the proposal that brought it first."""
    name: str | None
    operator: str
    template: str
    template_hash: str
    parents: tuple[str, ...]
    """The first is the one whose lines were edited."""
    target: str
    version: str
    round: int
    graph: str | None = None
    graph_path: str | None = None
    parameters: int | None = None
    macs: int | None = None
    depth: int | None = None
    node_count: int | None = None
    adapted: tuple[str, ...] = ()
    known_graph: str | None = None
    """The candidate that had the same graph before."""
    rewritten: str | None = None
    """The source in the canonical style that prompts showed of it, if not its own."""
    failure: Failure | None = None
    """Of the screen or the training."""
    score: Score | None = None
    why: str | None = None
    """Why it was trained: seed, predictor, prior, reserve or random."""
    measured: Measured | None = None
    cell: Cell | None = None
    is_clipped: bool = False
    entered: bool = False
    """It has been an elite."""

    @property
    def accuracy(self) -> float | None:
        """Measured validation accuracy, 0..1."""
        return self.measured.accuracy if self.measured else None

    @property
    def is_seed(self) -> bool:
        """It stood at the start of the search."""
        return self.generation == 0

    @property
    def is_random_draw(self) -> bool:
        """It was trained by lot, so no score had a part in it."""
        return self.why in ("reserve", "random")


@dataclass(frozen=True)
class Placement:
    """One attempt to put a measured candidate into its cell."""

    generation: int
    slot: int
    candidate: str
    cell: Cell
    status: str
    """new, improved or kept."""
    accuracy: float
    replaced: str | None


@dataclass(frozen=True)
class Progress:
    """The best so far after so many trained children."""

    trained_count: int
    generation: int
    best: float | None
    best_candidate: str | None
    small: float | None
    """Best with no more parameters than the reference."""
    small_candidate: str | None


@dataclass(frozen=True)
class Audit:
    """The predictor after one generation, against the prior."""

    generation: int
    version: str
    label_count: int
    pairs: int
    reserve_pairs: int
    tau_predictor: float | None
    tau_prior: float | None
    tau_predictor_reserve: float | None
    tau_prior_reserve: float | None
    interval_count: int
    """Pairs whose 90 % interval was recorded with the score; 0 in ledgers from before it."""
    held_count: int
    """Accuracies that lie inside it."""
    interval_count_reserve: int
    held_count_reserve: int
    judge: str
    seconds: float | None


@dataclass(frozen=True)
class GateCount:
    """What one proposer version did with the held-out prompts."""

    samples: int
    valid: int
    valid_new: int
    heredity: float | None = None
    """How much more its children are their own parents' than another prompt's; -1..1."""


@dataclass(frozen=True)
class Tuning:
    """One attempt to tune the proposer, and its gate."""

    generation: int
    version: str
    previous: str
    serving: str
    pair_count: int
    promoted: bool | None
    """None if nothing was tuned."""
    reason: str
    method: str
    """dpo, sft or soft_prompt; empty where an older run does not say."""
    loss_first: float | None
    loss_last: float | None
    held_out_accuracy: float | None
    prompt_count: int | None
    old: GateCount | None
    new: GateCount | None
    token_count: int
    """Written for the gate and on the way to it, by all versions."""
    prompt_token_count: int
    """Read for them."""
    seconds: float | None


@dataclass(frozen=True)
class Tested:
    """One training for the final comparison, measured on the test samples."""

    candidate: str
    role: str
    seed: int | None
    accuracy: float
    extra: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Comparison:
    """A found program against the reference, on the test samples."""

    candidate: str
    reference: str
    parameters: int | None
    reference_parameters: int | None
    accuracy: float | None
    """Mean over the seeds; None if a training failed, as for the figures below."""
    accuracy_reference: float | None
    difference: float | None
    low: float | None
    high: float | None
    standard: float | None
    standard_reference: float | None


@dataclass(frozen=True)
class Loss:
    """Proposals that did not reach a step, for one reason, with one example."""

    step: str
    """The step that was missed."""
    reason: str
    stage: str
    count: int
    example: str
    """Detail of one of them."""
    example_candidate: str | None
    example_key: tuple[int, int]
    """(generation, index) of that proposal."""


@dataclass(frozen=True)
class Funnel:
    """How many proposals reached each step, and what stopped the others."""

    counts: Mapping[str, int]
    losses: tuple[Loss, ...]
    """Most frequent first within a step."""


@dataclass(frozen=True)
class Totals:
    """What a run has done and spent."""

    proposal_count: int
    trained_count: int
    """Children really trained."""
    seed_count: int
    """Seeds really trained."""
    token_count: int
    prompt_token_count: int
    """Tokens that the proposer read; 0 in ledgers from before they were counted."""
    cache_hit_count: int
    """Results known from an equal graph."""
    clipped_count: int
    """Placements whose descriptors were outside the archive."""
    seconds: Mapping[str, float]
    """By stage, summed over workers."""
