"""What the tuning benchmark has done already: lines of JSON that a kill cannot tear.

Three files in one folder: parents.jsonl, children.jsonl (one line per seed and method, written when
its replies are screened) and trainings.jsonl (one line per graph). A graph is trained once, whoever
wrote it. What was made under other settings is not taken for one's own: `facts.json` says which.
"""

import json
import os
from pathlib import Path
from typing import Any

from evoprompt.errors import ConfigError
from evoprompt.storage import write_atomically


class Store:
    """The lines of one benchmark folder."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        """Open or make the folder.

        Raises:
            ConfigError: It holds results of other settings.
        """
        self.folder = folder
        for name in ("sources", "graphs", "weights", "adapters"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._check(facts)
        self.trainings: dict[str, dict] = {row["graph"]: row for row in self._read("trainings")}
        self.children: dict[tuple[int, str], dict] = {
            (row["seed"], row["method"]): row for row in self._read("children")
        }
        self.parents: dict[int, dict] = {row["seed"]: row for row in self._read("parents")}

    def add_training(self, row: dict) -> None:
        self._append("trainings", row)
        self.trainings[row["graph"]] = row

    def add_children(self, row: dict) -> None:
        self._append("children", row)
        self.children[row["seed"], row["method"]] = row

    def add_parents(self, row: dict) -> None:
        self._append("parents", row)
        self.parents[row["seed"]] = row

    def source(self, candidate: str) -> str:
        return (self.folder / "sources" / f"{candidate}.py").read_text(encoding="utf-8")

    def keep_source(self, candidate: str, source: str) -> None:
        path = self.folder / "sources" / f"{candidate}.py"
        if not path.exists():
            write_atomically(path, source.encode())

    def _check(self, facts: dict[str, Any]) -> None:
        path = self.folder / "facts.json"
        plain = json.loads(json.dumps(facts))
        if not path.exists():
            write_atomically(path, (json.dumps(plain, indent=2) + "\n").encode())
            return
        known = json.loads(path.read_text())
        changed = sorted(key for key in plain | known if plain.get(key) != known.get(key))
        if changed:
            raise ConfigError(
                f"{self.folder} holds results of other settings ({', '.join(changed)}). Expected "
                "the same to go on with. Name another folder with --out."
            )

    def _read(self, name: str) -> list[dict]:
        path = self.folder / f"{name}.jsonl"
        if not path.exists():
            return []
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        return [json.loads(line) for line in whole.splitlines()]

    def _append(self, name: str, row: dict) -> None:
        with (self.folder / f"{name}.jsonl").open("ab") as file:
            file.write(json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
