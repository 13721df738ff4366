"""Settings as frozen dataclasses: the only place of defaults. Presets are functions.

The command line is generated from these; a TOML file may override them; the resolved settings are
saved with the run. Rooms receive their own part, never the whole.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Control = Literal[
    "none", "frozen-proposer", "no-predictor", "random-parents", "grammar", "best-of-n"
]
Descriptor = Literal["log_parameters", "log_macs", "log_intensity", "depth"]


@dataclass(frozen=True)
class TaskSettings:
    """The data that candidates are trained on."""

    name: Literal["mnist1d", "digits", "arrays"] = "mnist1d"
    """mnist1d (generated here), digits (scikit-learn), or arrays (your own .npz)."""
    path: Path | None = None
    """For arrays: an .npz with x_train, y_train and, if you have them, x_val, y_val, x_test, &c."""
    validation_count: int = 4000
    """Validation examples (mnist1d: fresh samples of the generator; digits: share of the set)."""
    test_count: int = 10000
    """Test examples, looked at once, for the final report."""


@dataclass(frozen=True)
class Recipe:
    """How every candidate, seed and reference is trained: one recipe for all."""

    steps: int = 1000
    """Optimiser steps: the search fidelity."""
    batch_size: int = 64
    """Examples per step."""
    learning_rate: float = 0.02
    """Peak of the one-cycle schedule of AdamW."""
    weight_decay: float = 0.01
    """AdamW weight decay."""


@dataclass(frozen=True)
class TrainSettings:
    """Training workers."""

    recipe: Recipe = field(default_factory=Recipe)
    """One recipe and one fidelity for all candidates of a run."""
    workers: int = 2
    """Candidates trained at the same time, one thread each."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU where there is one."""
    seconds_limit: float = 120.0
    """CPU limit of one training (four times as much wall clock); over it, it is rejected."""
    memory_mb: int = 4096
    """Memory limit of one training process (address space; not used on a GPU)."""


@dataclass(frozen=True)
class ScreenSettings:
    """Limits of the jail in which a candidate's graph is recorded."""

    workers: int = 2
    """Zygotes; candidates screened at the same time."""
    seconds_limit: float = 20.0
    """Wall-clock limit of one candidate."""
    cpu_seconds: int = 8
    """CPU limit of one candidate."""
    memory_mb: int = 4096
    """Address-space limit of one candidate."""
    max_parameters: int = 5_000_000
    """Larger candidates are rejected."""
    max_macs: int = 500_000_000
    """Multiply-accumulates for one example; costlier candidates are rejected."""
    max_nodes: int = 2_000
    """Operators of the graph; deeper candidates are rejected."""
    unsafe: bool = False
    """Run candidates also where the system has no Landlock or no seccomp (see the README)."""


@dataclass(frozen=True)
class VllmSettings:
    """vLLM, which writes children in a process of its own."""

    keep: bool = False
    """Keep it in memory while candidates are trained; otherwise it is started for each phase."""
    gpus: int = 1
    """GPUs that share the model."""
    gpu_share: float = 0.85
    """Share of each GPU's memory that it may take; not used on the CPU."""


@dataclass(frozen=True)
class ServerSettings:
    """A server that speaks OpenAI's protocol."""

    url: str = "https://api.openai.com/v1"
    """Where it is, with the version at the end."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; keys stand in no setting and in no file."""
    chat: bool = True
    """Ask for chat completions; without it for plain ones, for models without chat template."""
    weights: str | None = None
    """Folder or hub id of the served weights, if it loads adapters; without it no tuning."""
    concurrent: int = 4
    """Requests under way at the same time."""
    per_minute: int | None = None
    """Most requests in a minute."""
    prompt_price: float = 0.0
    """Money for a million tokens of prompts."""
    completion_price: float = 0.0
    """Money for a million tokens of replies."""


