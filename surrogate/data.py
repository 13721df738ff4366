"""The files that people hand in: tables of labelled networks and lists of texts.

Checked at this door, row by row; every message names the file and the row.
"""

import csv
import json
import math
from pathlib import Path

import numpy as np

from surrogate.encode import read
from surrogate.errors import SurrogateError, problem


def read_table(path: Path) -> tuple[list[str], list[float]]:
    """Texts and accuracies of a CSV with the columns `path` or `text`, and `accuracy`.

    Paths are relative to the table.
    """
    rows = _rows(path)
    columns = set(rows[0]) if rows else set()
    source = "text" if "text" in columns else "path"
    if not rows or "accuracy" not in columns or source not in columns:
        found = ", ".join(sorted(str(column) for column in columns)) or "nothing"
        what = f"columns {found}"
        expected = "the columns 'accuracy' and 'path' (or 'text')"
        raise SurrogateError(problem(what, str(path), expected, "Rename the columns"))
    accuracies = [_accuracy(row["accuracy"], f"{path}, row {n}") for n, row in enumerate(rows, 2)]
    if len(set(accuracies)) < 2:
        what = "all accuracies are the same"
        raise SurrogateError(problem(what, str(path), "at least two values", "Add more networks"))
    if source == "text":
        return [row["text"] for row in rows], accuracies
    return [read(path.parent / row["path"]).text for row in rows], accuracies


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"not readable ({error})"
        raise SurrogateError(problem(what, str(path), "a CSV file", "Check the path")) from error


def _accuracy(value: str | None, where: str) -> float:
    try:
        number = float(value or "")
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        what = f"accuracy '{value}'"
        action = "Correct the row or leave it out"
        raise SurrogateError(problem(what, where, "a number from 0 to 1", action))
    return number


def read_corpus(path: Path) -> tuple[list[str], np.ndarray | None]:
    """Texts of a JSON-lines file, and the proxies that stand beside them, if all have the same.

    Each line is {"text": ..., "targets": {name: number}}; `targets` may be left out.
    """
    texts, proxies = [], []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts.append(row["text"])
            proxies.append(row.get("targets") or {})
    except OSError as error:
        what = f"not readable ({error.strerror})"
        raise SurrogateError(problem(what, str(path), "a file of texts", "Check it")) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = f"{path}, line {len(texts) + 1}"
        expected = 'one {"text": ...} per line'
        raise SurrogateError(problem("no text", where, expected, "Correct the line")) from error
    names = sorted(proxies[0]) if proxies else []
    if not names or any(sorted(row) != names for row in proxies):
        return texts, None
    return texts, np.array([[row[name] for name in names] for row in proxies], float)
