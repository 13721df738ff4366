"""The predictor as others use it: texts in, expected accuracy, spread and intervals out.

    surrogate = Surrogate.load().fit(texts, accuracies)
    mean, spread, low, high = surrogate.predict(more_texts)

A `Surrogate` never changes; `fit` returns another one. The encoders are frozen; what learns from
labels is described in `tune`; `fine_tuned` teaches copies of them, which takes minutes. Below 12
labels the prior (size) speaks; without any, the mean is around 0.5 and the spread says that nobody
knows.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from surrogate import process, storage, tune
from surrogate.answers import HeldOut, Scores
from surrogate.base import Base, VectorSource, base_from, encoders_of, tensors_of
from surrogate.encode import Graph
from surrogate.errors import SurrogateError, problem
from surrogate.finetune import FEWEST, Tuned, fine_tune
from surrogate.graph_features import features_of
from surrogate.labels import Labels, Learned, Scale, Space, checked, make_labels
from surrogate.model import BATCH_POSITIONS
from surrogate.reading import reading
from surrogate.subtrees import count
from surrogate.tune import Fitted, Inputs, Member
from surrogate.unfolded import Unfolded, unfolded

BUILTIN = Path(__file__).parent / "builtin"
NOBODY_KNOWS = Scale(np.zeros(1), np.zeros(1), 0.8)  # the scale of a space without labels


@dataclass(frozen=True)
class Subtrees:
    """Neighbourhoods that are counted, and how counts become a view of total variance one."""

    labels: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


class Surrogate:
    """A predictor of accuracy; make one with `load` or `fit`."""

    def __init__(
        self, base: VectorSource, learned: Learned | None = None, tuned: Tuned | None = None
    ) -> None:
        self.base = base
        self.learned = learned or Learned()
        self.tuned = tuned

    @classmethod
    def load(cls, folder: Path | None = None, one_by_one: bool = False) -> "Surrogate":
        """Open a predictor's folder; None is the built-in one.

        Args:
            folder: As `save` writes it.
            one_by_one: Whether the encoders read one text at a time: slower, but then the vector
                of a text is the same to the last bit, whatever it is asked together with.

        Raises:
            SurrogateError: Missing, truncated, pickled, or of another version.
        """
        place = folder or BUILTIN
        if (place / "hub.json").is_file():
            from surrogate import hub

            return hub.load(place)
        tensors, config = storage.read(place)
        try:
            base = base_from(tensors, config["encoders"], 0 if one_by_one else BATCH_POSITIONS)
            learned = Learned(**{k: _tuples(v) for k, v in config["learned"].items()})
            lengths = {len(learned.texts), len(learned.accuracies), len(learned.spaces)}
            if len(lengths) > 1 or not all(isinstance(text, str) for text in learned.texts):
                raise ValueError("texts and labels do not fit")
            held_out = tensors.get("tuned.held_out", np.zeros(0))
            tuned = encoders_of(tensors, config.get("tuned", ()), "tuned")
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            what = f"weights and configuration do not fit ({' '.join(str(error).split())[:120]})"
            message = problem(what, str(place), "a predictor of this program", storage.REMEDY)
            raise SurrogateError(message) from error
        found = cls(base, learned, Tuned(tuned, held_out) if tuned else None)
        if tuned and len(held_out) != len(found._labels.texts):
            what, expected = "fine-tuned on other labels", "a predictor of this program"
            raise SurrogateError(problem(what, str(place), expected, storage.REMEDY))
        return found

    @property
    def version(self) -> str:
        """Names the encoders and the labels that it has learned from."""
        digest = self.base.digest[:8]
        if not self.learned.texts:
            return f"{digest}+0"
        labels = hashlib.sha256(json.dumps(asdict(self.learned)).encode())
        if self.tuned is not None:
            labels.update(self.tuned.digest.encode())
        return f"{digest}+{self.label_count}-{labels.hexdigest()[:8]}"

    @property
    def label_count(self) -> int:
        """Trainings that it has learned from."""
        return len(self.learned.texts)

    @property
    def members(self) -> tuple[Member, ...]:
        """Each member's cross-validated Kendall's tau and its weight in the blend."""
        return self._fitted.members

    @property
    def noise(self) -> float:
        """Standard deviation of one training's accuracy; NaN where no network was trained twice."""
        return self._fitted.labels.noise_accuracy

    def fit(
        self,
        texts: Sequence[str],
        accuracies: Sequence[float],
        *,
        tasks: Sequence[str] | None = None,
        fidelities: Sequence[float] | None = None,
        extra: np.ndarray | None = None,
    ) -> "Surrogate":
        """Return a predictor that has learned from these labels and no others.

        Nothing is drawn at random but the folds of the trees, and those are always the same.

        Args:
            texts: graphs as `encode` writes them.
            accuracies: measured, 0..1, one per training; a text may stand several times.
            tasks: of each training, if there are several.
            fidelities: how long each was trained, in any unit, if that differs.
            extra: further columns that are known of every network, (N, any).

        Raises:
            SurrogateError: Labels that are none.
        """
        values = checked(texts, accuracies)
        count = len(texts)
        rows = () if extra is None else tuple(map(tuple, np.asarray(extra, float).tolist()))
        learned = Learned(
            texts=tuple(texts),
            accuracies=tuple(values.tolist()),
            tasks=("",) * count if tasks is None else tuple(tasks),
            fidelities=(0.0,) * count if fidelities is None else tuple(map(float, fidelities)),
            extra=rows,
        )
        if not len(learned.tasks) == len(learned.fidelities) == count:
            what = (
                f"{count} labels, {len(learned.tasks)} tasks, {len(learned.fidelities)} fidelities"
            )
            raise SurrogateError(problem(what, "fit", "one each per label", "Give as many"))
        return Surrogate(self.base, learned)

    def fine_tuned(self, report: Callable[[float], None] = lambda share: None) -> "Surrogate":
        """Return a predictor with one more member: encoders that its labels have taught.

        Minutes of one core with 1,000 labels, and a multiple of the time of a score. With fewer
        than `finetune.FEWEST` labels it is left out: it does not pay there. `fit` begins anew
        without it.

        Args:
            report: told the share that is done, 0..1.

        Raises:
            SurrogateError: The vectors come from an encoder of another kind.
        """
        if not isinstance(self.base, Base):
            expected = "encoders of this program"
            action = "Fine-tune that encoder before: fit --fine-tune-encoder"
            raise SurrogateError(problem("an encoder of Hugging Face", "", expected, action))
        if len(self._labels.texts) < FEWEST:
            return self
        tuned = fine_tune(self.base.encoders, self._labels, report)
        return Surrogate(self.base, self.learned, tuned)

    def predict(
        self,
        graphs: Sequence[str | Graph],
        level: float = 0.9,
        task: str | None = None,
        fidelity: float | None = None,
        extra: np.ndarray | None = None,
    ) -> Scores:
        """What one more training of each graph or text will measure.

        Args:
            graphs: Networks, in any order.
            level: Share of measured accuracies that lie within the intervals.
            task: Of the labels that count; that with the most of them if not given.
            fidelity: The same.
            extra: Further columns, if the labels had them.
        """
        if not graphs:
            return Scores(*np.zeros((4, 0)))
        space = self._space(task, fidelity)
        mean, spread = self._fitted.predict(self._asked(graphs, space, extra))
        moments = self._scale(space).moments(mean, self._fitted.sigma(space) * spread)
        return Scores(*moments, *self._bounds(space, mean, spread, level))

    def score(
        self,
        graphs: Sequence[str | Graph],
        task: str | None = None,
        fidelity: float | None = None,
        extra: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation as `predict` says them."""
        return self.predict(graphs, task=task, fidelity=fidelity, extra=extra)[:2]

    def interval(
        self,
        graphs: Sequence[str | Graph],
        level: float = 0.9,
        task: str | None = None,
        fidelity: float | None = None,
        extra: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The intervals that `predict` says."""
        return self.predict(graphs, level, task, fidelity, extra)[2:]

    def held_out(self) -> HeldOut | None:
        """What members say of labels that they have not seen; None without labels."""
        fitted = self._fitted
        labels = fitted.labels
        if not labels.texts:
            return None
        columns = np.zeros((4, len(labels.texts)))
        for space, scale in labels.scales.items():
            rows = [row for row, each in enumerate(labels.spaces) if each == space]
            mean, spread = fitted.mean_N[rows], fitted.spread_N[rows]
            columns[:2, rows] = scale.moments(mean, fitted.sigma(space) * spread)
            columns[2:, rows] = self._bounds(space, mean, spread, 0.9)
        tasks = tuple(task for task, _ in labels.spaces)
        mean, spread, low, high = columns
        return HeldOut(labels.texts, mean, spread, low, high, labels.accuracies_N, tasks)

    def embed(self, graphs: Sequence[str | Graph]) -> np.ndarray:
        """Vectors of length one, (N, D): alike where networks are."""
        vectors = self.base.vectors([_text(graph) for graph in graphs])
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def save(self, folder: Path) -> None:
        """Write the predictor to a folder; `load` returns one that answers the same to the bit."""
        if not isinstance(self.base, Base):
            from surrogate import hub

            hub.save(self, folder)
            return
        settings = [asdict(encoder.settings) for encoder in self.base.encoders]
        config = {"encoders": settings, "learned": asdict(self.learned)}
        tensors = self.base.tensors()
        if self.tuned is not None:
            config["tuned"] = [asdict(encoder.settings) for encoder in self.tuned.encoders]
            tensors |= tensors_of(self.tuned.encoders, "tuned")
            tensors["tuned.held_out"] = self.tuned.held_out_N
        storage.write(folder, tensors, config)

    @cached_property
    def _labels(self) -> Labels:
        return make_labels(self.learned.texts, self.learned.accuracies, self.learned.spaces)

    @cached_property
    def _space_numbers(self) -> dict[Space, int]:
        return {space: number for number, space in enumerate(self._labels.scales)}

    @cached_property
    def _known(self) -> tuple[np.ndarray, Unfolded]:
        return _read(self._labels.texts)

    @cached_property
    def _scaling(self) -> process.Scaling:
        texts = self._labels.texts
        base = self.base
        if not texts:
            return process.Scaling(base.feature_mean, base.feature_spread + 1e-6)
        return process.scaling(self._known[0], base.feature_spread)

    @cached_property
    def _subtrees(self) -> Subtrees:
        """The neighbourhoods that are counted; none below the labels at which it pays."""
        texts = self._labels.texts
        if len(texts) < tune.FEWEST:
            return Subtrees(np.zeros(0, np.uint64), np.zeros(0), np.zeros(0))
        counted = count(self._known[1])
        columns = counted.of(counted.common)
        spread = columns.std(0)
        alive = np.maximum(spread, 1e-6) * np.sqrt(max(1, (spread > 0).sum()))
        return Subtrees(counted.common, columns.mean(0), np.where(spread > 0, 1 / alive, 0.0))

    @cached_property
    def _fitted(self) -> Fitted:
        labels = self._labels
        spaces = np.array([self._space_numbers[space] for space in labels.spaces], int)
        known = dict(zip(self.learned.texts, self.learned.extra, strict=False))
        extra = np.array([known[text] for text in labels.texts]) if known else None
        inputs = self._inputs(labels.texts, spaces, extra)
        return tune.fit(labels, replace(inputs, tuned=self.tuned and self.tuned.held_out_N))

    def _asked(
        self, graphs: Sequence[str | Graph], space: Space, extra: np.ndarray | None
    ) -> Inputs:
        """Networks that are to be scored."""
        inputs = self._inputs(graphs, space, extra)
        if self.tuned is None or not isinstance(self.base, Base):
            return inputs
        texts = [_text(graph) for graph in graphs]
        return replace(inputs, tuned=self.tuned.scores(texts, self.base.batch_positions))

    def _inputs(
        self,
        graphs: Sequence[str | Graph],
        space: Space | np.ndarray,
        extra: np.ndarray | None,
    ) -> Inputs:
        texts = tuple(_text(graph) for graph in graphs)
        if isinstance(space, tuple):
            space = np.full(len(texts), self._space_numbers.get(space, -1))
        features, lines = _read(texts)
        vectors, counts = np.zeros((len(texts), 1)), np.zeros((len(texts), 0))
        if len(self._labels.texts) >= tune.FEWEST:
            vectors, counts = self.base.vectors(texts), count(lines).of(self._subtrees.labels)
        scaled = (counts - self._subtrees.mean) * self._subtrees.scale
        views = process.views(features, vectors, self._scaling, scaled, space, extra)
        columns = [features, counts] if extra is None else [features, counts, extra]
        return Inputs(views, np.hstack(columns))

    def _space(self, task: str | None, fidelity: float | None) -> Space:
        """The space that is asked for, as far as it is said; else the one with most labels."""
        known = [
            space
            for space in self._space_numbers
            if (task is None or space[0] == task) and (fidelity is None or space[1] == fidelity)
        ]
        if not known:
            return task or "", 0.0 if fidelity is None else fidelity
        counts = {space: self._labels.spaces.count(space) for space in known}
        return max(known, key=lambda space: (counts[space], space[1]))

    def _scale(self, space: Space) -> Scale:
        return self._labels.scales.get(space, NOBODY_KNOWS)

    def _bounds(
        self, space: Space, mean: np.ndarray, spread: np.ndarray, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        reach = self._fitted.factor(space, level) * spread
        scale = self._scale(space)
        return scale.accuracies_of(mean - reach), scale.accuracies_of(mean + reach)


def _read(texts: Sequence[str]) -> tuple[np.ndarray, Unfolded]:
    """Features and unfolded graphs of texts."""
    readings = [reading(text) for text in texts]
    graphs = unfolded(readings)
    return features_of(readings, graphs), graphs


def _text(graph: str | Graph) -> str:
    return graph if isinstance(graph, str) else graph.text


def _tuples(value: object) -> tuple:
    return tuple(tuple(each) if isinstance(each, list) else each for each in value)  # type: ignore[union-attr]
