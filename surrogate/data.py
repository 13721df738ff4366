"""The files that people hand in: tables of labelled networks and lists of texts.

A table is CSV (also .csv.gz) or Parquet with the columns `path` (relative to the table) or `text`,
a label, and where there are any `task`, `fidelity`, `origin` (or `space`) and `text_version`; a
network may stand in several rows. Checked at this door, row by row: every message names the file
and the row, counted as a spreadsheet counts them (the heading is row 1).
"""

import csv
import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surrogate.encode import TEXT_VERSION, read
from surrogate.errors import SurrogateError, problem
from surrogate.parse import parse

Row = dict[str, Any]
Progress = Callable[[Sequence[Any]], Iterable[Any]]
"""Passes rows on and shows how far it is."""
CELL_LIMIT = 2**24  # characters of one CSV field; the csv module stops at 131,072 otherwise
SPACES = ("origin", "space")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table; None: the usual name, if the table has it."""

    label: str = "accuracy"
    task: str | None = None
    fidelity: str | None = None


@dataclass(frozen=True)
class Table:
    """Labelled networks, one entry per row."""

    texts: tuple[str, ...]
    accuracies: tuple[float, ...]
    tasks: tuple[str, ...] | None
    fidelities: tuple[float, ...] | None
    origins: tuple[str, ...] | None
    """The family or search space that a network comes from."""


def read_table(
    path: Path, columns: Columns | None = None, progress: Progress | None = None
) -> Table:
    """Return the networks and labels of a CSV or Parquet file.

    Raises:
        SurrogateError: For the first row that is not as it should be.
    """
    names = columns or Columns()
    rows, numbers = _rows(path)
    present = set(rows[0]) if rows else set()
    source = "text" if "text" in present else "path"
    _check_columns(path, rows, present, names, source)
    places = [f"{path}, row {number}" for number in numbers]
    task = names.task or ("task" if "task" in present else None)
    fidelity = names.fidelity or ("fidelity" if "fidelity" in present else None)
    origin = next((name for name in SPACES if name in present), None)
    both = list(zip(rows, places, strict=True))
    accuracies = tuple(_accuracy(row[names.label], place) for row, place in both)
    if "text_version" in present:
        for row, place in both:
            _check_version(row["text_version"], place)
    fidelities = tuple(_fidelity(row[fidelity], place) for row, place in both) if fidelity else None
    if len(set(accuracies)) < 2:
        what = f"all labels in column '{names.label}' are the same"
        raise SurrogateError(problem(what, str(path), "at least two values", "Add more networks"))
    tasks = tuple(_word(row[task]) for row in rows) if task else None
    texts = _texts(
        path, source, list(zip(rows, places, tasks or [""] * len(rows), strict=True)), progress
    )
    origins = tuple(_word(row[origin]) for row in rows) if origin else None
    return Table(texts, accuracies, tasks, fidelities, origins)


def _rows(path: Path) -> tuple[list[Row], list[int]]:
    """The rows, and the number of each, the heading being row 1."""
    is_parquet = path.suffix in (".parquet", ".pq")
    rows = _parquet_rows(path) if is_parquet else _csv_rows(path)
    numbered = [(row, n) for n, row in enumerate(rows, 2) if any(row.values())]
    return [row for row, _ in numbered], [number for _, number in numbered]


def _csv_rows(path: Path) -> list[Row]:
    csv.field_size_limit(CELL_LIMIT)
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            rows: list[Row] = list(csv.DictReader(file))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    for number, row in enumerate(rows, 2):
        if None in row:
            what, action = "more cells than columns", "Put texts with commas in quotes"
            expected = "as many cells as the heading has"
            raise SurrogateError(problem(what, f"{path}, row {number}", expected, action))
    return rows


def _parquet_rows(path: Path) -> list[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SurrogateError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
    expected = "a CSV or Parquet file"
    return SurrogateError(
        problem(f"not readable ({reason})", str(path), expected, "Check the path")
    )


def _check_columns(
    path: Path, rows: list[Row], present: set[str], names: Columns, source: str
) -> None:
    if not rows:
        action = "Add rows of labelled networks"
        raise SurrogateError(problem("no rows", str(path), "labelled networks", action))
    wanted = [names.label, source, *(n for n in (names.task, names.fidelity) if n)]
    missing = [name for name in wanted if name not in present]
    if missing:
        found = ", ".join(sorted(present))
        expected = "a column 'path' (or 'text') and one of labels ('accuracy', or --label NAME)"
        what = f"no column {', '.join(repr(name) for name in missing)} among: {found}"
        raise SurrogateError(problem(what, str(path), expected, "Rename the columns"))


def _accuracy(value: object, where: str) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        action = "Correct the row or leave it out"
        if 1 < number <= 100:
            action = "Divide percentages by 100"
        elif number < 0 or number > 100:
            action = "Bring the label to 0..1, larger is better"
        what = f"label '{value}'"
        raise SurrogateError(problem(what, where, "an accuracy from 0 to 1", action))
    return number


def _fidelity(value: object, where: str) -> float:
    number = _number(value)
    if not 0 < number < math.inf:
        expected = "a positive number, larger for longer training"
        action = "Correct the row or leave it out"
        raise SurrogateError(problem(f"fidelity '{value}'", where, expected, action))
    return number


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _check_version(value: object, where: str) -> None:
    if _number(value) != TEXT_VERSION:
        what = f"a text of version '{value}'"
        expected = f"version {TEXT_VERSION}, that of this program"
        action = "Encode the ONNX files again, or name them in a column 'path'"
        raise SurrogateError(problem(what, where, expected, action))


def _word(value: object) -> str:
    return "" if value is None else str(value)


def _texts(
    table: Path, source: str, rows: list[tuple[Row, str, str]], progress: Progress | None
) -> tuple[str, ...]:
    known: dict[tuple[str, str], str] = {}
    texts = []
    for row, place, task in progress(rows) if progress else rows:
        key = (_word(row[source]), task)
        if key not in known:
            try:
                known[key] = _text(table, source, *key)
            except SurrogateError as error:
                raise SurrogateError(f"{place}: {error}") from error
        texts.append(known[key])
    return tuple(texts)


def _text(table: Path, source: str, value: str, task: str) -> str:
    if source == "path":
        return read(table.parent / value, task).text
    text = value.replace("\r\n", "\n").strip("\n")
    parse(text)
    return text


def read_corpus(path: Path) -> tuple[list[str], dict[str, np.ndarray] | None]:
    """Texts of a JSON-lines file, and the columns of numbers that stand beside them.

    Each line is {"text": ..., "targets": {name: number}}; a target that a line does not have is
    NaN, and there are None where no line has any.
    """
    texts, targets = [], []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            parse(row["text"])
            found = row.get("targets") or {}
            targets.append({name: float(value) for name, value in found.items()})
            texts.append(row["text"])
    except OSError as error:
        what = f"not readable ({error.strerror})"
        raise SurrogateError(problem(what, str(path), "a file of texts", "Check it")) from error
    except (ValueError, KeyError, TypeError, AttributeError, SurrogateError) as error:
        where = f"{path}, line {len(texts) + 1}"
        what = str(error) if isinstance(error, SurrogateError) else "no text"
        expected = 'one {"text": ...} per line'
        raise SurrogateError(problem(what, where, expected, "Correct the line")) from error
    names = sorted({name for row in targets for name in row})
    columns = {name: np.array([row.get(name, math.nan) for row in targets]) for name in names}
    return texts, columns or None
