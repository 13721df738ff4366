"""Write a program that is worth keeping: its source, its weights, and an ONNX file that holds both.

In: source, recorded graph and weights. Out: a folder with model.py, model.safetensors, model.onnx
(with weights) and model.json. Before it is called good, torch (in the jail, eval mode) and
onnxruntime are run on the same random inputs; the measured difference stands in model.json. A
disagreement is written down and returned, never hidden.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evoprompt.candidate import Rejected
from evoprompt.storage import write_atomically
from evoprompt.train.evaluate import put_weights, read_weights
from evoprompt.train.trainer import Trainer

TOLERANCE = 1e-4
BATCHES = (1, 3)
_SEED = 0


@dataclass(frozen=True)
class Agreement:
    """How well torch and onnxruntime agree on one program."""

    is_agreed: bool
    """The largest difference is at most 1e-4 (times the largest logit where that is above 1)."""
    difference: float | None
    """Largest absolute difference of a logit; None if one of the two could not be run."""
    largest_logit: float | None
    detail: str = ""


def write_best(
    trainer: Trainer, folder: Path, name: str, source: str, graph: bytes, weights_path: Path
) -> Agreement:
    """Write `folder/name/model.*` and return how well torch and onnxruntime agree.

    Raises:
        StorageError: The folder cannot be written.
    """
    weights = weights_path.read_bytes()
    agreement = _agreement(trainer, source, graph, weights)
    target = folder / name
    write_atomically(target / "model.py", source.encode("utf-8", "surrogatepass"))
    write_atomically(target / "model.safetensors", weights)
    parsed = read_weights(weights)
    model = parsed if isinstance(parsed, Rejected) else put_weights(graph, parsed)
    if not isinstance(model, Rejected):
        write_atomically(target / "model.onnx", model)
    write_atomically(target / "model.json", _description(trainer, name, agreement).encode())
    return agreement


def _agreement(trainer: Trainer, source: str, graph: bytes, weights: bytes) -> Agreement:
    """Run both on the same inputs, at batch sizes 1 and 3."""
    generator = np.random.default_rng(_SEED)
    shape = trainer.task.shape.in_shape
    batches = [generator.standard_normal((size, *shape)).astype(np.float32) for size in BATCHES]
    said = trainer.torch_outputs(source, weights, batches)
    if isinstance(said, Rejected):
        return Agreement(False, None, None, f"torch: {said.reason}: {said.detail}")
    difference = largest = 0.0
    for batch, expected in zip(batches, said, strict=True):
        logits = trainer.graph_outputs(graph, weights, batch)
        if isinstance(logits, Rejected):
            return Agreement(False, None, None, f"onnxruntime: {logits.reason}: {logits.detail}")
        difference = max(difference, float(np.abs(logits - expected).max()))
        largest = max(largest, float(np.abs(logits).max()))
    if not np.isfinite(difference):
        return Agreement(False, None, None, "NaN or infinity among the logits")
    is_agreed = difference <= TOLERANCE * max(1.0, largest)
    detail = "" if is_agreed else f"the outputs differ by {difference:.2g}"
    return Agreement(is_agreed, difference, largest, detail)


def _description(trainer: Trainer, name: str, agreement: Agreement) -> str:
    """The text of model.json."""
    shape = trainer.task.shape
    facts = {
        "name": name,
        "task": asdict(shape),
        "input": {"name": "input", "shape": ["batch", *shape.in_shape], "dtype": "float32"},
        "output": {"shape": ["batch", shape.num_classes], "meaning": "logits"},
        "load": "net = Net(in_shape, num_classes).eval(); net(torch.zeros(1, *in_shape)); "
        "net.load_state_dict(safetensors.torch.load_file('model.safetensors'), strict=False)",
        "torch_against_onnxruntime": {"batch_sizes": BATCHES, **asdict(agreement)},
    }
    return json.dumps(facts, indent=1) + "\n"