@dataclass(frozen=True)
class ProposerSettings:
    """Who writes children, and how many."""

    engine: Literal["transformers", "vllm", "openai", "replay"] = "transformers"
    """transformers or vllm (a model on this machine), openai (any server that speaks its protocol),
    or replay (recorded replies, for tests)."""
    model: str = "builtin"
    """builtin, a Hugging Face id, or a local folder; for openai the model's name at the server; for
    replay a JSON file of replies."""
    adapter: Path | None = None
    """Folder of a tuned adapter of this model to begin with, such as runs/A/proposer/v003 or what
    `evoprompt learn proposer` wrote; it is copied into the run."""
    prompts: Path | None = None
    """Folder of templates; if not given the checkout's prompts/ for the built-in model, which
    writes edits, and its prompts/chat/ for any other, which writes whole programs."""
    prompts_per_round: int = 8
    """Prompts in one round of proposing."""
    samples_per_prompt: int = 8
    """Replies to each prompt; siblings that tuning compares."""
    cross_share: float = 0.3
    """Share of the prompts that show a second parent, before a bandit has learned otherwise."""
    choose_templates: Literal["bandit", "weights"] = "bandit"
    """bandit: the more often a template's children enter the archive for its tokens, the more often
    it is drawn; weights: as often as the templates' weights say."""
    repairs_per_round: int = 8
    """Most rejected children of a round that go back once with the screen's message; 0: none."""
    top_p: float = 0.95
    """Nucleus sampling."""
    max_tokens: int = 160
    """Longest reply, where a template does not name its own."""
    threads: int = 1
    """CPU threads of the language model; part of the settings because results depend on it."""
    seconds_limit: float = 600.0
    """Longest wait for one answer of vLLM or of a server."""
    retries: int = 4
    """How often vLLM or a server is asked again after a failure."""
    vllm: VllmSettings = field(default_factory=VllmSettings)
    server: ServerSettings = field(default_factory=ServerSettings)


@dataclass(frozen=True)
class SurrogateSettings:
    """The predictor and its gate."""

    model: Path | None = None
    """Folder of a predictor to start from, as `python -m surrogate pretrain` or `fit --encoder`
    writes it; the built-in one if not given. Its labels are not used, only its encoders."""
    audit_count: int = 12
    """Audited pairs before the gate between predictor and prior is applied."""


@dataclass(frozen=True)
class ChooseSettings:
    """Who deserves training."""

    trained_per_generation: int = 7
    """Children trained in each generation."""
    reserve_share: float = 0.25
    """Share of the slots (at least one) for candidates drawn at random from the screened ones."""
    screened_per_trained: int = 10
    """Screened candidates wanted for each trained one; further rounds are proposed until then."""
    min_rounds: int = 2
    """Rounds of propose..score on predicted elites in each generation."""
    max_rounds: int = 4
    """At most so many rounds."""
    exploration: float = 1.0
    """Weight of the spread beside the mean."""
    acquisition: Literal["expected-improvement", "upper-confidence"] = "expected-improvement"
    """What makes a candidate worth training: expected improvement, or mean plus spread."""


@dataclass(frozen=True)
class ArchiveSettings:
    """Cells of the quality-diversity archive."""

    axes: tuple[Descriptor, Descriptor] = ("log_parameters", "log_intensity")
    """Descriptors; log_intensity is log10(MACs / parameters)."""
    cells: tuple[int, int] = (12, 8)
    """Cells along each axis."""
    low: tuple[float, float] = (2.0, -0.5)
    """Lower ends of the axes."""
    high: tuple[float, float] = (6.0, 2.5)
    """Upper ends of the axes."""


@dataclass(frozen=True)
class LearnSettings:
    """What training teaches the proposer."""

    method: Literal["dpo", "sft", "soft_prompt"] = "dpo"
    """dpo (LoRA on better against worse siblings), sft (LoRA on the better ones alone), or
    soft_prompt (sixteen virtual tokens on the better ones; transformers engine only)."""
    steps: int = 40
    """Most steps after each generation; 0 leaves the proposer as it is."""
    batch_size: int = 8
    """Pairs per step."""
    learning_rate: float = 1e-3
    """Of LoRA weights; right for the built-in model, while large ones want a tenth or less."""
    soft_learning_rate: float = 3e-2
    """Of a soft prompt."""
    rank: int = 16
    """LoRA rank."""
    beta: float = 0.1
    """Strength of the preference loss (DPO)."""
    replay: float = 0.5
    """Weight of the likelihood of replayed replies, which keeps what the model knows."""
    probe_prompts: int = 4
    """Prompts that a version answers every twenty steps, to stop early (transformers engine only);
    0 asks for none."""
    gate_prompts: int = 12
    """Held-out prompts of the promotion gate."""
    gate_samples: int = 8
    """Replies to each held-out prompt, by the old and by the new version."""


