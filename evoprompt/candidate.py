"""The frozen records that rooms hand each other, and the identity of a candidate.

Records hold text, numbers and paths; never a live model, tensor or file handle. The ledger stores
them as JSON. A candidate that fails is a `Rejected` value with a reason from a closed list.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DETAIL_LIMIT = 500  # characters of a rejection's detail that are kept


class Stage(StrEnum):
    """Where a candidate was rejected."""

    PARSE = "parse"
    RULES = "rules"
    BUILD = "build"
    FORWARD = "forward"
    EXPORT = "export"
    CHECK = "check"
    TRAIN = "train"


class Reason(StrEnum):
    """Why a candidate was rejected; a closed list, because we count it."""

    NO_EDIT = "no_edit"  # the reply holds no edit or no program
    BAD_EDIT = "bad_edit"  # an edit names lines that do not exist, overlaps or is out of order
    TRUNCATED = "truncated"  # the reply ended before its end mark
    UNCHANGED = "unchanged"  # the child is its parent
    PROMPT_TOO_LONG = "prompt_too_long"  # the model's context has no room for a reply
    NO_REPLY = "no_reply"  # the server gave none, however often it was asked
    TOO_LONG = "too_long"  # source over the size or nesting limit
    SYNTAX = "syntax"
    FORBIDDEN_IMPORT = "forbidden_import"
    FORBIDDEN_NAME = "forbidden_name"
    NO_NET = "no_net"  # no class Net(nn.Module)
    BUILD_ERROR = "build_error"
    FORWARD_ERROR = "forward_error"
    WRONG_OUTPUT = "wrong_output"  # not (batch, num_classes) float32
    CHANGES_INPUT = "changes_input"  # forward writes into its input
    NOT_FINITE = "not_finite"
    BATCH_DEPENDENT = "batch_dependent"  # the graph is wrong at another batch size
    UNSUPPORTED_OPERATION = "unsupported_operation"
    INVALID_GRAPH = "invalid_graph"
    TOO_LARGE = "too_large"  # parameters, MACs or bytes over the limit
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    CRASHED = "crashed"
    DIVERGED = "diverged"  # the training loss became NaN or ran away
    TRAIN_ERROR = "train_error"
    BAD_WEIGHTS = "bad_weights"  # names or shapes differ from the recorded graph


@dataclass(frozen=True)
class Rejected:
    """A candidate that failed: where, why, and up to 500 characters of detail."""

    stage: Stage
    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class TaskShape:
    """What a candidate must map: `(B, *in_shape)` float32 to `(B, num_classes)` logits."""

    name: str
    in_shape: tuple[int, ...]
    num_classes: int

    @property
    def word(self) -> str:
        """The name as a graph's text carries it: at most 64 ASCII letters, digits, '.', '-', '_'.

        Whatever else a name has becomes '-'; of a name that has nothing else, nothing is left.
        """
        return re.sub(r"[^\w.-]+", "-", self.name, flags=re.ASCII).strip("-.")[:64]


@dataclass(frozen=True)
class Parent:
    """A program as a template sees it."""

    id: str
    source: str
    accuracy: float
    """Validation accuracy, 0..1; predicted if `is_predicted`."""
    parameters: int
    macs: int
    is_predicted: bool = False


@dataclass(frozen=True)
class Prompt:
    """One rendered prompt and what it was made from."""

    text: str
    template: str
    """The template's name."""
    template_hash: str
    operator: str
    """mutate or cross (of the template), or seed, grammar-mutate, grammar-cross."""
    parents: tuple[str, ...]
    """Candidate ids; the first is the one whose lines are edited."""
    parent_source: str
    donor: tuple[str, ...] = ()
    """Lines of the second parent that the reply may take by reference."""
    donor_classes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Name and lines of its own classes that those lines use."""
    target: str = "any"
    reply_format: str = "edits"
    """edits or program."""
    part: str = ""
    """What the prompt asks to change (any, width, depth, ...); empty where it does not say."""
    in_shape: tuple[int, ...] = ()
    """Of the task; layers that an edit brings are of its dimensions."""


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn."""

    temperature: float
    count: int
    """Replies per prompt."""
    seed: int
    top_p: float = 1.0
    max_tokens: int = 160


