"""ONNX files as people name them: files and folders in, graphs out, broken files by name.

Reading many files shows a bar on the error stream once it has taken two seconds.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from surrogate.encode import Graph, read
from surrogate.errors import SurrogateError, problem

PATIENCE = 2.0  # seconds without a bar
Item = TypeVar("Item")


@dataclass(frozen=True)
class Files:
    """What could be read of the files, and what is wrong with the others."""

    paths: tuple[Path, ...]
    graphs: tuple[Graph, ...]
    broken: tuple[str, ...]
    """One message for each file that is no network."""

    def report_broken(self) -> int:
        """Name the broken files on the error stream; returns the exit code."""
        for message in self.broken:
            print(f"surrogate: left out: {message}", file=sys.stderr)
        return 1 if self.broken else 0


def find(given: Sequence[Path]) -> list[Path]:
    """Return the files, and all *.onnx below the folders, each once."""
    found: list[Path] = []
    for path in given:
        inside = sorted(path.rglob("*.onnx")) if path.is_dir() else [path]
        if not inside:
            expected, action = "a folder with .onnx files in it", "Check the path"
            raise SurrogateError(problem("no .onnx file", str(path), expected, action))
        found += inside
    return list(dict.fromkeys(found))


def read_all(paths: Sequence[Path], task: str = "") -> Files:
    """Read files; raises `SurrogateError` if there is not one usable network among them."""
    from surrogate.reading import reading

    readable, graphs, broken = [], [], []
    for path in watched(paths, "reading"):
        try:
            graph = read(path, task)
            reading(graph.text)  # too long for the encoders?
        except SurrogateError as error:
            message = " ".join(str(error).split())
            broken.append(message if str(path) in message else f"{path}: {message}")
        else:
            readable.append(path)
            graphs.append(graph)
    if not graphs:
        more = f" (and {len(broken) - 1} more files, none of them a network)"
        raise SurrogateError(broken[0] + (more if len(broken) > 1 else ""))
    return Files(tuple(readable), tuple(graphs), tuple(broken))


def watched(items: Sequence[Item], what: str) -> Iterator[Item]:
    """Pass items on; after two seconds, where a person watches, with a bar."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    start = time.monotonic()
    for count, item in enumerate(items):
        if console.is_terminal and time.monotonic() - start > PATIENCE:
            with Progress(console=console, transient=True) as bar:
                task = bar.add_task(what, total=len(items), completed=count)
                for rest in items[count:]:
                    yield rest
                    bar.advance(task)
            return
        yield item
