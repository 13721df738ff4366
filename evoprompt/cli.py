"""The command line: `evoprompt search | resume | show | screen | score`.

`evoprompt --help` imports nothing heavy; each command imports what it needs. Every error that a
person can mend is one line on stderr and exit code 2; Ctrl-C says how to go on.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from evoprompt.errors import ConfigError, EvoPromptError

HELP = """\
EvoPrompt searches for neural network architectures as PyTorch source code.

usage: evoprompt COMMAND ...

  search [PRESET] --run NAME [--control ...] [--proposer.model ...] [--budget.generations N] ...
                          start a search; presets: {presets}
  resume runs/NAME        go on with a search that was stopped or killed
  show runs/NAME          archive, funnel and front of a run, in the terminal
  screen FILE.py ...  [--task NAME] [--json] [--out FOLDER]
                          would a program be accepted, and what network is it; writes its ONNX file
  score FILE.py|FILE.onnx ...  [--run runs/NAME] [--task NAME]
                          what the predictor says of a program or a graph
  learn proposer runs/A runs/B --out FOLDER
                          tune the proposer on what these runs tried, for --proposer.adapter FOLDER

`evoprompt COMMAND --help` lists the settings of a command.
A first search: evoprompt search mnist1d --run first
"""


def main(arguments: list[str] | None = None) -> None:
    """Run one command; exits with 0, 2 (something to mend) or 130 (Ctrl-C)."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        _dispatch(given)
    except EvoPromptError as error:
        print(f"evoprompt: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("evoprompt: stopped.", file=sys.stderr)
        sys.exit(130)


def _dispatch(given: list[str]) -> None:
    commands: dict[str, Callable[[list[str]], None]] = {
        "search": _search,
        "resume": _resume,
        "show": _show,
        "screen": _screen,
        "score": _score,
        "learn": _learn,
    }
    if not given or given[0] in ("-h", "--help", "help"):
        from evoprompt.config import PRESETS

        print(HELP.format(presets=", ".join(PRESETS)), end="")
        return
    if given[0] == "--version":
        from evoprompt import __version__

        print(__version__)
        return
    if given[0] not in commands:
        from evoprompt.settings_file import nearest

        raise ConfigError(
            f"unknown command {given[0]!r}. Expected one of {', '.join(commands)}."
            f"{nearest(given[0], commands)} `evoprompt --help` lists them."
        )
    # More BLAS threads change the last bits of the predictor and slow down matrices this small.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    commands[given[0]](given[1:])


def _search(given: list[str]) -> None:
    from evoprompt.commands.search import run_search

    run_search(given)


def _resume(given: list[str]) -> None:
    from evoprompt.commands.search import run_resume

    run_resume(Path(_only(given, "resume runs/NAME")))


def _show(given: list[str]) -> None:
    from rich.console import Console

    from evoprompt.view.terminal import show

    show(Path(_only(given, "show runs/NAME")), Console())


def _screen(given: list[str]) -> None:
    from evoprompt.commands.screen import run_screen

    run_screen(given)


def _score(given: list[str]) -> None:
    from evoprompt.commands.score import run_score

    run_score(given)


def _learn(given: list[str]) -> None:
    from evoprompt.commands.learn import run_learn

    run_learn(given)


def _only(given: list[str], usage: str) -> str:
    if len(given) == 1 and given[0] not in ("-h", "--help"):
        return given[0]
    if given and given[0] in ("-h", "--help"):
        print(f"usage: evoprompt {usage}")
        sys.exit(0)
    raise ConfigError(f"expected exactly one run folder, got {len(given)}. evoprompt {usage}")
