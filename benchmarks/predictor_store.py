"""What the predictor's benchmark has measured so far, one file of lines and one folder of arrays.

A result is one (case, row, labels, draw). Its predictions are on the disk before its line is, so
that a benchmark which is killed goes on where it stopped. A line remembers what it was made by (see
`fingerprint`); one made by other code or from other texts counts as missing.
"""

import ast
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evoprompt.storage import write_atomically


@dataclass(frozen=True, order=True)
class Key:
    """Which result."""

    case: str
    row: str
    labels: int
    draw: int

    @property
    def name(self) -> str:
        """A file name."""
        return f"{self.case}-{self.row}-{self.labels}-{self.draw}"


@dataclass(frozen=True)
class Answer:
    """What a row predicted for the test networks, in their order."""

    mean: np.ndarray
    low: np.ndarray | None = None
    """Lower end of the 90 % interval, for rows that have one."""
    high: np.ndarray | None = None


class Store:
    """The results of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "predictions").mkdir(parents=True, exist_ok=True)
        self.lines: dict[Key, dict] = {}
        path = folder / "results.jsonl"
        if path.exists():
            for line in path.read_text().splitlines():
                if line.endswith("}"):  # a line that was cut off by a kill is made again
                    record = json.loads(line)
                    self.lines[Key(**record.pop("key"))] = record

    def has(self, key: Key, made_by: str) -> bool:
        """Whether the result is there, made by the same code from the same texts."""
        return self.lines.get(key, {}).get("made_by") == made_by

    def add(self, key: Key, answer: Answer, record: dict) -> None:
        """Keep a result."""
        arrays = {name: value for name, value in vars(answer).items() if value is not None}
        content = io.BytesIO()
        np.savez_compressed(content, **{k: v.astype(np.float32) for k, v in arrays.items()})
        write_atomically(self._path(key), content.getvalue())
        with (self.folder / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"key": asdict(key), **record}))
        self.lines[key] = record

    def answer(self, key: Key) -> Answer:
        """The predictions of a result."""
        with np.load(self._path(key)) as arrays:
            return Answer(**arrays)

    def _path(self, key: Key) -> Path:
        return self.folder / "predictions" / f"{key.name}.npz"


def fingerprint(modules: Iterable[Path], texts: Sequence[str], *more: str) -> str:
    """A short hash of code (its layout and comments left out), texts and whatever else matters."""
    digest = hashlib.sha256()
    for path in sorted(modules):
        digest.update(ast.dump(ast.parse(path.read_text(encoding="utf-8"))).encode())
    for text in (*texts, *more):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:12]
