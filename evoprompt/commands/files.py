"""What the commands that take files share: their words, their programs, their task's shape."""

import stat
import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from evoprompt.candidate import TaskShape
from evoprompt.config import PRESETS
from evoprompt.errors import ConfigError

STDIN = Path("-")
_BYTES = 16 << 20  # of a file that are read: longer ones are too long by far


def split_words(
    given: list[str], switches: Collection[str] = ("--help",)
) -> tuple[list[Path], list[str]]:
    """Return the files and the flags with their values, in whatever order they were given.

    Args:
        given: The words of the command line.
        switches: Flags that take no value; every other flag without "=" takes the next word.
    """
    files: list[Path] = []
    flags: list[str] = []
    takes_value = False
    for place, word in enumerate(given):
        if word == "--" and not takes_value:
            return files + [Path(rest) for rest in given[place + 1 :]], flags
        is_flag = word.startswith("-") and word != "-"
        if takes_value or is_flag:
            flags.append(word)
        else:
            files.append(Path(word))
        takes_value = is_flag and word.startswith("--") and "=" not in word
        takes_value = takes_value and word not in switches
    return files, flags


def read_program(file: Path) -> str:
    """Return a program's text; bytes that are no UTF-8 stay visible to the rules.

    Raises:
        ConfigError: The file is missing, is no regular file, or cannot be read.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigError(f"{file} is not a regular file. Expected Python source. {_HELP}")
        with file.open("rb") as opened:
            return decode(opened.read(_BYTES))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{file}: {reason}. Expected a Python source file. {_HELP}") from None


_HELP = "Check the path."


def decode(data: bytes) -> str:
    """Return bytes as text, without a byte order mark."""
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def task_shape(name: str, path: Path | None) -> TaskShape:
    """Return what a program must map for a task; the data is made or read for it.

    Raises:
        TaskError: The data cannot be used.
    """
    from evoprompt.train import open_task

    settings = replace(PRESETS[name]().task, path=path)
    with tempfile.TemporaryDirectory() as scratch:
        return open_task(settings, Path(scratch)).shape