@dataclass(frozen=True)
class Reply:
    """What a language model answered, raw."""

    text: str
    token_count: int
    """Tokens that were written for it."""
    is_finished: bool
    """False if it was cut at the token limit."""
    prompt_tokens: int = 0
    """Tokens of the prompt that were read for it; siblings of one request share one prompt, which
    the first of them carries, so that sums are what was read and paid for."""
    seconds: float = field(default=0.0, compare=False)
    """Clock: its share of the wall time of the call that brought it."""
    retries: int = field(default=0, compare=False)
    """Clock: how often the call was made again before it was answered."""
    refusal: Rejected | None = None
    """Why there is no text: the prompt is too long for the model, or a server gave nothing."""


@dataclass(frozen=True)
class Screened:
    """A candidate whose graph was recorded and checked; all figures derived from the graph."""

    candidate: str
    graph: str
    """SHA-256 of the canonical graph."""
    graph_path: str
    """The ONNX file, relative to the run folder."""
    parameters: int
    macs: int
    """Multiply-accumulates for one example."""
    depth: int
    """Weighted operators on the longest path."""
    node_count: int
    text: str
    """The graph as the surrogate reads it."""
    activation_bytes: int = 0
    """Most memory that the values of one example take at a time."""
    adapted: tuple[str, ...] = ()
    """What the screen changed so that the program fits the contract."""


@dataclass(frozen=True)
class Score:
    """What was believed about a candidate before it was trained."""

    mean: float
    """Predicted validation accuracy, 0..1."""
    spread: float
    """Standard deviation of the prediction, in accuracy."""
    prior: float
    """Mean rank of log parameters and log MACs among the results and candidates at hand, 0..1."""
    version: str
    """The predictor that said so."""
    low: float | None = None
    """Ends of the 90 % interval for the measured accuracy; None in ledgers from before it."""
    high: float | None = None

    def holds(self, accuracy: float) -> bool | None:
        """Whether an accuracy lies inside the interval; None if none was recorded."""
        if self.low is None or self.high is None:
            return None
        return self.low <= accuracy <= self.high


@dataclass(frozen=True)
class TrainJob:
    """One training: a screened program, a seed, and what to do with it."""

    candidate: str
    source: str
    graph: str
    graph_path: str
    """Absolute path of the recorded ONNX graph."""
    weights_path: str
    """Absolute path to which the safetensors are written."""
    seed: int
    split: str = "validation"
    """validation, or test for the final report."""


@dataclass(frozen=True)
class Trained:
    """The outcome of one training, measured by trusted code on the recorded graph."""

    candidate: str
    graph: str
    seed: int
    accuracy: float
    """0..1 on the job's split."""
    steps: int
    final_loss: float
    """Mean training loss of the last tenth of the steps."""
    curve: tuple[tuple[int, float], ...]
    """(step, training loss), at most 50 points."""
    weights: str
    """SHA-256 of the weights file."""
    seconds: float = 0.0
    """Clock: wall time of the training."""
    device: str = "cpu"
    correct: str = ""
    """For the test split: hex of the packed bits, one per test example, 1 = correct."""
    extra: Mapping[str, float] = field(default_factory=dict[str, float])
    """Further figures by name, such as accuracy on the standard test set."""


def normalise(source: str) -> str:
    r"""Return the source with LF line ends, no trailing spaces and one final newline."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def candidate_id(source: str) -> str:
    """Return the SHA-256 (hex) of the normalised source; same source, same id, everywhere."""
    return hashlib.sha256(normalise(source).encode("utf-8", "surrogatepass")).hexdigest()


def rejected(stage: Stage, reason: Reason, detail: object = "") -> Rejected:
    """Build a `Rejected` with its detail cut to the limit."""
    return Rejected(stage, reason, str(detail)[:DETAIL_LIMIT])
