"""The predictor as others use it: texts in, expected accuracy and its spread out.

    surrogate = Surrogate.load().fit(texts, accuracies, seed=0)
    mean, spread = surrogate.score(more_texts)

A `Surrogate` never changes; `fit` returns another one. The encoder is frozen, a Gaussian process on
its vectors and on graph features learns from the labels. With fewer than three labels it says their
mean (0.5 without any) and a wide spread: it does not know better, and the prior should speak.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from surrogate import storage, tune
from surrogate.errors import SurrogateError, problem
from surrogate.features import CORE, features_of
from surrogate.model import Encoder, EncoderSettings, embed

BUILTIN = Path(__file__).parent / "builtin"
WIDE = 0.25  # standard deviation of an answer that rests on nothing


@dataclass(frozen=True)
class Base:
    """What does not depend on labels: a frozen encoder and how to use its vectors."""

    encoder: Encoder
    projection: dict[str, np.ndarray]
    """`mean` and `basis` of the vectors, `spread` of the corpus' graph features."""
    digest: str
    known: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    """Vectors of the texts seen so far; a search asks for the same ones again and again."""

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Projected vectors of texts."""
        for text in texts:
            if text not in self.known:
                # One by one: in a batch the last bits of a vector would depend on its neighbours,
                # and a resumed search would not repeat the same decisions.
                raw = embed(self.encoder, [text])[0] - self.projection["mean"]
                self.known[text] = raw @ self.projection["basis"]
        return np.stack([self.known[text] for text in texts])

    def tensors(self) -> dict[str, np.ndarray]:
        """Everything as named arrays."""
        weights = {f"encoder.{k}": v.numpy() for k, v in self.encoder.state_dict().items()}
        return weights | {f"projection.{k}": v for k, v in self.projection.items()}


class Surrogate:
    """A predictor of accuracy; make one with `load` or `fit`."""

    def __init__(
        self,
        base: Base,
        texts: tuple[str, ...] = (),
        accuracies: tuple[float, ...] = (),
        seed: int = 0,
    ) -> None:
        self._base = base
        self._texts, self._accuracies, self._seed = texts, accuracies, seed
        self._vectors = base.vectors(texts) if texts else None
        self._scaling: tune.Scaling | None = None
        self._regression: tune.Regression | None = None
        if len(texts) >= tune.FEWEST:
            features = np.stack([features_of(text) for text in texts])
            self._scaling = tune.scaling(features, base.projection["spread"])
            assert self._vectors is not None
            train = tune.views(features, self._vectors, self._scaling, CORE)
            self._regression = tune.fit(train, np.array(accuracies))

    @classmethod
    def load(cls, folder: Path | None = None) -> "Surrogate":
        """Return the predictor of a folder, by default the built-in one, which has no labels."""
        place = folder or BUILTIN
        tensors, config = storage.read(place)
        base = _base(tensors, config, place)
        labels = config.get("labels", {})
        try:
            texts, accuracies = tuple(labels["texts"]), tuple(labels["accuracies"])
            return cls(base, texts, accuracies, int(labels["seed"]))
        except (KeyError, TypeError) as error:
            what = f"labels are missing ({error})"
            message = problem(what, str(place), "texts and accuracies", storage.REMEDY)
            raise SurrogateError(message) from error

    @property
    def version(self) -> str:
        """Names the encoder and the labels that it has learned from."""
        labels = json.dumps([self._texts, self._accuracies]).encode()
        labelled = f"{len(self._texts)}-{hashlib.sha256(labels).hexdigest()[:8]}"
        return f"{self._base.digest[:8]}+{labelled if self._texts else '0'}"

    @property
    def label_count(self) -> int:
        """Labels that it has learned from."""
        return len(self._texts)

    def fit(self, texts: Sequence[str], accuracies: Sequence[float], seed: int = 0) -> "Surrogate":
        """Return a predictor that has learned from these labels and no others.

        Args:
            texts: graphs as `encode` writes them.
            accuracies: measured, 0..1, one per text; a text may stand several times.
            seed: kept beside the labels; the present method draws nothing at random.
        """
        values = np.asarray(accuracies, float)
        if len(texts) != len(values) or not np.isfinite(values).all():
            raise SurrogateError(
                problem(
                    f"{len(texts)} texts and {len(values)} accuracies, or one is not a number",
                    "fit",
                    "one finite accuracy per text",
                    "Leave out what was not measured",
                )
            )
        if len(values) and (values.min() < 0 or values.max() > 1):
            what = f"accuracies from {values.min():g} to {values.max():g}"
            action = "Divide percentages by 100"
            raise SurrogateError(problem(what, "fit", "accuracies in 0..1", action))
        return Surrogate(self._base, tuple(texts), tuple(float(v) for v in values), seed)

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Expected accuracy (0..1) and its standard deviation, one each per text."""
        if not texts:
            return np.zeros(0), np.zeros(0)
        features = np.stack([features_of(text) for text in texts])
        if self._regression is None or self._scaling is None:
            mean = float(np.mean(self._accuracies)) if self._accuracies else 0.5
            return np.full(len(texts), mean), np.full(len(texts), WIDE)
        vectors = self._base.vectors(texts)
        return self._regression.predict(tune.views(features, vectors, self._scaling, CORE))

    def save(self, folder: Path) -> None:
        """Write the predictor to a folder; `load` returns one that answers the same to the bit."""
        labels = {"texts": self._texts, "accuracies": self._accuracies, "seed": self._seed}
        settings = asdict(self._base.encoder.settings)
        storage.write(folder, self._base.tensors(), {"encoder": settings, "labels": labels})


def make_base(encoder: Encoder, projection: dict[str, np.ndarray]) -> Base:
    """Freeze an encoder."""
    encoder = encoder.eval().requires_grad_(False)
    base = Base(encoder, projection, "")
    tensors = sorted(base.tensors().items())
    content = b"".join(np.ascontiguousarray(tensor).tobytes() for _, tensor in tensors)
    return Base(encoder, projection, hashlib.sha256(content).hexdigest())


def _base(tensors: dict[str, np.ndarray], config: dict, place: Path) -> Base:
    def named(prefix: str) -> dict[str, np.ndarray]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    try:
        encoder = Encoder(EncoderSettings(**config["encoder"]))
        weights = {name: torch.from_numpy(v.copy()) for name, v in named("encoder.").items()}
        encoder.load_state_dict(weights)
        projection = named("projection.")
        if set(projection) != {"mean", "basis", "spread"}:
            raise KeyError("projection")
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        what = f"the weights do not fit its configuration ({' '.join(str(error).split())[:120]})"
        message = problem(what, str(place), "a predictor of this program", storage.REMEDY)
        raise SurrogateError(message) from error
    return make_base(encoder, projection)
