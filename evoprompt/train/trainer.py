"""Train many candidates in jailed workers and measure each: source -> weights -> accuracy.

In: `TrainJob`s. Out: for each, as it is done, `Trained` or `Rejected`. The worker hands back
weights; everything else in a `Trained` is measured here, or is only shown (the loss curve). The
weights are on the disk before the result is handed on. Workers get the train examples only; the
test examples are first opened by a job that asks for the test split.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from evoprompt.candidate import Reason, Rejected, Stage, Trained, TrainJob, rejected
from evoprompt.config import TrainSettings
from evoprompt.errors import ConfigError
from evoprompt.jail import JailPool, Limits, Outcome
from evoprompt.storage import write_atomically
from evoprompt.train.compare import pack_bits
from evoprompt.train.evaluate import Evaluator, correct, wanted_weights, why_killed
from evoprompt.train.message import BadMessageError, pack, unpack
from evoprompt.train.tasks import Examples, TaskFiles

FORMAT = 2
"""Raised when the same recipe would give other weights: old results are then computed again."""
CURVE_POINTS = 50
WALL_FACTOR = 4.0
HEADER_BYTES = 1 << 16  # room for the curve and the names in an answer
_TRAIN = "evoprompt.train.child:train"
_OUTPUTS = "evoprompt.train.child:outputs"
_GPU = Path("/dev/nvidiactl")
_GPU_PACKAGES = ("accelerate", "safetensors", "psutil")  # imported when CUDA starts
_OWN_REASONS = {Reason.DIVERGED, Reason.TRAIN_ERROR, Reason.MEMORY_LIMIT}


class Trainer:
    """Training workers and the evaluator of one run; `close` it, or use it in a `with`.

    `unsafe` runs them also where the machine has no Landlock or no seccomp.

    Raises:
        ConfigError: A GPU was asked for and there is none.
        JailError: The machine cannot run candidates as safely as asked.
    """

    def __init__(self, settings: TrainSettings, task: TaskFiles, unsafe: bool = False):
        self.settings = settings
        self.task = task
        self.device = _device(settings.device)
        self._train_arrays = [task.path("train", array).read_bytes() for array in "xy"]
        self._measured: dict[str, dict[str, Examples]] = {}
        self._pool = JailPool(
            settings.workers,
            ["evoprompt.train.child:warm"],
            threads=1,
            multithreaded=True,
            pass_gpu=self.device == "cuda",
            packages=_GPU_PACKAGES if self.device == "cuda" else (),
            unsafe=unsafe,
        )
        self._pool.__enter__()
        self._evaluator = Evaluator(unsafe)

    def recipe_key(self) -> str:
        """What a result depends on beside graph, seed and split: recipe, data, kind of device."""
        facts = {
            "format": FORMAT,
            "recipe": dataclasses.asdict(self.settings.recipe),
            "task": self.task.settings.name,
            "data": self.task.fingerprint,
            "test_count": self.task.test_count,
            "device": self.device,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def train_all(self, jobs: Sequence[TrainJob]) -> Iterator[tuple[int, Trained | Rejected]]:
        """Train every job; yields (its index, result) as they are done.

        Raises:
            StorageError: The weights cannot be written; what was yielded before is safe.
        """
        for index, outcome in self._pool.imap(_Calls(self, jobs)):
            yield index, self._finish(jobs[index], outcome)

    def torch_outputs(
        self, source: str, weights: bytes, batches: Sequence[np.ndarray]
    ) -> list[np.ndarray] | Rejected:
        """What torch says in eval mode, in the jail: logits for each batch of inputs."""
        shape = self.task.shape
        header = {"source": source, "in_shape": shape.in_shape, "num_classes": shape.num_classes}
        sizes = [len(batch) for batch in batches]
        stacked = np.ascontiguousarray(np.concatenate(batches), dtype=np.float32)
        payload = pack({**header, "sizes": sizes}, weights, stacked.tobytes())
        limits = self._limits(4 * len(stacked) * shape.num_classes)
        ((_, outcome),) = self._pool.imap([(_OUTPUTS, payload, limits)])
        answer = _answer(outcome)
        if isinstance(answer, Rejected):
            return answer
        try:
            rows = np.frombuffer(answer[1][0], np.float32).reshape(-1, shape.num_classes)
            return np.split(rows, np.cumsum(sizes)[:-1])
        except (IndexError, ValueError) as error:
            return rejected(Stage.TRAIN, Reason.TRAIN_ERROR, f"wrong answer: {error}")

    def graph_outputs(self, graph: bytes, weights: bytes, x: np.ndarray) -> np.ndarray | Rejected:
        """What the recorded graph with these weights says in onnxruntime."""
        return self._evaluator.logits(graph, weights, x, self.task.shape.num_classes)

    def close(self) -> None:
        """End the workers."""
        self._pool.__exit__(None, None, None)
        self._evaluator.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, job: TrainJob) -> tuple[str, bytes, Limits]:
        """What the jail is asked to do for one job."""
        wanted = wanted_weights(Path(job.graph_path).read_bytes())
        shape = self.task.shape
        header = {
            "source": job.source,
            "in_shape": shape.in_shape,
            "num_classes": shape.num_classes,
            "recipe": dataclasses.asdict(self.settings.recipe),
            "seed": job.seed,
            "device": self.device,
            "weights": sorted(wanted),
        }
        size = sum(dtype.itemsize * math.prod(axes) for dtype, axes in wanted.values())
        names = sum(len(name) + 100 for name in wanted)  # the header of the safetensors
        return _TRAIN, pack(header, *self._train_arrays), self._limits(size + names)

    def _limits(self, answer_bytes: int) -> Limits:
        seconds = self.settings.seconds_limit
        memory = None if self.device == "cuda" else self.settings.memory_mb
        wall = WALL_FACTOR * seconds  # on a busy machine only the CPU limit should decide
        return Limits(wall, math.ceil(seconds), memory, answer_bytes + HEADER_BYTES, 0)

    def _finish(self, job: TrainJob, outcome: Outcome) -> Trained | Rejected:
        """Believe the weights only: measure, store, and describe."""
        answer = _answer(outcome)
        if isinstance(answer, Rejected):
            return answer
        header, parts = answer
        wrong = _implausible(header, parts)
        if wrong:
            return rejected(Stage.TRAIN, Reason.TRAIN_ERROR, f"wrong answer: {wrong}")
        graph = Path(job.graph_path).read_bytes()
        right: dict[str, np.ndarray] = {}
        for name, examples in self._sets(job.split).items():
            logits = self.graph_outputs(graph, parts[0], examples.x)
            if isinstance(logits, Rejected):
                return logits
            right[name] = correct(logits, examples.y)
        write_atomically(Path(job.weights_path), parts[0])
        main = right.pop(job.split)
        return Trained(
            candidate=job.candidate,
            graph=job.graph,
            seed=job.seed,
            accuracy=float(main.mean()),
            steps=self.settings.recipe.steps,
            final_loss=float(header["final_loss"]),
            curve=tuple((step, float(loss)) for step, loss in header["curve"]),
            weights=hashlib.sha256(parts[0]).hexdigest(),
            seconds=outcome.seconds,
            device=self.device,
            correct=pack_bits(main) if job.split == "test" else "",
            extra={name: float(bits.mean()) for name, bits in right.items()},
        )

    def _sets(self, split: str) -> dict[str, Examples]:
        """The examples that are measured on for a split, opened at its first job."""
        if split not in self._measured:
            is_test = split == "test"
            self._measured[split] = (
                self.task.test() if is_test else {"validation": self.task.validation()}
            )
        return self._measured[split]


class _Calls(Sequence[tuple[str, bytes, Limits]]):
    """The calls of some jobs, each made when it is asked for: together they may be large."""

    def __init__(self, trainer: Trainer, jobs: Sequence[TrainJob]):
        self._trainer, self._jobs = trainer, jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, index: Any) -> Any:
        return self._trainer.call(self._jobs[index])


def _device(asked: str) -> str:
    """The kind of device that trains: cpu or cuda."""
    is_there = False
    if asked != "cpu" and _GPU.exists():
        import torch

        is_there = torch.cuda.is_available()
    if asked == "cuda" and not is_there:
        raise ConfigError(
            "train.device: cuda was asked for and torch finds none. Expected an NVIDIA GPU, its "
            "driver and a torch built for it. Use --train.device auto or cpu."
        )
    return "cuda" if is_there else "cpu"


def _answer(outcome: Outcome) -> tuple[dict[str, Any], list[bytes]] | Rejected:
    """The message that came out of the jail, or why there is none."""
    if outcome.output is None:
        return why_killed(outcome)
    try:
        header, parts = unpack(outcome.output)
    except BadMessageError as error:
        return rejected(Stage.TRAIN, Reason.CRASHED, f"no answer came back: {error}")
    if "reason" not in header:
        return header, parts
    known = {reason.value: reason for reason in _OWN_REASONS}
    reason = known.get(str(header["reason"]), Reason.TRAIN_ERROR)
    return rejected(Stage.TRAIN, reason, header.get("detail", ""))


def _implausible(header: dict[str, Any], parts: list[bytes]) -> str:
    """What is wrong with the form of an answer, or nothing. Its numbers are only shown."""
    if len(parts) != 1:
        return f"{len(parts)} parts instead of the weights"
    if not _is_number(header.get("final_loss")):
        return "no final loss"
    curve = header.get("curve")
    if not isinstance(curve, list) or len(curve) > CURVE_POINTS:
        return "no curve of at most 50 points"
    is_point = [isinstance(p, list) and len(p) == 2 and type(p[0]) is int for p in curve]
    if not all(is_point) or not all(_is_number(point[1]) for point in curve):
        return "the curve is not made of (step, loss)"
    return ""


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