@dataclass(frozen=True)
class Budget:
    """When a search stops: whichever comes first."""

    generations: int = 5
    """Generations after the seeds."""
    trained: int | None = None
    """Trained children."""
    hours: float | None = None
    """Hours of wall clock; a run stopped by it does not promise the same content hash."""
    tokens: int | None = None
    """Tokens written by the proposer."""
    money: float | None = None
    """Money for the proposer's tokens, by --proposer.server.prompt-price and .completion-price."""


@dataclass(frozen=True)
class FinalSettings:
    """The comparison at the end."""

    winners: int = 2
    """Programs of the accuracy-parameters front that are trained again."""
    seeds: int = 3
    """New seeds for each of them and for the reference."""


@dataclass(frozen=True)
class SearchSettings:
    """Everything that decides a run."""

    task: TaskSettings = field(default_factory=TaskSettings)
    proposer: ProposerSettings = field(default_factory=ProposerSettings)
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    surrogate: SurrogateSettings = field(default_factory=SurrogateSettings)
    choose: ChooseSettings = field(default_factory=ChooseSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    learn: LearnSettings = field(default_factory=LearnSettings)
    budget: Budget = field(default_factory=Budget)
    final: FinalSettings = field(default_factory=FinalSettings)
    seed: int = 0
    """The one seed; everything random is derived from it."""
    control: Control = "none"
    """A control arm: the same search with one thing changed."""


def mnist1d() -> SearchSettings:
    """MNIST-1D on two CPU cores with the built-in models, about seven minutes."""
    # Nets of 7 million MACs took a minute of training each here and gained nothing.
    return SearchSettings(screen=ScreenSettings(max_macs=1_500_000))


def digits() -> SearchSettings:
    """scikit-learn's 8x8 digits on two CPU cores."""
    task = TaskSettings(name="digits", validation_count=400, test_count=400)
    recipe = Recipe(steps=500)
    screen = ScreenSettings(max_macs=3_000_000)
    return SearchSettings(task=task, screen=screen, train=TrainSettings(recipe=recipe))


def arrays() -> SearchSettings:
    """Your own arrays (--task.path mine.npz), with no limit on size but the screen's default."""
    return SearchSettings(task=TaskSettings(name="arrays"))


def smoke() -> SearchSettings:
    """The whole loop in under a minute, for tests; its accuracies mean nothing."""
    base = digits()
    return replace(
        base,
        screen=replace(base.screen, workers=1),
        train=replace(base.train, recipe=Recipe(steps=30, batch_size=64), workers=1),
        proposer=replace(base.proposer, prompts_per_round=2, samples_per_prompt=4),
        choose=replace(
            base.choose,
            trained_per_generation=3,
            screened_per_trained=2,
            min_rounds=2,
            max_rounds=2,
        ),
        surrogate=SurrogateSettings(audit_count=4),
        learn=replace(
            base.learn, steps=3, batch_size=2, probe_prompts=2, gate_prompts=2, gate_samples=2
        ),
        budget=Budget(generations=2),
        final=FinalSettings(winners=2, seeds=2),
    )


def one_gpu() -> SearchSettings:
    """MNIST-1D with more of everything, for one GPU and a hub model given by --proposer.model."""
    base = SearchSettings()
    return replace(
        base,
        proposer=replace(base.proposer, prompts_per_round=32, samples_per_prompt=16),
        choose=replace(base.choose, trained_per_generation=32),
        train=replace(base.train, workers=8),
        learn=replace(base.learn, learning_rate=1e-4),
        budget=Budget(generations=20),
    )


PRESETS: dict[str, Callable[[], SearchSettings]] = {
    "mnist1d": mnist1d,
    "digits": digits,
    "arrays": arrays,
    "smoke": smoke,
    "one_gpu": one_gpu,
}
